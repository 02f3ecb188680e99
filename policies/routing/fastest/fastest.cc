#include "policies/routing/fastest/fastest.h"

#include <tuple>

namespace allot::policies {

bool IsFaster(const ReplicaView& a, const ReplicaView& b) {
  return std::tie(a.predicted, a.cost_nanos, a.in_flight) <
         std::tie(b.predicted, b.cost_nanos, b.in_flight);
}

RouteChoice Fastest::Choose(std::span<const ReplicaView> views, RouteMemory&, Rng& rng) const {
  if (const auto unknown = Unobserved(views)) return {*unknown, RouteReason::kExploring};
  if (const auto little = Explore(views, explore_, rng)) return {*little, RouteReason::kExploring};
  uint32_t best = 0;
  for (uint32_t i = 1; i < views.size(); ++i) {
    // A guess never beats an observation: the prior is as optimistic as the best one known.
    const bool known = views[i].samples > 0, best_known = views[best].samples > 0;
    if (known != best_known ? known : IsFaster(views[i], views[best])) best = i;
  }
  return {best, RouteReason::kFastest};
}

}  // namespace allot::policies
