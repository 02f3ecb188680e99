#include "scheduler/core/placement_search.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "common/base/check.h"

namespace allot::scheduler {
namespace {

// Those of one task, suspects last. Never at the price of room: the tasks that were found to fit
// beside it must still fit, so where sets are restricted one without suspects is taken only if it
// leaves room for as many others.
DeviceSet Choose(const PlacementIndex& index, uint32_t node, const DeviceSet& free,
                 const DemandOption& option) {
  const PlacementIndex::Row& row = index.row(node);
  const DeviceSet good = free.Minus(row.suspects);
  if (good == free) return index.Pick(node, free, option);
  const bool any_set = option.count == 1 || !(option.joined || row.restricted);
  if (good.Count() < option.count) {
    if (!any_set) return index.Pick(node, free, option);
    DemandOption rest = option;
    rest.count -= good.Count();
    return good | index.Pick(node, free.Minus(good), rest);
  }
  if (any_set) return index.Pick(node, good, option);
  const DeviceSet pick = index.Pick(node, good, option);
  const bool as_roomy = !pick.Empty() && index.Room(node, free.Minus(pick), option) + 1 ==
                                             index.Room(node, free, option);
  return as_roomy ? pick : index.Pick(node, free, option);
}

}  // namespace

uint32_t PlacementSearch::FirstBucket(const Demand& demand, const DemandOption& option) {
  if (option.count > 0) return option.count;
  return static_cast<uint32_t>(
      std::clamp<MilliCpu>(demand.resources.cpus / 1000, 0, PlacementIndex::kCoresMax));
}

bool PlacementSearch::MayFit(const Demand& demand, const Limits& limits) const {
  trial_.Begin();
  for (const DemandOption& option : demand.options) {
    if (!MayPower(demand, option, limits)) continue;
    uint64_t tasks = 0;
    for (const ClassId c : option.classes) {
      if (Excluded(limits, c)) continue;
      const std::vector<NodeSet>& buckets = index_.Buckets(c);
      for (uint32_t b = FirstBucket(demand, option); b < buckets.size(); ++b) {
        if (buckets[b].size() == 0) continue;
        // The last bucket of processors has no upper end, nor has a share of none.
        const bool unbounded =
            option.count == 0 && (b == PlacementIndex::kCoresMax || demand.resources.cpus == 0);
        if (unbounded) return true;
        const uint64_t each = option.count > 0
                                  ? b / option.count
                                  : (b * 1000 + 999) / static_cast<uint64_t>(demand.resources.cpus);
        tasks += each * buckets[b].size();
        if (tasks >= demand.tasks) return true;
      }
    }
  }
  return false;
}

Bytes PlacementSearch::MemoryTaken(const Demand& demand, const DemandOption& option, ClassId c,
                                   uint32_t node, Taken taken) const {
  if (taken.tasks == 0) return 0;
  const PlacementIndex::Row& row = index_.row(node);
  Bytes most = index_.MemoryOf(row, demand.resources, c, option.count);
  if (demand.resources.memory_share && option.count > 0) {
    for (const ClassId other : option.classes) {
      if (row.Find(other) != nullptr)
        most = std::max(most, index_.MemoryOf(row, demand.resources, other, option.count));
    }
  }
  return most * taken.tasks;
}

bool PlacementSearch::Fits(const Demand& demand, const DemandOption& option, ClassId c,
                           uint32_t node, Taken taken) const {
  const PlacementIndex::Row& row = index_.row(node);
  const int64_t tasks = taken.tasks;
  const Resources& each = demand.resources;
  if (!row.Suits(demand)) return false;
  if (each.cpus > 0 && row.cpus_free - tasks * each.cpus < each.cpus) return false;
  const Bytes memory = index_.MemoryOf(row, each, c, option.count);
  if (memory > 0 && row.memory_free - MemoryTaken(demand, option, c, node, taken) < memory)
    return false;
  if (option.count > 0 &&
      index_.Room(node, row.Find(c)->all & row.devices_free, option) <= taken.of_class)
    return false;
  // Last, for what it refuses is waited for.
  return !index_.power().capped() ||
         trial_.Allows(node, index_.PowerOf(node, c, option.count, each.cpus));
}

uint32_t PlacementSearch::Suspicion(const DemandOption& option, ClassId c, uint32_t node,
                                    Taken taken) const {
  const PlacementIndex::Row& row = index_.row(node);
  if (option.count == 0 || row.suspects.Empty()) return row.suspicion;
  const DeviceSet good = (row.Find(c)->all & row.devices_free).Minus(row.suspects);
  const bool enough = good.Count() >= (taken.of_class + 1) * option.count;
  return row.suspicion + (enough ? 0 : row.devices_suspicion);
}

bool PlacementSearch::FitsOn(const Demand& demand, const Limits& limits, uint32_t node) const {
  trial_.Begin();
  const PlacementIndex::Row& row = index_.row(node);
  if (!row.open) return false;
  for (const DemandOption& option : demand.options) {
    for (const ClassId c : option.classes) {
      const bool has = option.count > 0 ? row.Find(c) != nullptr : row.cpu_class == c;
      if (!has || Excluded(limits, c) || !Fits(demand, option, c, node, {})) continue;
      if (Affordable(limits, PriceOf(demand, option, c, node))) return true;
    }
  }
  return false;
}

PriceRate PlacementSearch::PriceOf(const Demand& demand, const DemandOption& option, ClassId c,
                                   uint32_t node) const {
  PriceRate price = classes_.PriceOfShare(index_.row(node).cpu_class, demand.resources.cpus);
  price.micros_per_hour += classes_.Get(c).price.micros_per_hour * option.count;
  return price;
}

Cost PlacementSearch::Score(const Demand& demand, const DemandOption& option, ClassId c,
                            uint32_t node, Taken taken, PriceRate price) const {
  const PlacementIndex::Row& row = index_.row(node);
  const int64_t tasks = taken.tasks;
  const Resources& each = demand.resources;
  policies::PlacementView view;
  view.worth = option.worth;
  view.cpus_asked = each.cpus;
  view.cpus_free = row.cpus_free - tasks * each.cpus;
  view.cpus_total = row.cpus_total;
  view.memory_asked = index_.MemoryOf(row, each, c, option.count);
  view.memory_free =
      std::max<Bytes>(row.memory_free - MemoryTaken(demand, option, c, node, taken), 0);
  view.memory_total = row.memory_total;
  view.node_price = row.price;
  view.price = price;
  if (option.count > 0) {
    const PlacementIndex::Part* part = row.Find(c);
    view.devices_asked = option.count;
    view.devices_free = part->free - taken.of_class * option.count;
    view.devices_total = part->total;
    view.device_price = classes_.Get(c).price;
  }
  return policy_->Score(view);
}

Cost PlacementSearch::ScoreOn(const Demand& demand, const DemandOption& option, ClassId c,
                              uint32_t node, PriceRate* price) const {
  *price = PriceOf(demand, option, c, node);
  return Score(demand, option, c, node, {}, *price);
}

uint32_t PlacementSearch::NextNode(Walk& walk) const {
  const std::vector<NodeSet>& buckets = *walk.buckets;
  while (!walk.over) {
    const uint32_t node = buckets[walk.bucket].size() == 0
                              ? NodeSet::kNone
                              : buckets[walk.bucket].NextFrom(walk.next);
    if (node != NodeSet::kNone) {
      walk.next = node + 1;
      return node;
    }
    walk.next = 0;
    if (policy_->PrefersFull()) {
      walk.over = ++walk.bucket >= buckets.size();
    } else {
      walk.over = walk.bucket == walk.first_bucket;
      if (!walk.over) --walk.bucket;
    }
  }
  return NodeSet::kNone;
}

void PlacementSearch::Refill(const Demand& demand, const DemandOption& option, const Limits& limits,
                             uint32_t walk_index, uint64_t& work) {
  Walk& walk = walks_[walk_index];
  while (walk.fresh < kWindow) {
    const uint32_t node = NextNode(walk);
    if (node == NodeSet::kNone) return;
    ++work;
    const Taken none{taken_[node], 0};
    if (!Fits(demand, option, walk.device_class, node, none)) continue;
    const PriceRate price = PriceOf(demand, option, walk.device_class, node);
    if (!Affordable(limits, price)) continue;
    const Cost score = Score(demand, option, walk.device_class, node, none, price);
    const uint32_t suspicion = Suspicion(option, walk.device_class, node, none);
    window_.push_back(Candidate{suspicion, score, node, walk_index, 0});
    walk.fresh += suspicion == 0;
  }
}

bool PlacementSearch::PlaceOption(const Demand& demand, const DemandOption& option,
                                  const Limits& limits, uint64_t& work, Cost best_so_far) {
  walks_.clear();
  window_.clear();
  picks_.clear();
  total_ = Cost{};
  const uint32_t first = FirstBucket(demand, option);
  for (const ClassId c : option.classes) {
    const std::vector<NodeSet>& buckets = index_.Buckets(c);
    if (Excluded(limits, c) || first >= buckets.size()) continue;
    Walk& walk = walks_.emplace_back();
    walk.device_class = c;
    walk.buckets = &buckets;
    walk.first_bucket = first;
    walk.bucket = policy_->PrefersFull() ? first : static_cast<uint32_t>(buckets.size()) - 1;
  }

  while (picks_.size() < demand.tasks) {
    for (uint32_t w = 0; w < walks_.size(); ++w) {
      if (walks_[w].fresh == 0 && !walks_[w].over) Refill(demand, option, limits, w, work);
    }
    size_t best = window_.size();
    for (size_t i = 0; i < window_.size(); ++i) {
      const Candidate& c = window_[i];
      if (best == window_.size() ||
          std::tie(c.suspicion, c.score.micros, c.node) <
              std::tie(window_[best].suspicion, window_[best].score.micros, window_[best].node))
        best = i;
    }
    if (best == window_.size()) return false;
    Candidate& chosen = window_[best];
    Walk& walk = walks_[chosen.walk];
    ++work;
    // Another class of the same node may have taken what this candidate counted on.
    const auto taken = [&] { return Taken{taken_[chosen.node], chosen.taken}; };
    if (!Fits(demand, option, walk.device_class, chosen.node, taken())) {
      if (chosen.taken == 0) walk.fresh -= chosen.suspicion == 0;
      window_.erase(window_.begin() + static_cast<std::ptrdiff_t>(best));
      continue;
    }
    if (chosen.taken == 0) walk.fresh -= chosen.suspicion == 0;
    total_ += chosen.score;
    ++chosen.taken;
    PickOne(demand, option, walk.device_class, chosen.node);
    if (Fits(demand, option, walk.device_class, chosen.node, taken())) {
      chosen.score = Score(demand, option, walk.device_class, chosen.node, taken(),
                           PriceOf(demand, option, walk.device_class, chosen.node));
      chosen.suspicion = Suspicion(option, walk.device_class, chosen.node, taken());
    } else {
      window_.erase(window_.begin() + static_cast<std::ptrdiff_t>(best));
    }
  }
  return total_ < best_so_far;
}

void PlacementSearch::PickOne(const Demand& demand, const DemandOption& option, ClassId c,
                              uint32_t node) {
  ++taken_[node];
  picks_.push_back(Pick{node, c});
  if (index_.power().capped())
    trial_.Take(node, index_.PowerOf(node, c, option.count, demand.resources.cpus));
}

PlacementSearch::Found PlacementSearch::Collect(const Demand& demand,
                                                const DemandOption& option) const {
  Found found;
  found.alternative = option.alternative;
  std::vector<Pick> picks = picks_;
  std::stable_sort(picks.begin(), picks.end(),
                   [](const Pick& a, const Pick& b) { return a.node < b.node; });
  found.tasks.reserve(picks.size());
  DeviceSet used;  // Of the node at hand, by tasks before.
  uint32_t node = NodeSet::kNone;
  for (const Pick& pick : picks) {
    const PlacementIndex::Row& row = index_.row(pick.node);
    if (pick.node != node) used = DeviceSet();
    node = pick.node;
    TaskPlacement& placement = found.tasks.emplace_back();
    placement.node = NodeId(pick.node + 1);
    placement.power =
        index_.PowerOf(pick.node, pick.device_class, option.count, demand.resources.cpus);
    if (demand.resources.memory_share)
      placement.memory = index_.MemoryOf(row, demand.resources, pick.device_class, option.count);
    found.price = found.price + classes_.PriceOfShare(row.cpu_class, demand.resources.cpus);
    if (option.count == 0) continue;
    placement.devices =
        Choose(index_, pick.node, (row.Find(pick.device_class)->all & row.devices_free).Minus(used),
               option);
    CHECK(placement.devices.Count() == option.count);
    used = used | placement.devices;
    found.price.micros_per_hour +=
        classes_.Get(pick.device_class).price.micros_per_hour * option.count;
  }
  return found;
}

void PlacementSearch::Forget() {
  for (const Pick& pick : picks_) taken_[pick.node] = 0;
  picks_.clear();
  trial_.Forget();
}

std::optional<PlacementSearch::Found> PlacementSearch::Find(const Demand& demand,
                                                            const Limits& limits, uint64_t& work) {
  if (taken_.size() < index_.node_count()) taken_.resize(index_.node_count());
  trial_.Begin();
  std::optional<Found> found;
  Cost best_so_far{std::numeric_limits<int64_t>::max()};
  for (const DemandOption& option : demand.options) {
    if (PlaceOption(demand, option, limits, work, best_so_far)) {
      best_so_far = total_;
      found = Collect(demand, option);
    }
    Forget();
  }
  if (found || demand.tasks == 1 || !trial_.refused()) return found;
  for (const DemandOption& option : demand.options) {
    if (PlaceByPower(demand, option, limits, work)) found = Collect(demand, option);
    Forget();
    if (found) break;
  }
  return found;
}

}  // namespace allot::scheduler
