#include "common/model/policy.h"
#include "gtest/gtest.h"

namespace allot {
namespace {

PriceBook Book() {
  PriceBook book;
  book.rows = {{.model = "nvidia/h100*", .rate = {3'000'000}},
               {.model = "nvidia/*", .rate = {1'000'000}},
               {.model = "amd/epyc-9654", .rate = {4'800'000}},
               {.model = "own/box", .rate = {500'000}, .watts = 700}};
  book.other_gpu = {2'000'000};
  book.other_cpu_core = {50'000};
  book.other_asic = {1'500'000};
  book.energy_micros_per_kwh = 200'000;
  return book;
}

TEST(PriceOf, TakesTheFirstRowThatMatches) {
  EXPECT_EQ(PriceOf(Book(), {.model = "nvidia/h100-sxm-80g"}), PriceRate{3'000'000});
  EXPECT_EQ(PriceOf(Book(), {.model = "nvidia/l4"}), PriceRate{1'000'000});
}

TEST(PriceOf, FallsBackByKind) {
  EXPECT_EQ(PriceOf(Book(), {.kind = DeviceKind::kGpu, .model = "x/y"}), PriceRate{2'000'000});
  EXPECT_EQ(PriceOf(Book(), {.kind = DeviceKind::kAsic, .model = "x/y"}), PriceRate{1'500'000});
  EXPECT_EQ(PriceOf(Book(), {.kind = DeviceKind::kCpu, .model = "x/y", .cores = 8}),
            PriceRate{400'000});
}

TEST(PriceOf, AddsEnergyWhereTheRowNamesWatts) {
  // 0.7 kW at 20 cents: 14 cents an hour on top of 50.
  EXPECT_EQ(PriceOf(Book(), {.model = "own/box"}), PriceRate{640'000});
}

TEST(PriceOf, OfAPartIsItsPartOfTheWhole) {
  EXPECT_EQ(PriceOf(Book(), {.model = "nvidia/h100-sxm-80g", .part_millis = 250}),
            PriceRate{750'000});
  EXPECT_EQ(PriceOf(Book(), {.model = "own/box", .part_millis = 125}), PriceRate{80'000});
}

TEST(PriceOf, ADeviceWithAContractHasThePriceOfIt) {
  EXPECT_EQ(PriceOf(Book(), {.model = "nvidia/h100-sxm-80g", .price = PriceRate{900'000}}),
            PriceRate{900'000});
  EXPECT_EQ(PriceOf(Book(), {.model = "own/box", .price = PriceRate{0}}), PriceRate{0});
}

// 22 to 6 at half price and 5 cents a kWh; 6 to 9 at 30 cents.
PriceBook BookByHours() {
  PriceBook book = Book();
  book.hours = {{.from = 22, .to = 6, .energy_micros_per_kwh = 50'000, .factor = 0.5},
                {.from = 6, .to = 9, .energy_micros_per_kwh = 300'000}};
  return book;
}

Time At(int hours, int minutes = 0, int days = 20'000) {
  return Time(std::chrono::hours(24 * days + hours) + std::chrono::minutes(minutes));
}

TEST(HoursAt, AreTheFirstThatHold) {
  const struct {
    const char* name;
    Time at;
    int32_t offset_minutes;
    int row;  // -1: none
    std::optional<Time> end;
  } kRows[] = {
      {"before midnight", At(23), 0, 0, At(24 + 6)},
      {"after midnight", At(3, 59), 0, 0, At(6)},
      {"the last minute", At(5, 59), 0, 0, At(6)},
      {"the next row", At(6), 0, 1, At(9)},
      {"no row", At(9), 0, -1, At(22)},
      {"no row, late", At(21, 59), 0, -1, At(22)},
      {"east of UTC", At(21), 60, 0, At(24 + 5)},
      {"half an hour east", At(21, 30), 30, 0, At(24 + 5, 30)},
      {"west of UTC", At(6), -60, 0, At(7)},
      {"before the epoch", At(23, 0, -2), 0, 0, At(24 + 6, 0, -2)},
  };
  for (const auto& row : kRows) {
    PriceBook book = BookByHours();
    book.utc_offset_minutes = row.offset_minutes;
    const PriceHours* expected = row.row < 0 ? nullptr : &book.hours[static_cast<size_t>(row.row)];
    EXPECT_EQ(HoursAt(book, row.at), expected) << row.name;
    EXPECT_EQ(HoursEnd(book, row.at), row.end) << row.name;
  }
}

TEST(HoursAt, WholeDaysNeverEnd) {
  PriceBook book = Book();
  EXPECT_EQ(HoursEnd(book, At(5)), std::nullopt);
  book.hours = {{.from = 7, .to = 7, .factor = 2}};
  EXPECT_EQ(HoursAt(book, At(3)), &book.hours[0]);
  EXPECT_EQ(HoursEnd(book, At(5)), std::nullopt);
}

TEST(PriceOf, FollowsTheHour) {
  const PriceBook book = BookByHours();
  const PriceHours *night = &book.hours[0], *morning = &book.hours[1];
  EXPECT_EQ(PriceOf(book, {.model = "nvidia/h100-sxm-80g"}, night), PriceRate{1'500'000});
  EXPECT_EQ(PriceOf(book, {.model = "nvidia/h100-sxm-80g"}, morning), PriceRate{3'000'000});
  EXPECT_EQ(PriceOf(book, {.kind = DeviceKind::kAsic, .model = "x/y"}, night), PriceRate{750'000});
  // 0.7 kW: at 5 cents 3.5 cents an hour on top of half of 50, at 30 cents 21 on top of 50.
  EXPECT_EQ(PriceOf(book, {.model = "own/box"}, night), PriceRate{285'000});
  EXPECT_EQ(PriceOf(book, {.model = "own/box"}, morning), PriceRate{710'000});
  const Device epyc{.kind = DeviceKind::kCpu, .model = "amd/epyc-9654", .cores = 96};
  EXPECT_EQ(PriceOfCpuShare(book, epyc, 1'000, night), PriceRate{25'000});
}

TEST(PriceOf, OfAPartFollowsTheHourAndAContractDoesNot) {
  const PriceBook book = BookByHours();
  const PriceHours* night = &book.hours[0];
  EXPECT_EQ(PriceOf(book, {.model = "nvidia/h100-sxm-80g", .part_millis = 250}, night),
            PriceRate{375'000});
  EXPECT_EQ(PriceOf(book, {.model = "nvidia/h100-sxm-80g", .price = PriceRate{900'000}}, night),
            PriceRate{900'000});
}

TEST(PowerOf, OfAPartIsItsPartOfTheRowsAndOfAnEndpointNothing) {
  EXPECT_EQ(PowerOf(Book(), {.model = "own/box", .part_millis = 125}), 87'500);
  EXPECT_EQ(PowerOf(Book(), {.model = "l4", .part_millis = 125, .power_max = 9'000}), 9'000);
  EXPECT_EQ(PowerOf(Book(), {.model = "own/box", .endpoint = "https://far.example"}), 0);
}

TEST(PowerOf, IsTheRowsOrTheDevicesOwn) {
  Device box{.model = "own/box"};
  EXPECT_EQ(PowerOf(Book(), box), 700'000);
  box.power_max = 400'000;
  EXPECT_EQ(PowerOf(Book(), box), 700'000);
  Device l4{.model = "nvidia/l4"};
  EXPECT_EQ(PowerOf(Book(), l4), std::nullopt);
  l4.power_max = 72'000;
  EXPECT_EQ(PowerOf(Book(), l4), 72'000);
}

TEST(PriceOfCpuShare, IsTheShareOfTheWholeDevice) {
  const Device epyc{.kind = DeviceKind::kCpu, .model = "amd/epyc-9654", .cores = 96};
  EXPECT_EQ(PriceOfCpuShare(Book(), epyc, 96'000), PriceRate{4'800'000});
  EXPECT_EQ(PriceOfCpuShare(Book(), epyc, 1'000), PriceRate{50'000});
  EXPECT_EQ(PriceOfCpuShare(Book(), epyc, 1), PriceRate{50});
  EXPECT_EQ(PriceOfCpuShare(Book(), epyc, 0), PriceRate{0});
  // 4.8 dollars over 7 cores of which it has 1: 685714.28… micro-dollars.
  Device seven = epyc;
  seven.cores = 7;
  EXPECT_EQ(PriceOfCpuShare(Book(), seven, 1'000), PriceRate{685'714});
}

}  // namespace
}  // namespace allot
