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
