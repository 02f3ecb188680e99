#include "policies/routing/balanced/balanced.h"

#include <limits>

namespace allot::policies {

int64_t BalancedScore(const ReplicaView& view, int64_t nanos_per_microsecond) {
  int64_t time_value = 0, score = 0;
  if (__builtin_mul_overflow(view.expected.count(), nanos_per_microsecond, &time_value) ||
      __builtin_add_overflow(view.cost_nanos, time_value, &score))
    return std::numeric_limits<int64_t>::max();
  return score;
}

RouteChoice Balanced::Choose(std::span<const ReplicaView> views, RouteMemory&, Rng& rng) const {
  if (const auto unknown = Unobserved(views)) return {*unknown, RouteReason::kExploring};
  if (const auto little = Explore(views, explore_, rng)) return {*little, RouteReason::kExploring};
  uint32_t best = 0;
  int64_t best_score = BalancedScore(views[0], nanos_per_microsecond_);
  for (uint32_t i = 1; i < views.size(); ++i) {
    const bool within = views[i].within_objective, best_within = views[best].within_objective;
    const int64_t score = BalancedScore(views[i], nanos_per_microsecond_);
    if (within != best_within ? within : score < best_score) {
      best = i;
      best_score = score;
    }
  }
  const bool kept = views[best].within_objective;
  return {best, kept ? RouteReason::kBalanced : RouteReason::kNoneWithinSlo};
}

}  // namespace allot::policies
