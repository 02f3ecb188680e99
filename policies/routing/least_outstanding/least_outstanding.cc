#include "policies/routing/least_outstanding/least_outstanding.h"

namespace allot::policies {
namespace {

// in_flight / concurrency, compared without dividing.
bool LessLoaded(const ReplicaView& a, const ReplicaView& b) {
  return uint64_t{a.in_flight} * b.concurrency < uint64_t{b.in_flight} * a.concurrency;
}

}  // namespace

RouteChoice LeastOutstanding::Choose(std::span<const ReplicaView> views, RouteMemory& memory,
                                     Rng&) const {
  // Starting behind the last choice lets equals take turns.
  uint32_t start = 0;
  while (start < views.size() && views[start].index <= memory.last_index) ++start;
  if (start == views.size()) start = 0;
  uint32_t best = start;
  for (uint32_t i = start + 1; i < views.size(); ++i)
    if (LessLoaded(views[i], views[best])) best = i;
  for (uint32_t i = 0; i < start; ++i)
    if (LessLoaded(views[i], views[best])) best = i;
  memory.last_index = views[best].index;
  return {best, RouteReason::kLeastOutstanding};
}

}  // namespace allot::policies
