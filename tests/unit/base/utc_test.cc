#include "common/base/utc.h"

#include "gtest/gtest.h"

namespace allot {
namespace {

TEST(Utc, IsWrittenAsItIsRead) {
  for (const char* text :
       {"1970-01-01T00:00:00Z", "2027-01-31T18:00:00Z", "2028-02-29T23:59:59Z"}) {
    const auto time = ParseUtc(text);
    ASSERT_TRUE(time.has_value()) << text;
    EXPECT_EQ(FormatUtc(*time), text);
  }
  EXPECT_EQ(FormatUtc(*ParseUtc("2027-01-31")), "2027-01-31T00:00:00Z");
  EXPECT_EQ(ToMicros(*ParseUtc("1970-01-02")), int64_t{86'400'000'000});
}

TEST(Utc, IsNothingElse) {
  for (const char* text :
       {"", "2027", "2027-1-31", "2027-13-01", "2027-02-29", "2027-01-31T", "2027-01-31T18:00Z",
        "2027-01-31T18:00:00", "2027-01-31T24:00:00Z", "2027-01-31T18:60:00Z",
        "2027-01-31T18:00:60Z", "2027-01-31T18:00:00+01:00", "2027-01-31 ", "-027-01-31"})
    EXPECT_FALSE(ParseUtc(text).has_value()) << text;
}

}  // namespace
}  // namespace allot
