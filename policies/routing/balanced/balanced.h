// Good when time and money can be weighed: the price book says what a second is worth.
//
// The least of (price × expected time ÷ concurrency) + (expected time × value of time), in
// nano-dollars, over the replicas within the objective, or over all when none is. Never-observed
// idle replicas are tried once; a share `explore_ratio` goes to devices little is known of.
// With a value of 0 it is the cheapest, with a large one the fastest on average.
// Not when only a promise counts: cheapest_within_slo keeps it for less.
#pragma once

#include "policies/api/routing_policy.h"
#include "policies/routing/explore.h"

namespace allot::policies {

class Balanced final : public RoutingPolicy {
 public:
  Balanced(double explore_ratio, int64_t value_nanos_per_second)
      : explore_(explore_ratio), value_nanos_per_second_(value_nanos_per_second) {}
  RouteChoice Choose(std::span<const ReplicaView> views, RouteMemory& memory,
                     Rng& rng) const override;
  bool WaitsForObjective() const override { return true; }

 private:
  ExploreRatio explore_;
  int64_t value_nanos_per_second_;
};

// Nano-dollars of one request on `view`, the client's time counted in; saturates.
int64_t BalancedScore(const ReplicaView& view, int64_t value_nanos_per_second);

}  // namespace allot::policies
