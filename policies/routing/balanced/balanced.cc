#include "policies/routing/balanced/balanced.h"

#include <algorithm>
#include <limits>

namespace allot::policies {

int64_t BalancedScore(const ReplicaView& view, int64_t value_nanos_per_second) {
  constexpr int64_t kMicrosPerSecond = 1'000'000, kMost = std::numeric_limits<int64_t>::max();
  int64_t value = 0, score = 0;
  if (!__builtin_mul_overflow(view.expected.count(), value_nanos_per_second, &value)) {
    value /= kMicrosPerSecond;
  } else {  // Rare, and wide division is slow.
    const auto product = static_cast<__int128>(view.expected.count()) * value_nanos_per_second;
    value = static_cast<int64_t>(std::min<__int128>(product / kMicrosPerSecond, kMost));
  }
  return __builtin_add_overflow(value, view.cost_nanos, &score) ? kMost : score;
}

RouteChoice Balanced::Choose(std::span<const ReplicaView> views, RouteMemory&, Rng& rng) const {
  if (const auto unknown = Unobserved(views)) return {*unknown, RouteReason::kExploring};
  if (const auto little = Explore(views, explore_, rng)) return {*little, RouteReason::kExploring};
  uint32_t best = 0;
  int64_t best_score = BalancedScore(views[0], value_nanos_per_second_);
  for (uint32_t i = 1; i < views.size(); ++i) {
    const bool within = views[i].within_objective, best_within = views[best].within_objective;
    const int64_t score = BalancedScore(views[i], value_nanos_per_second_);
    if (within != best_within ? within : score < best_score) {
      best = i;
      best_score = score;
    }
  }
  const bool kept = views[best].within_objective;
  return {best, kept ? RouteReason::kBalanced : RouteReason::kNoneWithinSlo};
}

}  // namespace allot::policies
