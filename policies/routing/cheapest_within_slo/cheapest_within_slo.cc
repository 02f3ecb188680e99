#include "policies/routing/cheapest_within_slo/cheapest_within_slo.h"

#include <tuple>

#include "policies/routing/fastest/fastest.h"

namespace allot::policies {
namespace {

bool IsCheaper(const ReplicaView& a, const ReplicaView& b) {
  return std::tie(a.cost_nanos, a.predicted, a.in_flight) <
         std::tie(b.cost_nanos, b.predicted, b.in_flight);
}

}  // namespace

RouteChoice CheapestWithinSlo::Choose(std::span<const ReplicaView> views, RouteMemory&,
                                      Rng& rng) const {
  if (const auto little = Explore(views, explore_, rng)) return {*little, RouteReason::kExploring};

  std::optional<uint32_t> cheapest, guess;
  uint32_t fastest = 0;
  for (uint32_t i = 0; i < views.size(); ++i) {
    const ReplicaView& view = views[i];
    if (IsFaster(view, views[fastest])) fastest = i;
    if (!view.within_objective) continue;
    std::optional<uint32_t>& best = view.samples > 0 ? cheapest : guess;
    if (!best.has_value() || IsCheaper(view, views[*best])) best = i;
  }
  const auto idle = Unobserved(views);
  if (cheapest.has_value()) {
    if (idle.has_value() && views[*idle].within_objective &&
        views[*idle].cost_nanos < views[*cheapest].cost_nanos)
      return {*idle, RouteReason::kExploring};
    return {*cheapest, RouteReason::kCheapestWithinSlo};
  }
  // Idle ones first: at a cold start one request to each tells more than four to one.
  if (idle.has_value() && views[*idle].within_objective) return {*idle, RouteReason::kExploring};
  if (guess.has_value()) return {*guess, RouteReason::kExploring};
  return {fastest, RouteReason::kNoneWithinSlo};
}

}  // namespace allot::policies
