#include "policies/routing/explore.h"

#include <tuple>

namespace allot::policies {

ExploreRatio::ExploreRatio(double ratio)
    : millionths_(ratio <= 0   ? 0
                  : ratio >= 1 ? 1'000'000
                               : static_cast<uint64_t>(ratio * 1e6 + 0.5)) {}

std::optional<uint32_t> Explore(std::span<const ReplicaView> views, const ExploreRatio& ratio,
                                Rng& rng) {
  std::optional<uint32_t> least;
  for (uint32_t i = 0; i < views.size(); ++i) {
    const ReplicaView& view = views[i];
    if (view.samples >= kFewSamples || view.far_outside) continue;
    if (!least.has_value() || std::tie(view.samples, view.cost_nanos) <
                                  std::tie(views[*least].samples, views[*least].cost_nanos))
      least = i;
  }
  if (!least.has_value() || !ratio.Draw(rng)) return std::nullopt;
  return least;
}

std::optional<uint32_t> Unobserved(std::span<const ReplicaView> views) {
  std::optional<uint32_t> cheapest;
  for (uint32_t i = 0; i < views.size(); ++i) {
    if (views[i].samples > 0 || views[i].in_flight > 0) continue;
    if (!cheapest.has_value() || views[i].cost_nanos < views[*cheapest].cost_nanos) cheapest = i;
  }
  return cheapest;
}

}  // namespace allot::policies
