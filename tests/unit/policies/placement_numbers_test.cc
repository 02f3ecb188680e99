// What a placement costs, to the micro-dollar; arithmetic in comments.
#include "gtest/gtest.h"
#include "policies/api/registry.h"
#include "policies/placement/best_fit/best_fit.h"
#include "policies/placement/cheapest/cheapest.h"
#include "policies/placement/spread/spread.h"

namespace allot::policies {
namespace {

// 2 of 8 free devices at 1000 µ$/h each, on a node with as much of the rest as it takes.
PlacementView OfDevices() {
  PlacementView view;
  view.price = PriceRate{2'000};
  view.worth = 1;
  view.device_price = PriceRate{1'000};
  view.devices_asked = 2;
  view.devices_free = view.devices_total = 8;
  view.cpus_asked = 1'000;
  view.cpus_free = view.cpus_total = 8'000;
  view.memory_asked = 10;
  view.memory_free = 80;
  return view;
}

// 2 of 8 free cores at 1 $/h each, of a node that costs 10 $/h.
PlacementView OfCores() {
  PlacementView view;
  view.price = PriceRate{2'000'000};
  view.worth = 1;
  view.node_price = PriceRate{10'000'000};
  view.cpus_asked = 2'000;
  view.cpus_free = view.cpus_total = 8'000;
  return view;
}

TEST(PricePerWork, IsExact) {
  EXPECT_EQ(PricePerWork(PriceRate{100}, 1.0), 100);
  EXPECT_EQ(PricePerWork(PriceRate{100}, 2.0), 50);
  EXPECT_EQ(PricePerWork(PriceRate{100}, 0.5), 200);
  EXPECT_EQ(PricePerWork(PriceRate{1'000'000}, 3.0004), 333'333);  // by 3.000
  EXPECT_EQ(PricePerWork(PriceRate{1'000'000}, 3.0006), 333'222);  // by 3.001
  EXPECT_EQ(PricePerWork(PriceRate{100}, 0), 100'000);
  EXPECT_EQ(PricePerWork(PriceRate{5'000'000'000}, 2e6), 5'000);
}

TEST(Fragmentation, OfDevices) {
  // 6·2 pieces after it and 8·0 before, of 8: 1000 · 12 / 8
  EXPECT_EQ(FragmentationCost(OfDevices()), 1'500);
  PlacementView half = OfDevices();
  half.devices_free = 4;  // 2·6 − 4·4
  EXPECT_EQ(FragmentationCost(half), -500);
  PlacementView none = OfDevices();
  none.devices_total = 0;
  EXPECT_EQ(FragmentationCost(none), 0);
  PlacementView single = OfDevices();
  single.devices_asked = single.devices_free = single.devices_total = 1;
  EXPECT_EQ(FragmentationCost(single), 0);
}

// What is left is of no use to another like it: 6 devices are lost.
TEST(Fragmentation, OfDevicesThatAreStarved) {
  PlacementView view = OfDevices();
  view.cpus_free = 2'000;
  EXPECT_EQ(FragmentationCost(view), 1'500) << "there is enough for one more";
  view.cpus_free = 1'999;
  EXPECT_EQ(FragmentationCost(view), 7'500);
  view = OfDevices();
  view.memory_free = 20;
  EXPECT_EQ(FragmentationCost(view), 1'500);
  view.memory_free = 19;
  EXPECT_EQ(FragmentationCost(view), 7'500);
  view.devices_free = 3;  // 1·7 − 3·5, of 8; and one is lost
  EXPECT_EQ(FragmentationCost(view), 0);
  view.devices_free = 2;  // 0 − 2·6: none is left to be lost
  EXPECT_EQ(FragmentationCost(view), -1'500);
}

// All cores of a node that has nothing else: nothing is left over.
TEST(Fragmentation, OfAllCoresOfANodeWithoutAccelerators) {
  PlacementView view = OfCores();
  view.cpus_asked = 8'000;
  view.price = view.node_price = PriceRate{8'000'000};
  EXPECT_EQ(FragmentationCost(view), 0);
}

TEST(Fragmentation, OfCores) {
  // 6·2 of 8 at 1 $/h, and of 2 $/h for what else the node has, a quarter.
  EXPECT_EQ(FragmentationCost(OfCores()), 1'500'000 + 500'000);
  PlacementView bare = OfCores();
  bare.node_price = PriceRate{7'000'000};
  EXPECT_EQ(FragmentationCost(bare), 1'500'000);
  PlacementView nothing = OfCores();
  nothing.cpus_asked = 0;
  EXPECT_EQ(FragmentationCost(nothing), 0);
  nothing = OfCores();
  nothing.cpus_total = 0;
  EXPECT_EQ(FragmentationCost(nothing), 0);
  PlacementView one = OfCores();
  one.price = PriceRate{1};
  one.cpus_asked = one.cpus_free = one.cpus_total = 1;
  one.node_price = PriceRate{11};  // 1 for the core, 10 for the rest
  EXPECT_EQ(FragmentationCost(one), 10);
}

TEST(BestFit, AddsWhatItBreaksByItsWeight) {
  const auto score = [](double weight) {
    return MakeBestFit({.fragmentation_weight = weight})->Score(OfDevices()).micros;
  };
  EXPECT_EQ(score(1), 3'500);
  EXPECT_EQ(score(0.5), 2'750);
  EXPECT_EQ(score(0.001), 2'001);
  EXPECT_EQ(score(-1), 2'000);
  EXPECT_EQ(score(5'000), 2'000 + 1'500'000);
  EXPECT_TRUE(MakeBestFit({})->PrefersFull());
}

TEST(Cheapest, IsThePriceForTheWork) {
  PlacementView view = OfDevices();
  view.worth = 4;
  EXPECT_EQ(MakeCheapest({})->Score(view).micros, 500);
  EXPECT_TRUE(MakeCheapest({})->PrefersFull());
}

TEST(Spread, AddsWhatIsTakenAlready) {
  EXPECT_EQ(CrowdingCost(OfDevices()), 500);  // 2 of 8
  PlacementView view = OfDevices();
  view.devices_free = 4;  // 6 of 8
  EXPECT_EQ(CrowdingCost(view), 1'500);
  EXPECT_EQ(MakeSpread({})->Score(view).micros, 3'500);
  EXPECT_FALSE(MakeSpread({})->PrefersFull());
  view.price = PriceRate{};  // counts as a dollar
  EXPECT_EQ(CrowdingCost(view), 750'000);
  view.price = PriceRate{1};
  view.devices_free = 2;
  view.worth = 1'000'000;  // less than a micro-dollar counts as one
  EXPECT_EQ(CrowdingCost(view), 1);
  view.devices_free = 0;  // more is taken than there is
  EXPECT_EQ(CrowdingCost(view), 1);
  view.devices_total = 0;
  EXPECT_EQ(CrowdingCost(view), 0);
  EXPECT_EQ(CrowdingCost(OfCores()), 500'000);  // 2 of 8 cores
  PlacementView cores = OfCores();
  cores.cpus_free = 6'000;
  EXPECT_EQ(CrowdingCost(cores), 1'000'000);
  cores.cpus_free = 80'000;
  EXPECT_EQ(CrowdingCost(cores), 0);
  cores.cpus_total = 0;
  EXPECT_EQ(CrowdingCost(cores), 0);
}

}  // namespace
}  // namespace allot::policies
