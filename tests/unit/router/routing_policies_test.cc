// Tables of fleets, one row a case, arithmetic in comments.
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "policies/api/registry.h"
#include "policies/routing/balanced/balanced.h"
#include "policies/routing/cheapest_within_slo/cheapest_within_slo.h"
#include "policies/routing/explore.h"
#include "policies/routing/fastest/fastest.h"
#include "policies/routing/least_outstanding/least_outstanding.h"
#include "policies/routing/round_robin/round_robin.h"

namespace allot::policies {
namespace {

// A replica as the tables write it: price in $/h, times in ms.
struct Row {
  double price = 1;
  int64_t predicted_ms = 0;
  bool within = true;
  uint32_t samples = 100;
  uint32_t in_flight = 0, concurrency = 4;
  bool far_outside = false;
};

std::vector<ReplicaView> Views(const std::vector<Row>& rows) {
  std::vector<ReplicaView> views;
  for (const Row& row : rows) {
    ReplicaView view;
    view.index = static_cast<uint32_t>(views.size());
    view.in_flight = row.in_flight;
    view.concurrency = row.concurrency;
    view.price = PriceRate{static_cast<int64_t>(row.price * 1e6)};
    view.predicted = view.expected = std::chrono::milliseconds(row.predicted_ms);
    view.within_objective = row.within;
    view.far_outside = row.far_outside;
    view.samples = row.samples;
    // $/h × ms ÷ places: 1 $/h is 1e9/3.6e6 = 277.8 nano-dollars a millisecond.
    view.cost_nanos = static_cast<int64_t>(row.price * 1e9 / 3.6e6 *
                                           static_cast<double>(row.predicted_ms) / row.concurrency);
    views.push_back(view);
  }
  return views;
}

struct Case {
  std::string name;
  std::vector<Row> rows;
  uint32_t chosen;
  RouteReason reason;
};

void Check(const RoutingPolicy& policy, const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    RouteMemory memory;
    Rng rng(1);
    const RouteChoice choice = policy.Choose(Views(c.rows), memory, rng);
    EXPECT_EQ(choice.view, c.chosen);
    EXPECT_EQ(ToString(choice.reason), ToString(c.reason));
  }
}

TEST(CheapestWithinSlo, TakesTheLeastCostThatKeepsTheObjective) {
  constexpr RouteReason kCheapest = RouteReason::kCheapestWithinSlo;
  Check(CheapestWithinSlo(0),
        {
            // 0.4 × 300 ÷ 4 = 30 against 2.5 × 20 ÷ 4 = 12.5: a dear device can be the cheaper one.
            {"fast enough to be cheaper", {{0.4, 300}, {2.5, 20}}, 1, kCheapest},
            // 0.4 × 100 ÷ 4 = 10 against 12.5.
            {"cheap and within", {{0.4, 100}, {2.5, 20}}, 0, kCheapest},
            {"cheap and too slow", {{0.4, 100, false}, {2.5, 20}}, 1, kCheapest},
            {"equal cost: the faster", {{1, 40}, {2, 20}}, 1, kCheapest},
            {"equal in all: the emptier",
             {{.price = 1, .predicted_ms = 40, .in_flight = 2}, {.price = 1, .predicted_ms = 40}},
             1,
             kCheapest},
            {"none within: the fastest",
             {{0.4, 300, false}, {2.5, 120, false}},
             1,
             RouteReason::kNoneWithinSlo},
            {"free of charge", {{0, 500}, {1, 1}}, 0, kCheapest},
        });
}

TEST(CheapestWithinSlo, TriesWhatItDoesNotKnow) {
  constexpr RouteReason kExploring = RouteReason::kExploring;
  Check(CheapestWithinSlo(0),
        {
            {"cheaper and unknown: one request", {{0.1, 20, true, 0}, {2.5, 20}}, 0, kExploring},
            {"dearer and unknown: not at this cost",
             {{1, 20}, {2.5, 20, true, 0}},
             0,
             RouteReason::kCheapestWithinSlo},
            {"asked already, no answer yet",
             {{.price = 0.1, .predicted_ms = 20, .samples = 0, .in_flight = 1}, {2.5, 20}},
             1,
             RouteReason::kCheapestWithinSlo},
            {"known ones all miss it", {{0.4, 300, false}, {9, 300, true, 0}}, 1, kExploring},
            {"nothing known, one asked already: the idle one",
             {{.price = 0.1, .predicted_ms = 50, .samples = 0, .in_flight = 1}, {5, 50, true, 0}},
             1,
             kExploring},
        });
}

TEST(CheapestWithinSlo, NeverExploresWhatIsKnownToBeFarOutside) {
  const CheapestWithinSlo always(1.0);
  Check(
      always,
      {
          {"few samples and near: explored",
           {{0.1, 150, false, 3}, {2.5, 20}},
           0,
           RouteReason::kExploring},
          {"few samples and far outside: left alone",
           {{.price = 0.1, .predicted_ms = 900, .within = false, .samples = 1, .far_outside = true},
            {2.5, 20}},
           1,
           RouteReason::kCheapestWithinSlo},
          {"nothing left to learn", {{0.4, 100}, {2.5, 20}}, 0, RouteReason::kCheapestWithinSlo},
          {"the least known first",
           {{1, 20, true, 7}, {1, 20, true, 2}, {1, 20}},
           1,
           RouteReason::kExploring},
      });
}

TEST(Explore, SpendsTheShareItWasGiven) {
  const auto views = Views({{1, 20, true, 1}, {1, 20}});
  Rng rng(7);
  const ExploreRatio twentieth(0.05);
  int explored = 0;
  for (int i = 0; i < 100'000; ++i) explored += Explore(views, twentieth, rng).has_value();
  // 5,000 expected, standard deviation √(100,000 × 0.05 × 0.95) = 69; the seed is fixed.
  EXPECT_NEAR(explored, 5'000, 300);
}

TEST(Fastest, TakesTheLeastPredictedTime) {
  Check(Fastest(0),
        {
            {"dear and fast", {{0.1, 30}, {9, 20}}, 1, RouteReason::kFastest},
            {"equal: the cheaper", {{9, 20}, {1, 20}}, 1, RouteReason::kFastest},
            {"unknown and idle: once", {{1, 20}, {9, 20, true, 0}}, 1, RouteReason::kExploring},
            {"a guess never beats what was seen",
             {{.price = 1, .predicted_ms = 10, .samples = 0, .in_flight = 1}, {1, 20}},
             1,
             RouteReason::kFastest},
        });
}

TEST(Balanced, WeighsTimeAgainstMoney) {
  // A: 0.4 $/h × 100 ms ÷ 4 = 2,778 n$. B: 2.5 $/h × 20 ms ÷ 4 = 3,472 n$.
  const std::vector<Row> fleet = {{0.4, 100}, {2.5, 20}};
  // Worth nothing: A. At $0.001/s A is 2,778 + 100,000 and B 3,472 + 20,000.
  Check(Balanced(0, 0), {{"time is free", fleet, 0, RouteReason::kBalanced}});
  Check(Balanced(0, 1'000'000), {{"time has a price", fleet, 1, RouteReason::kBalanced}});
  // A person-hour of $0.02 is 5,556 n$/s: A 2,778 + 556, B 3,472 + 111, so A; of $0.2 it is B.
  Check(Balanced(0, 5'556), {{"time is nearly free", fleet, 0, RouteReason::kBalanced}});
  Check(Balanced(0, 55'556), {{"and so it counts", fleet, 1, RouteReason::kBalanced}});
  Check(Balanced(0, 0),
        {{"what keeps the objective comes first",
          {{0.4, 100, false}, {2.5, 20}},
          1,
          RouteReason::kBalanced},
         {"none keeps it", {{0.4, 100, false}, {2.5, 20, false}}, 0, RouteReason::kNoneWithinSlo}});
}

TEST(Balanced, ScoreSaturatesInsteadOfWrapping) {
  ReplicaView view;
  view.expected = std::chrono::hours(100'000);
  view.cost_nanos = 1;
  EXPECT_EQ(BalancedScore(view, INT64_MAX / 2), INT64_MAX);
  // 3.6e14 µs × 1e8 n$/s is more than 63 bits hold, and their quotient is exact all the same.
  EXPECT_EQ(BalancedScore(view, 1'000), 360'000'000'000 + 1);
  EXPECT_EQ(BalancedScore(view, 100'000'000), 36'000'000'000'000'000 + 1);
}

TEST(LeastOutstanding, ComparesSharesNotCounts) {
  Check(LeastOutstanding(),
        {
            // 1/2 against 3/8
            {"share of the concurrency",
             {{.in_flight = 1, .concurrency = 2}, {.in_flight = 3, .concurrency = 8}},
             1,
             RouteReason::kLeastOutstanding},
            {"idle", {{.in_flight = 1}, {.in_flight = 0}}, 1, RouteReason::kLeastOutstanding},
        });
}

TEST(LeastOutstanding, EqualsTakeTurns) {
  const auto views = Views({{}, {}, {}});
  RouteMemory memory;
  Rng rng(1);
  std::vector<uint32_t> turns;
  for (int i = 0; i < 4; ++i) turns.push_back(LeastOutstanding().Choose(views, memory, rng).view);
  EXPECT_THAT(turns, ::testing::ElementsAre(0, 1, 2, 0));
}

TEST(RoundRobin, GoesOnBehindTheLastEvenIfOneIsMissing) {
  auto views = Views({{}, {}, {}});
  RouteMemory memory;
  Rng rng(1);
  EXPECT_EQ(RoundRobin().Choose(views, memory, rng).view, 0u);
  views.erase(views.begin() + 1);  // Indices 0 and 2 are left.
  EXPECT_EQ(views[RoundRobin().Choose(views, memory, rng).view].index, 2u);
  EXPECT_EQ(views[RoundRobin().Choose(views, memory, rng).view].index, 0u);
}

TEST(RoutingRegistry, MakesEveryPolicyItNames) {
  for (const std::string& name : RoutingPolicyNames())
    EXPECT_TRUE(MakeRoutingPolicy({name, 0.02, 0}).ok()) << name;
}

TEST(RoutingRegistry, SaysWhatThereIsWhenAskedForAnother) {
  const auto made = MakeRoutingPolicy({"fastets", 0.02, 0});
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(MessageOf(made.status()), ::testing::HasSubstr("cheapest_within_slo"));
  EXPECT_FALSE(MakeRoutingPolicy({"fastest", -1, 0}).ok());
  EXPECT_FALSE(MakeRoutingPolicy({"fastest", 1.5, 0}).ok());
  EXPECT_FALSE(MakeRoutingPolicy({"balanced", 0, -1}).ok());
}

}  // namespace
}  // namespace allot::policies
