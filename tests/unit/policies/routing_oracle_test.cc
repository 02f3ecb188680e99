// What each policy's README says it chooses, stated anew by trying every view, against random views
// with many ties. Exploring is left out here (explore 0): routing_policies_test.cc has it.
#include <rapidcheck.h>

#include <algorithm>
#include <tuple>

#include "common/base/rng.h"
#include "common/model/policy.h"
#include "gtest/gtest.h"
#include "policies/api/registry.h"

namespace allot::policies {
namespace {

// Few values, so that views tie in some of their fields.
std::vector<ReplicaView> SomeViews(Rng& rng) {
  std::vector<ReplicaView> views(1 + rng.Below(8));
  uint32_t index = 0;
  for (ReplicaView& view : views) {
    index += static_cast<uint32_t>(1 + rng.Below(2));
    view.index = index;
    view.concurrency = static_cast<uint32_t>(1 + rng.Below(4));
    view.in_flight = static_cast<uint32_t>(rng.Below(view.concurrency));
    view.predicted = std::chrono::milliseconds(100 * (1 + rng.Below(4)));
    view.predicted_ttft = view.predicted / 4;
    view.expected = view.predicted / 2;
    view.within_objective = rng.OneIn(2);
    view.samples = rng.OneIn(3) ? 0 : static_cast<uint32_t>(1 + rng.Below(100));
    view.cost_nanos = static_cast<int64_t>(1 + rng.Below(4));
  }
  return views;
}

std::unique_ptr<RoutingPolicy> Make(const std::string& algorithm) {
  RoutingParameters parameters;
  parameters.algorithm = algorithm;
  parameters.explore_ratio = 0;
  auto policy = MakeRoutingPolicy(parameters);
  EXPECT_TRUE(policy.ok()) << policy.status();
  return policy.ok() ? *std::move(policy) : nullptr;
}

// Is there no view for which `better(view, chosen)`?
template <class Better>
bool NoneIs(const std::vector<ReplicaView>& views, const ReplicaView& chosen, Better better) {
  return std::none_of(views.begin(), views.end(),
                      [&](const ReplicaView& view) { return better(view, chosen); });
}

// Nothing is in flight there and nothing was ever observed.
bool IdleGuess(const ReplicaView& view) { return view.samples == 0 && view.in_flight == 0; }

template <class Check>
void ForRandomViews(const std::string& algorithm, Check check) {
  const std::unique_ptr<RoutingPolicy> policy = Make(algorithm);
  ASSERT_NE(policy, nullptr);
  EXPECT_TRUE(rc::check(algorithm, [&](uint64_t seed) {
    Rng rng(seed);
    RouteMemory memory;
    for (int i = 0; i < 50; ++i) {
      const std::vector<ReplicaView> views = SomeViews(rng);
      const RouteMemory before = memory;
      const RouteChoice choice = policy->Choose(views, memory, rng);
      RC_ASSERT(choice.view < views.size());
      check(views, choice, before);
    }
  }));
}

TEST(RoutingOracle, CheapestWithinSlo) {
  ForRandomViews("cheapest_within_slo", [](const std::vector<ReplicaView>& views,
                                           const RouteChoice& choice, const RouteMemory&) {
    const ReplicaView& chosen = views[choice.view];
    const bool any_within = std::any_of(views.begin(), views.end(),
                                        [](const ReplicaView& v) { return v.within_objective; });
    // Whatever keeps the promise goes before whatever does not.
    RC_ASSERT(chosen.within_objective == any_within);
    if (!any_within) {
      RC_ASSERT(choice.reason == RouteReason::kNoneWithinSlo);
      RC_ASSERT(NoneIs(views, chosen, [](const ReplicaView& a, const ReplicaView& b) {
        return std::tie(a.predicted, a.cost_nanos, a.in_flight) <
               std::tie(b.predicted, b.cost_nanos, b.in_flight);
      }));
      return;
    }
    const auto cheaper_known = [](const ReplicaView& a, const ReplicaView& b) {
      return a.within_objective && a.samples > 0 &&
             std::tie(a.cost_nanos, a.predicted, a.in_flight) <
                 std::tie(b.cost_nanos, b.predicted, b.in_flight);
    };
    if (choice.reason == RouteReason::kCheapestWithinSlo) {
      RC_ASSERT(chosen.samples > 0);
      RC_ASSERT(NoneIs(views, chosen, cheaper_known));
      return;
    }
    // A guess is tried only where it would be cheaper than all that is known, or nothing is known.
    RC_ASSERT(choice.reason == RouteReason::kExploring);
    RC_ASSERT(chosen.samples == 0);
    RC_ASSERT(NoneIs(views, chosen, [](const ReplicaView& a, const ReplicaView& b) {
      return a.within_objective && a.samples > 0 && a.cost_nanos <= b.cost_nanos;
    }));
  });
}

TEST(RoutingOracle, CheapestTakesWhatIsKnownUnlessAnIdleGuessIsCheaper) {
  ForRandomViews("cheapest_within_slo", [](const std::vector<ReplicaView>& views,
                                           const RouteChoice& choice, const RouteMemory&) {
    const bool known = std::any_of(views.begin(), views.end(), [](const ReplicaView& v) {
      return v.within_objective && v.samples > 0;
    });
    if (!known) return;
    if (views[choice.view].samples == 0) RC_ASSERT(IdleGuess(views[choice.view]));
  });
}

TEST(RoutingOracle, Fastest) {
  ForRandomViews("fastest", [](const std::vector<ReplicaView>& views, const RouteChoice& choice,
                               const RouteMemory&) {
    const ReplicaView& chosen = views[choice.view];
    if (choice.reason == RouteReason::kExploring) {
      RC_ASSERT(IdleGuess(chosen));
      return;
    }
    RC_ASSERT(std::none_of(views.begin(), views.end(), IdleGuess));
    RC_ASSERT(NoneIs(views, chosen, [](const ReplicaView& a, const ReplicaView& b) {
      if ((a.samples > 0) != (b.samples > 0)) return a.samples > 0;
      return std::tie(a.predicted, a.cost_nanos, a.in_flight) <
             std::tie(b.predicted, b.cost_nanos, b.in_flight);
    }));
  });
}

TEST(RoutingOracle, LeastOutstandingTakesTurnsAmongEquals) {
  ForRandomViews("least_outstanding", [](const std::vector<ReplicaView>& views,
                                         const RouteChoice& choice, const RouteMemory& before) {
    const auto load = [](const ReplicaView& v) {
      return static_cast<double>(v.in_flight) / v.concurrency;
    };
    const ReplicaView& chosen = views[choice.view];
    RC_ASSERT(NoneIs(views, chosen, [&](const ReplicaView& a, const ReplicaView& b) {
      return load(a) < load(b);
    }));
    // Of equals the first behind the last choice, round the end.
    std::optional<uint32_t> first, after;
    for (uint32_t i = 0; i < views.size(); ++i) {
      if (load(views[i]) > load(chosen)) continue;
      if (!first) first = i;
      // Before any turn the last index is the greatest there is, so that all begin at the first.
      if (!after && views[i].index > before.last_index) after = i;
    }
    RC_ASSERT(choice.view == after.value_or(*first));
  });
}

TEST(RoutingOracle, RoundRobin) {
  ForRandomViews("round_robin", [](const std::vector<ReplicaView>& views, const RouteChoice& choice,
                                   const RouteMemory& before) {
    uint32_t expected = 0;
    for (uint32_t i = static_cast<uint32_t>(views.size()); i-- > 0;)
      if (views[i].index > before.last_index) expected = i;
    RC_ASSERT(choice.view == expected);
  });
}

}  // namespace
}  // namespace allot::policies
