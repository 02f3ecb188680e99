// Good when nothing is known of the devices, or when requests differ so much that predictions
// mislead. The replica with the smallest share of its concurrency taken; equals take turns.
// Not when a dear device must be spared: price plays no part.
#pragma once

#include "policies/api/routing_policy.h"

namespace allot::policies {

class LeastOutstanding final : public RoutingPolicy {
 public:
  RouteChoice Choose(std::span<const ReplicaView> views, RouteMemory& memory,
                     Rng& rng) const override;
};

}  // namespace allot::policies
