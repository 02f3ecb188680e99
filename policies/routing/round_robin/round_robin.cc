#include "policies/routing/round_robin/round_robin.h"

namespace allot::policies {

RouteChoice RoundRobin::Choose(std::span<const ReplicaView> views, RouteMemory& memory,
                               Rng&) const {
  uint32_t next = 0;  // After the last index the turn comes back to the first.
  for (uint32_t i = 0; i < views.size(); ++i) {
    if (views[i].index <= memory.last_index) continue;
    next = i;
    break;
  }
  memory.last_index = views[next].index;
  return {next, RouteReason::kRoundRobin};
}

}  // namespace allot::policies
