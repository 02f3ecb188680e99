// Good when every millisecond counts and the devices are paid for anyway. The replica with the
// least predicted end-to-end time at its present load; never-observed devices are tried once, and
// a share `explore_ratio` of requests goes to devices little is known of.
// Not when cheaper devices meet the objective too: see cheapest_within_slo.
#pragma once

#include "policies/api/routing_policy.h"
#include "policies/routing/explore.h"

namespace allot::policies {

class Fastest final : public RoutingPolicy {
 public:
  explicit Fastest(double explore_ratio) : explore_(explore_ratio) {}
  RouteChoice Choose(std::span<const ReplicaView> views, RouteMemory& memory,
                     Rng& rng) const override;

 private:
  ExploreRatio explore_;
};

// Does `a` come before `b`? Less predicted time, then less cost, then fewer in flight.
bool IsFaster(const ReplicaView& a, const ReplicaView& b);

}  // namespace allot::policies
