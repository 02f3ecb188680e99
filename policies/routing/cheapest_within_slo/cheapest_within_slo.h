// Good when an objective stands and the question is which device is the cheapest that keeps it.
//
// Assumes that the predictions at the objective's percentile are about right, and that a request
// costs price × expected time ÷ concurrency on a replica. The rule, first match:
//   1. a share `explore_ratio` of requests goes to a device with few observations;
//   2. a never-observed, idle replica that would be cheaper than the choice of 3 gets one request;
//   3. the cheapest replica that is observed and within the objective;
//   4. none: the cheapest never-observed one, idle ones first, if there is any;
//   5. none: the one predicted fastest (reason none_within_slo).
// Without any objective every replica is within it, so the cheapest is taken.
//
// A full replica is not waited for while another keeps the objective: both are leased and paid
// either way. Only when no other does, the router may queue for it (WaitsForObjective).
// Not when requests of one deployment differ by orders of magnitude in length: split it.
#pragma once

#include "policies/api/routing_policy.h"
#include "policies/routing/explore.h"

namespace allot::policies {

class CheapestWithinSlo final : public RoutingPolicy {
 public:
  explicit CheapestWithinSlo(double explore_ratio) : explore_(explore_ratio) {}
  RouteChoice Choose(std::span<const ReplicaView> views, RouteMemory& memory,
                     Rng& rng) const override;
  bool WaitsForObjective() const override { return true; }

 private:
  ExploreRatio explore_;
};

}  // namespace allot::policies
