// Tables of whole nodes for each placement policy; the arithmetic is written out beside each row.
#include "policies/api/registry.h"
#include "policies/placement/best_fit/best_fit.h"
#include "policies/placement/cheapest/cheapest.h"
#include "policies/placement/spread/spread.h"

#include "gtest/gtest.h"

namespace allot::policies {
namespace {

// A node of `total` accelerators at $1 and 64 cores at $0.10, of which so many are free; the task
// asks for `asked` accelerators and one core.
PlacementView Node(uint32_t asked, uint32_t free, uint32_t total, double worth = 1.0) {
  PlacementView view;
  view.worth = worth;
  view.devices_asked = asked;
  view.devices_free = free;
  view.devices_total = total;
  view.cpus_asked = 1'000;
  view.cpus_free = view.cpus_total = 64'000;
  view.memory_asked = kGiB;
  view.memory_free = view.memory_total = 512 * kGiB;
  view.device_price = {1'000'000};
  view.node_price = {total * 1'000'000 + 6'400'000};
  view.price = {asked * 1'000'000 + 100'000};
  return view;
}

struct Row {
  const char* name;
  PlacementView view;
  int64_t score;
};

void Check(const PlacementPolicy& policy, const std::vector<Row>& rows) {
  for (const Row& row : rows) EXPECT_EQ(policy.Score(row.view).micros, row.score) << row.name;
}

TEST(Cheapest, ScoresPriceByWorth) {
  const auto policy = MakeCheapest({});
  Check(*policy, {
                     {"as it stands", Node(1, 8, 8), 1'100'000},
                     {"twice the worth, half the cost", Node(1, 8, 8, 2.0), 550'000},
                     {"a full node costs the same", Node(1, 1, 8), 1'100'000},
                 });
  EXPECT_TRUE(policy->PrefersFull());
}

TEST(BestFit, AddsWhatThePlacementLeavesHardToUse) {
  const auto policy = MakeBestFit({});
  Check(*policy, {
                     // Fragments f·(t−f)/t: 8 free → 0, 7 free → 7·1/8 = 0.875.
                     {"breaks an empty node", Node(1, 8, 8), 1'100'000 + 875'000},
                     // 1 free → 0.875, 0 free → 0.
                     {"fills the last device", Node(1, 1, 8), 1'100'000 - 875'000},
                     // 5 free → 5·3/8 = 1.875, 4 free → 2.
                     {"in between", Node(1, 5, 8), 1'100'000 + 125'000},
                     // 8 free → 0, 0 free → 0.
                     {"takes a whole node", Node(8, 8, 8), 8'100'000},
                 });
  EXPECT_TRUE(policy->PrefersFull());
}

TEST(BestFit, CountsDevicesThatNoEqualTaskCouldUse) {
  PlacementView view = Node(1, 8, 8);
  view.cpus_asked = 40'000;  // 24 cores stay for 7 devices: no second such task.
  EXPECT_EQ(FragmentationCost(view), 875'000 + 7'000'000);
  view.devices_free = 1;  // Nothing is left to strand.
  EXPECT_EQ(FragmentationCost(view), -875'000);
}

TEST(BestFit, KeepsProcessorWorkOffNodesWithAccelerators) {
  PlacementView plain = Node(0, 0, 0);  // 64 cores, nothing else; $0.10 a core.
  plain.device_price = {};
  // Fragments of cores: 64 free → 0; 63 free → 63·1/64 cores = $0.0984375.
  EXPECT_EQ(FragmentationCost(plain), 98'437);
  PlacementView rich = plain;
  rich.node_price = {8'000'000 + 6'400'000};
  // And 1/64 of the eight accelerators: $0.125.
  EXPECT_EQ(FragmentationCost(rich), 98'437 + 125'000);
}

TEST(BestFit, WithoutWeightIsCheapest) {
  PlacementKnobs knobs;
  knobs.fragmentation_weight = 0;
  EXPECT_EQ(MakeBestFit(knobs)->Score(Node(1, 8, 8)).micros, 1'100'000);
}

TEST(Spread, ChargesForCrowding) {
  const auto policy = MakeSpread({});
  Check(*policy, {
                     // One of eight would be used: 1/8 of the price on top.
                     {"empty", Node(1, 8, 8), 1'100'000 + 137'500},
                     {"last device: as much again", Node(1, 1, 8), 2'200'000},
                 });
  EXPECT_FALSE(policy->PrefersFull());
}

TEST(Spread, SpreadsWhatIsFreeOfCharge) {
  PlacementView view = Node(1, 8, 8);
  view.price = {};
  const int64_t empty = MakeSpread({})->Score(view).micros;
  view.devices_free = 2;
  EXPECT_LT(empty, MakeSpread({})->Score(view).micros);
}

TEST(Trivial, TakesAnyNode) {
  PlacementKnobs knobs;
  knobs.algorithm = "trivial";
  const auto policy = MakePlacementPolicy(knobs, {});
  ASSERT_TRUE(policy.ok());
  EXPECT_EQ((*policy)->Score(Node(1, 8, 8)), (*policy)->Score(Node(4, 4, 8)));
}

TEST(Registry, KnowsEveryNameItLists) {
  for (const std::string& name : PlacementPolicyNames()) {
    PlacementKnobs knobs;
    knobs.algorithm = name;
    EXPECT_TRUE(MakePlacementPolicy(knobs, {}).ok()) << name;
  }
  for (const std::string& name : QueuePolicyNames()) {
    QueueKnobs knobs;
    knobs.algorithm = name;
    EXPECT_TRUE(MakeQueuePolicy(knobs).ok()) << name;
  }
}

TEST(Registry, SaysWhichNamesThereAre) {
  PlacementKnobs knobs;
  knobs.algorithm = "bestfit";
  EXPECT_EQ(
      MessageOf(MakePlacementPolicy(knobs, {}).status()),
      "placement.algorithm is \"bestfit\"; it must be one of best_fit, cheapest, spread, trivial");
}

}  // namespace
}  // namespace allot::policies
