// Good when replicas are alike and requests are alike. The next replica in order of index that
// has room. Not for mixed fleets: a slow device gets as much as a fast one.
#pragma once

#include "policies/api/routing_policy.h"

namespace allot::policies {

class RoundRobin final : public RoutingPolicy {
 public:
  RouteChoice Choose(std::span<const ReplicaView> views, RouteMemory& memory,
                     Rng& rng) const override;
};

}  // namespace allot::policies
