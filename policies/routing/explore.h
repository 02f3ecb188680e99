// Which replica would teach us something? Shared by the policies that go by predictions.
//
// Assumes that replicas of one device model share their observations, so one request teaches
// about all of them. The regret is bounded: a share `ratio` of the requests, and never towards a
// device whose observed times are already known to miss the objective by twice or more.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "common/base/rng.h"
#include "policies/api/routing_policy.h"

namespace allot::policies {

// Below this many observations a prediction at the 95th percentile is little more than the
// largest value seen.
inline constexpr uint32_t kFewSamples = 8;

// A share of requests, kept as an integer so that deciding needs no floating point.
class ExploreRatio {
 public:
  explicit ExploreRatio(double ratio);  // clamped to [0, 1]
  bool Draw(Rng& rng) const { return rng.Below(1'000'000) < millionths_; }

 private:
  uint64_t millionths_;
};

// The view with the fewest samples among those worth learning about (fewer than kFewSamples, not
// far outside), the cheaper of equals. None if nothing is left to learn or the draw says no.
// Draws only when there is something to learn: a settled fleet uses up no randomness.
std::optional<uint32_t> Explore(std::span<const ReplicaView> views, const ExploreRatio& ratio,
                                Rng& rng);

// The cheapest view that was never observed and has nothing in flight: worth one request at
// once, since all its better requests would wait for that knowledge.
std::optional<uint32_t> Unobserved(std::span<const ReplicaView> views);

}  // namespace allot::policies
