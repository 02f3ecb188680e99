#include "common/base/units.h"

#include <limits>

#include "gtest/gtest.h"

namespace allot {
namespace {

TEST(FormatDuration, ShowsTheTwoLargestUnitsThatCount) {
  const std::pair<Duration, const char*> rows[] = {
      {0s, "0s"},
      {7us, "7us"},
      {1500us, "1.5ms"},
      {250ms, "250ms"},
      {999'999us, "999.999ms"},
      {1s, "1s"},
      {1500ms, "1.5s"},
      {59'999ms, "59.999s"},
      {60s, "1m"},
      {200s, "3m20s"},
      {2h, "2h"},
      {2h + 59s, "2h"},
      {90min, "1h30m"},
      {24h, "1d"},
      {30h, "1d6h"},
      {-1500ms, "-1.5s"},
  };
  for (const auto& [duration, text] : rows) EXPECT_EQ(FormatDuration(duration), text);
}

TEST(FormatDuration, NeverRoundsUpIntoTheNextUnit) {
  EXPECT_EQ(FormatDuration(Duration(59'999'999)), "59.999s");
  EXPECT_EQ(FormatDuration(Duration(3'599'999'999)), "59m59s");
}

TEST(FormatDuration, TakesTheExtremes) {
  EXPECT_EQ(FormatDuration(Duration::max()), "106751991d4h");
  EXPECT_EQ(FormatDuration(Duration::min()), "-106751991d4h");
}

TEST(FormatBytes, ShowsBinaryUnits) {
  const std::pair<Bytes, const char*> rows[] = {
      {0, "0B"},
      {1023, "1023B"},
      {kKiB, "1KiB"},
      {512 * kMiB, "512MiB"},
      {kGiB + kGiB / 2, "1.5GiB"},
      {1024 * kGiB, "1TiB"},
      {kGiB - 1, "1023.99MiB"},
      {-kMiB, "-1MiB"},
      {std::numeric_limits<Bytes>::max(), "8191.99PiB"},
  };
  for (const auto& [bytes, text] : rows) EXPECT_EQ(FormatBytes(bytes), text);
}

TEST(FormatCost, KeepsCentsAndCutsWhatIsNotThere) {
  const std::pair<int64_t, const char*> rows[] = {
      {0, "$0.00"},           {1234, "$0.001234"},    {12'500'000, "$12.50"}, {100'000, "$0.10"},
      {1'234'500, "$1.2345"}, {-2'000'000, "-$2.00"}, {999'999, "$0.999999"}};
  for (const auto& [micros, text] : rows) EXPECT_EQ(FormatCost({micros}), text);
}

TEST(CostOf, RoundsToTheNearestMicroDollar) {
  // 3.60 dollars an hour are 1,000 micro-dollars a second.
  const PriceRate rate{3'600'000};
  EXPECT_EQ(CostOf(rate, 1s).micros, 1000);
  EXPECT_EQ(CostOf(rate, 499us).micros, 0);
  EXPECT_EQ(CostOf(rate, 500us).micros, 1);
  // A century of a thousand dollars an hour does not overflow.
  EXPECT_EQ(CostOf({1'000'000'000}, 876'000h).micros, 876'000'000'000'000);
}

}  // namespace
}  // namespace allot
