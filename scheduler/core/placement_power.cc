// The parts of the index and of the search that know of power.
//
// What a gang may take is bounded by caps that lie within one another: node, rack, cluster. A task
// counts one everywhere, so taking the tasks that draw least first places as many as can be placed:
// of any larger set, the hungriest task that shares the tightest cap could be exchanged for the one
// that was taken, and no cap would be more burdened. (The bounds of devices, processors and memory
// are of a node alone, the same for all its tasks, and the argument covers them.) That is the way
// when the cheapest nodes, taken one by one, did not hold a gang within its caps.
#include <algorithm>
#include <tuple>
#include <vector>

#include "scheduler/core/placement_index.h"
#include "scheduler/core/placement_search.h"

namespace allot::scheduler {
namespace {

// Rounded to the nearest milliwatt.
MilliWatt Share(MilliWatt power, MilliCpu share, MilliCpu whole) {
  constexpr int64_t kSmall = int64_t{1} << 31;  // The usual case, without a long division.
  if (power < kSmall && share < kSmall) return (power * share + whole / 2) / whole;
  return static_cast<MilliWatt>((static_cast<__int128>(power) * share + whole / 2) / whole);
}

}  // namespace

void PlacementIndex::TakePower(Totals& row) {
  for (Part& part : row.parts) {
    part.power = classes_.Get(part.device_class).power.value_or(part.power_max);
    NoteLeast(part.device_class, part.power, 1);
  }
  const std::optional<MilliWatt> each = classes_.Get(row.cpu_class).power;
  row.cpu_power = each ? *each * row.processors : row.cpu_power_max;
  NoteLeast(row.cpu_class, row.cpu_power, row.cpu_whole);
}

void PlacementIndex::NoteLeast(ClassId c, MilliWatt power, MilliCpu whole) {
  if (c >= least_.size()) least_.resize(c + 1);
  Least& least = least_[c];
  const auto less = [&] {
    return static_cast<__int128>(power) * least.whole < static_cast<__int128>(least.power) * whole;
  };
  if (!least.known || less()) least = Least{true, power, whole};
}

MilliWatt PlacementIndex::PowerOf(uint32_t node, ClassId c, uint32_t count, MilliCpu cpus) const {
  const Row& row = rows_[node];
  const MilliWatt power = Share(row.cpu_power, cpus, row.cpu_whole);
  return count == 0 ? power : power + row.Find(c)->power * count;
}

MilliWatt PlacementIndex::LeastPower(ClassId c, uint32_t count, MilliCpu cpus) const {
  if (c >= least_.size()) return 0;
  const Least& least = least_[c];
  return count > 0 ? least.power * count : Share(least.power, cpus, least.whole);
}

// A node that frees power makes room on others too, where a cap of its rack or of the cluster had
// refused something. Its own row grows as with any lease that ends.
void PlacementIndex::WakeRefused() {
  for (const PowerBook::RackId rack : power_.TakeFreedRacks()) {
    for (const uint32_t node : power_.nodes_of(rack)) MarkGrown(node);
  }
  if (!power_.TakeFreedCluster()) return;
  cluster_freed_ = true;
  MarkAllGrown();
}

bool PlacementIndex::FitsCaps(const Demand& demand, const DemandOption& option, Of what) const {
  struct Way {
    MilliWatt power = 0;
    uint32_t node = 0;
    uint64_t tasks = 0;
    ClassId device_class = 0;
  };
  std::vector<Way> ways;
  for (const ClassId c : option.classes) {
    const NodeSet& members = Members(c);
    for (uint32_t i = members.NextFrom(0); i != NodeSet::kNone; i = members.NextFrom(i + 1)) {
      if (!rows_[i].open) continue;
      const uint64_t by_devices = TasksByDevices(i, c, what, demand, option);
      const uint64_t tasks = TasksOn(rows_[i], what, by_devices, demand, c, option.count);
      if (tasks > 0)
        ways.push_back({PowerOf(i, c, option.count, demand.resources.cpus), i, tasks, c});
    }
  }
  std::stable_sort(ways.begin(), ways.end(),
                   [](const Way& a, const Way& b) { return a.power < b.power; });
  PowerTrial trial(power_, PowerTrial::From::kLasting);
  std::vector<uint64_t> on_node(rows_.size());
  uint64_t placed = 0;
  for (const Way& way : ways) {
    // What classes of one node share bounds all of them together.
    const uint64_t room =
        TasksOn(rows_[way.node], what, demand.tasks, demand, way.device_class, option.count);
    const uint64_t most = room - std::min(room, on_node[way.node]);
    for (uint64_t n = std::min(way.tasks, most); n > 0; --n) {
      if (trial.Refusal(way.node, way.power)) break;
      trial.Take(way.node, way.power);
      ++on_node[way.node];
      if (++placed == demand.tasks) return true;
    }
  }
  return false;
}

bool PlacementIndex::WaitsForPowerAlone(const Demand& demand) const {
  return power_.capped() &&
         std::any_of(demand.options.begin(), demand.options.end(), [&](const DemandOption& option) {
           return FitsCaps(demand, option, Of::kFree);
         });
}

// Whatever nodes a gang gets, it draws so much: told from the cluster's cap without a search.
bool PlacementSearch::MayPower(const Demand& demand, const DemandOption& option,
                               const Limits& limits) const {
  const PowerLine& cluster = index_.power().cluster();
  if (!cluster.cap) return true;
  std::optional<MilliWatt> least;
  for (const ClassId c : option.classes) {
    if (Excluded(limits, c)) continue;
    const MilliWatt power = index_.LeastPower(c, option.count, demand.resources.cpus);
    least = std::min(least.value_or(power), power);
  }
  if (!least || cluster.leased + *least * demand.tasks <= *cluster.cap) return true;
  trial_.Refuse(PowerScope::kCluster, 0);
  return false;
}

bool PlacementSearch::PlaceByPower(const Demand& demand, const DemandOption& option,
                                   const Limits& limits, uint64_t& work) {
  struct Way {
    MilliWatt power;
    uint32_t suspicion;
    Cost score;
    uint32_t node;
    ClassId device_class;
  };
  std::vector<Way> ways;
  for (const ClassId c : option.classes) {
    if (Excluded(limits, c)) continue;
    const std::vector<NodeSet>& buckets = index_.Buckets(c);
    for (uint32_t b = FirstBucket(demand, option); b < buckets.size(); ++b) {
      for (uint32_t node = buckets[b].NextFrom(0); node != NodeSet::kNone;
           node = buckets[b].NextFrom(node + 1)) {
        ++work;
        if (!Fits(demand, option, c, node, {})) continue;
        const PriceRate price = PriceOf(demand, option, c, node);
        if (!Affordable(limits, price)) continue;
        ways.push_back({index_.PowerOf(node, c, option.count, demand.resources.cpus),
                        Suspicion(option, c, node, {}), Score(demand, option, c, node, {}, price),
                        node, c});
      }
    }
  }
  std::sort(ways.begin(), ways.end(), [](const Way& a, const Way& b) {
    return std::tie(a.power, a.suspicion, a.score, a.node, a.device_class) <
           std::tie(b.power, b.suspicion, b.score, b.node, b.device_class);
  });
  for (const bool suspects : {false, true}) {
    Forget();
    for (const Way& way : ways) {
      Taken taken{taken_[way.node], 0};
      while (picks_.size() < demand.tasks &&
             (suspects || Suspicion(option, way.device_class, way.node, taken) == 0) &&
             Fits(demand, option, way.device_class, way.node, taken)) {
        ++work;
        PickOne(demand, option, way.device_class, way.node);
        taken = {taken_[way.node], taken.of_class + 1};
      }
    }
    if (picks_.size() == demand.tasks) return true;
  }
  return false;
}

}  // namespace allot::scheduler
