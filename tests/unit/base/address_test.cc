#include "common/base/address.h"

#include "gtest/gtest.h"

namespace allot {
namespace {

TEST(Address, IsAHostAndAPort) {
  const auto parsed = [](std::string_view text) {
    const std::optional<Address> address = ParseAddress(text);
    return address ? address->scheme + "|" + address->host + "|" + address->port : "none";
  };
  EXPECT_EQ(parsed("tcp://head:7400"), "tcp://|head|7400");
  EXPECT_EQ(parsed("10.0.0.1:0"), "|10.0.0.1|0");
  EXPECT_EQ(parsed("[fd00::1]:7401"), "|fd00::1|7401");
  EXPECT_EQ(parsed("tcp://[::ffff:10.0.0.1]:1"), "tcp://|::ffff:10.0.0.1|1");
  for (const char* wrong : {"", "head", ":7400", "head:", "head:port", "head:123456",
                            "fd00::1:7400", "tcp://", "tcp://:1", "[[::1]:1", "[[::1]]:1", "a]:1"})
    EXPECT_EQ(parsed(wrong), "none") << wrong;
  for (const char* text : {"tcp://head:7400", "[fd00::1]:7401", "127.0.0.1:1"})
    EXPECT_EQ(ParseAddress(text)->Text(), text);
}

TEST(Address, KnowsWhatMeansNothingElsewhere) {
  for (const char* any :
       {"0.0.0.0", "*", "::", "[::]", "0:0:0:0:0:0:0:0", "[::0]", "::ffff:0.0.0.0", "0"})
    EXPECT_TRUE(IsWildcardHost(any)) << any;
  for (const char* one : {"", "10.0.0.0", "::1", "fd00::", "0.0.0.0.example", "localhost"})
    EXPECT_FALSE(IsWildcardHost(one)) << one;
  EXPECT_TRUE(IsWildcardAddress("tcp://*:7410"));
  EXPECT_TRUE(IsWildcardAddress("[::]:7411"));
  EXPECT_FALSE(IsWildcardAddress("0.0.0.0"));
  EXPECT_TRUE(IsLoopbackAddress("tcp://127.0.0.1:7400"));
  EXPECT_TRUE(IsLoopbackAddress("[::1]:7400"));
  EXPECT_TRUE(IsLoopbackAddress("[::ffff:127.0.0.1]:7400"));
  EXPECT_FALSE(IsLoopbackAddress("10.0.0.1:7400"));
  EXPECT_FALSE(IsLoopbackAddress("127.evil.example:7400"));
}

TEST(Address, ToldIsWhatWasWrittenElseWhatIsBound) {
  EXPECT_EQ(Advertised("tcp://0.0.0.0:7410", "", "10.0.0.5"), "tcp://10.0.0.5:7410");
  EXPECT_EQ(Advertised("[::]:7411", "", "fd00::5"), "[fd00::5]:7411");
  EXPECT_EQ(Advertised("[::]:7411", "", "10.0.0.5"), "10.0.0.5:7411");
  EXPECT_EQ(Advertised("10.0.0.7:7411", "", "10.0.0.5"), "10.0.0.7:7411");
  EXPECT_EQ(Advertised("0.0.0.0:7411", "models.example:443", "10.0.0.5"), "models.example:443");
  EXPECT_EQ(Advertised("0.0.0.0:7411", "", ""), "0.0.0.0:7411");
  EXPECT_EQ(WithScheme("head:7400"), "tcp://head:7400");
  EXPECT_EQ(WithScheme("tcp://head:7400"), "tcp://head:7400");
  EXPECT_EQ(PlainHost("::ffff:10.0.0.1"), "10.0.0.1");
  EXPECT_EQ(PlainHost("fd00::1"), "fd00::1");
}

}  // namespace
}  // namespace allot
