#include "policies/api/registry.h"
#include "policies/placement/best_fit/best_fit.h"
#include "policies/placement/cheapest/cheapest.h"
#include "policies/placement/spread/spread.h"
#include "policies/placement/trivial/trivial.h"
#include "policies/queue/fair_share/fair_share.h"
#include "policies/queue/fifo/fifo.h"
#include "policies/queue/priority/priority.h"

namespace allot::policies {
namespace {

using MakeQueue = std::unique_ptr<QueuePolicy> (*)(const QueueKnobs&);
using MakePlacement = std::unique_ptr<PlacementPolicy> (*)(const PlacementKnobs&);

// One line for each policy, in order of name.
constexpr std::pair<std::string_view, MakeQueue> kQueues[] = {
    {"fair_share", MakeFairShare},
    {"fifo", MakeFifo},
    {"priority", MakePriority},
};
constexpr std::pair<std::string_view, MakePlacement> kPlacements[] = {
    {"best_fit", MakeBestFit},
    {"cheapest", MakeCheapest},
    {"spread", MakeSpread},
    {"trivial", MakeTrivial},
};

template <class Table>
std::vector<std::string> NamesOf(const Table& table) {
  std::vector<std::string> names;
  for (const auto& [name, make] : table) names.emplace_back(name);
  return names;
}

}  // namespace

StatusOr<std::unique_ptr<QueuePolicy>> MakeQueuePolicy(const QueueKnobs& knobs) {
  for (const auto& [name, make] : kQueues) {
    if (name == knobs.algorithm) return make(knobs);
  }
  return InvalidArgument("queue.algorithm is \"{}\"; it must be one of {}", knobs.algorithm,
                         fmt::join(QueuePolicyNames(), ", "));
}

StatusOr<std::unique_ptr<PlacementPolicy>> MakePlacementPolicy(const PlacementKnobs& knobs,
                                                               const PriceBook&) {
  for (const auto& [name, make] : kPlacements) {
    if (name == knobs.algorithm) return make(knobs);
  }
  return InvalidArgument("placement.algorithm is \"{}\"; it must be one of {}", knobs.algorithm,
                         fmt::join(PlacementPolicyNames(), ", "));
}

std::vector<std::string> QueuePolicyNames() { return NamesOf(kQueues); }
std::vector<std::string> PlacementPolicyNames() { return NamesOf(kPlacements); }

}  // namespace allot::policies
