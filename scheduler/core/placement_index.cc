#include "scheduler/core/placement_index.h"

#include <algorithm>

namespace allot::scheduler {
namespace {

uint32_t CoreBucket(MilliCpu free) {
  return static_cast<uint32_t>(std::clamp<MilliCpu>(free / 1000, 0, PlacementIndex::kCoresMax));
}

// By which memory is shared among accelerators: a part counts as its part, and what is behind a URL
// needs none here.
int64_t WeightOf(const Device& device) { return device.endpoint.empty() ? device.part_millis : 0; }

std::string RackOf(const NodeInfo& info) {
  const auto it = info.labels.find("rack");
  return it == info.labels.end() ? std::string() : it->second;
}

}  // namespace

bool PlacementIndex::Totals::Same(const Totals& o) const {
  return cpu_class == o.cpu_class && cpus_total == o.cpus_total && memory_total == o.memory_total &&
         cpu_power_max == o.cpu_power_max && cpu_whole == o.cpu_whole && leases == o.leases &&
         scratch_max == o.scratch_max &&
         std::equal(parts.begin(), parts.end(), o.parts.begin(), o.parts.end(),
                    [](const Part& a, const Part& b) {
                      return a.device_class == b.device_class && a.all == b.all &&
                             a.total == b.total && a.power_max == b.power_max;
                    });
}

std::vector<NodeSet>& PlacementIndex::MutableBuckets(ClassId c) {
  if (c >= buckets_.size()) {
    buckets_.resize(c + 1);
    members_.resize(c + 1);
  }
  return buckets_[c];
}

const std::vector<NodeSet>& PlacementIndex::Buckets(ClassId c) const {
  static const std::vector<NodeSet> kNothing;
  return c < buckets_.size() ? buckets_[c] : kNothing;
}

const NodeSet& PlacementIndex::Members(ClassId c) const {
  static const NodeSet kNothing;
  return c < members_.size() ? members_[c] : kNothing;
}

PlacementIndex::Totals PlacementIndex::Sketch(const NodeState& node) {
  const NodeInfo& info = *node.info;
  Totals row;
  row.cpus_total = info.cpus;
  row.memory_total = info.memory;
  row.leases = info.task_leases;
  row.scratch_max = info.scratch_max;
  const Device* processor = nullptr;
  int64_t cores = 0, processors = 0;
  for (uint32_t d = 0; d < info.devices.size(); ++d) {
    const Device& device = info.devices[d];
    if (device.kind == DeviceKind::kCpu) {
      if (processor == nullptr) processor = &device;
      cores += std::max<int64_t>(device.cores, 0);
      row.cpu_power_max += std::max<MilliWatt>(device.power_max.value_or(0), 0);
      ++processors;
      continue;
    }
    const ClassId c = classes_.Intern(device);
    auto part = std::find_if(row.parts.begin(), row.parts.end(),
                             [c](const Part& p) { return p.device_class == c; });
    if (part == row.parts.end()) {
      row.parts.push_back(Part{c, {}, 0, 0, 0, 0});
      part = row.parts.end() - 1;
    }
    part->all.Add(d);
    row.weight += WeightOf(device);
    part->power_max = std::max(part->power_max, device.power_max.value_or(0));
    if (device.state == DeviceState::kReady && !node.Quarantined(device.id)) ++part->total;
  }
  // A node that names no processor still offers a share of some: of a class without a model.
  Device unnamed;
  unnamed.kind = DeviceKind::kCpu;
  unnamed.cores = 1;
  row.cpu_class = classes_.Intern(processor != nullptr ? *processor : unnamed);
  // An offer above what the processors have must not make them draw more than they can.
  row.cpu_whole = std::max<MilliCpu>({cores * 1000, info.cpus, 1});
  row.processors = static_cast<uint32_t>(processors);
  TakePower(row);
  return row;
}

PriceRate PlacementIndex::PriceOf(const Totals& row) const {
  PriceRate price = classes_.PriceOfShare(row.cpu_class, row.cpus_total);
  for (const Part& part : row.parts)
    price.micros_per_hour += classes_.Get(part.device_class).price.micros_per_hour * part.total;
  return price;
}

void PlacementIndex::Describe(const NodeState& node, bool on_trial) {
  const uint32_t i = node.id.value() - 1;
  const Totals sketch = Sketch(node);
  Topology topology(*node.info);
  if (i >= rows_.size()) {
    rows_.resize(i + 1);
    topologies_.resize(i + 1);
    in_service_.resize(i + 1);
  } else if (rows_[i].Same(sketch) && in_service_[i] == node.accelerators &&
             topology == (topologies_[i] ? *topologies_[i] : Topology()) &&
             power_.rack_name(power_.rack_of(i)) == RackOf(*node.info)) {
    return Refresh(node, on_trial);  // An agent that only lost its link.
  } else {
    if (rows_[i].open) Leave(i);
    for (const Part& part : rows_[i].parts) members_[part.device_class].Erase(i);
    members_[rows_[i].cpu_class].Erase(i);
  }
  Row& row = rows_[i];
  row.open = false;
  row.arranged = !topology.plain();
  row.restricted = topology.restricted();
  topologies_[i] = row.arranged ? std::make_unique<const Topology>(std::move(topology)) : nullptr;
  in_service_[i] = node.accelerators;
  static_cast<Totals&>(row) = sketch;
  power_.Describe(i, node.info->name, RackOf(*node.info));
  row.price = PriceOf(row);
  for (const Part& part : row.parts) {
    MutableBuckets(part.device_class);
    members_[part.device_class].Insert(i);
  }
  MutableBuckets(row.cpu_class);
  members_[row.cpu_class].Insert(i);
  ++capacity_version_;
  Refresh(node, on_trial);
}

void PlacementIndex::SetLasting(NodeId node, const Resources& leased, const DeviceSet& devices) {
  Row& row = rows_[node.value() - 1];
  if (row.cpus_lasting == leased.cpus && row.memory_lasting == leased.memory &&
      row.devices_lasting == devices)
    return;
  row.cpus_lasting = leased.cpus;
  row.memory_lasting = leased.memory;
  row.devices_lasting = devices;
  ++capacity_version_;
}

void PlacementIndex::SetSuspects(NodeId node, uint32_t whole, const DeviceSet& devices,
                                 uint32_t of_devices) {
  Row& row = rows_[node.value() - 1];
  row.suspicion = whole;
  row.suspects = devices;
  row.devices_suspicion = of_devices;
}

void PlacementIndex::ForgetSuspects() {
  for (Row& row : rows_) {
    row.suspicion = row.devices_suspicion = 0;
    row.suspects = DeviceSet();
  }
}

void PlacementIndex::Reprice() {
  least_.clear();
  for (Row& row : rows_) {
    row.price = PriceOf(row);
    TakePower(row);
  }
}

void PlacementIndex::Refresh(const NodeState& node, bool on_trial) {
  const uint32_t i = node.id.value() - 1;
  Row& row = rows_[i];
  const bool less_power = node.power < power_.node(i).leased;
  if (power_.capped() && node.power_lasting != power_.node(i).lasting) ++capacity_version_;
  if (power_.SetLeased(i, node.power, node.power_lasting)) WakeRefused();
  const bool open = node.alive && !node.draining && node.info->unfit.empty() &&
                    !node.Quarantined("") && !on_trial;
  if (row.open && open) {  // The hot path: a lease came or went.
    bool grown = node.cpus_free > row.cpus_free || node.memory_free > row.memory_free || less_power;
    // As many as before, but others, may stand better together.
    if (row.arranged) grown |= !node.devices_free.Minus(row.devices_free).Empty();
    row.cpus_free = node.cpus_free;
    row.memory_free = node.memory_free;
    row.devices_free = node.devices_free;
    for (Part& part : row.parts) {
      const uint32_t free = (part.all & node.devices_free).Count();
      if (free == part.free) continue;
      grown |= free > part.free;
      std::vector<NodeSet>& buckets = buckets_[part.device_class];
      buckets[part.free].Erase(i);
      if (free >= buckets.size()) buckets.resize(free + 1);
      buckets[free].Insert(i);
      part.free = free;
    }
    const uint32_t bucket = CoreBucket(row.cpus_free);
    if (bucket != row.cpu_bucket) {
      std::vector<NodeSet>& buckets = buckets_[row.cpu_class];
      buckets[row.cpu_bucket].Erase(i);
      if (bucket >= buckets.size()) buckets.resize(bucket + 1);
      buckets[bucket].Insert(i);
      row.cpu_bucket = bucket;
    }
    if (grown) MarkGrown(i);
    return;
  }
  if (row.open) Leave(i);
  if (row.open != open) ++capacity_version_;
  row.open = open;
  row.cpus_free = node.cpus_free;
  row.memory_free = node.memory_free;
  row.devices_free = node.devices_free;
  for (Part& part : row.parts) part.free = (part.all & node.devices_free).Count();
  row.cpu_bucket = CoreBucket(row.cpus_free);
  if (!open) return;
  Enter(i);
  MarkGrown(i);
}

void PlacementIndex::Leave(uint32_t i) {
  const Row& row = rows_[i];
  for (const Part& part : row.parts) buckets_[part.device_class][part.free].Erase(i);
  buckets_[row.cpu_class][row.cpu_bucket].Erase(i);
}

void PlacementIndex::Enter(uint32_t i) {
  const Row& row = rows_[i];
  const auto insert = [&](ClassId c, uint32_t bucket) {
    std::vector<NodeSet>& buckets = MutableBuckets(c);
    if (bucket >= buckets.size()) buckets.resize(bucket + 1);
    buckets[bucket].Insert(i);
  };
  for (const Part& part : row.parts) insert(part.device_class, part.free);
  insert(row.cpu_class, row.cpu_bucket);
}

void PlacementIndex::MarkClassGrown(ClassId c) {
  if (c >= is_grown_.size()) is_grown_.resize(c + 1);
  if (is_grown_[c]) return;
  is_grown_[c] = true;
  grown_.push_back(c);
}

void PlacementIndex::MarkGrown(uint32_t i) {
  const Row& row = rows_[i];
  for (const Part& part : row.parts) MarkClassGrown(part.device_class);
  MarkClassGrown(row.cpu_class);
  if (i >= is_grown_node_.size()) is_grown_node_.resize(rows_.size());
  if (is_grown_node_[i]) return;
  is_grown_node_[i] = true;
  grown_nodes_.push_back(i);
}

void PlacementIndex::MarkAllGrown() {
  for (ClassId c = 0; c < classes_.size(); ++c) MarkClassGrown(c);
}

std::vector<ClassId> PlacementIndex::TakeGrown() {
  std::vector<ClassId> grown = std::move(grown_);
  grown_.clear();
  for (const ClassId c : grown) is_grown_[c] = false;
  std::sort(grown.begin(), grown.end());
  return grown;
}

std::vector<uint32_t> PlacementIndex::TakeGrownNodes() {
  std::vector<uint32_t> grown = std::move(grown_nodes_);
  grown_nodes_.clear();
  for (const uint32_t i : grown) is_grown_node_[i] = false;
  return grown;
}

uint32_t PlacementIndex::Room(uint32_t i, const DeviceSet& set, const DemandOption& option) const {
  const uint32_t by_count = set.Count() / option.count;
  const Row& row = rows_[i];
  if (option.count == 1 || by_count == 0 || !(option.joined || row.restricted)) return by_count;
  return row.arranged ? topologies_[i]->Room(set, option.count, option.joined) : 0;
}

DeviceSet PlacementIndex::Pick(uint32_t i, const DeviceSet& set, const DemandOption& option) const {
  static const Topology kPlain;
  const Topology& topology = rows_[i].arranged ? *topologies_[i] : kPlain;
  return topology.Pick(set, option.count, option.joined);
}

Bytes PlacementIndex::MemoryOf(const Row& row, const Resources& each, ClassId c,
                               uint32_t count) const {
  if (!each.memory_share) return each.memory;
  const auto part_of = [](Bytes memory, int64_t part, int64_t whole) {
    if (whole <= 0) return Bytes{0};
    return static_cast<Bytes>(static_cast<__int128>(memory) * std::min(part, whole) / whole);
  };
  const Bytes with_devices = row.weight > 0 ? row.memory_total / 4 * 3 : 0;
  const Bytes share = part_of(row.memory_total - with_devices, each.cpus, row.cpus_total);
  if (count == 0) return share;
  return share + part_of(with_devices, WeightOf(classes_.Get(c).sample) * count, row.weight);
}

uint64_t PlacementIndex::TasksOn(const Row& row, Of what, uint64_t by_devices, const Demand& demand,
                                 ClassId c, uint32_t count) const {
  if (!row.Suits(demand)) return 0;
  const Resources& each = demand.resources;
  MilliCpu cpus = row.cpus_free;
  Bytes memory = row.memory_free;
  if (what != Of::kFree) {
    const bool empty = what == Of::kEmpty;
    cpus = row.cpus_total - (empty ? 0 : row.cpus_lasting);
    memory = row.memory_total - (empty ? 0 : row.memory_lasting);
  }
  uint64_t tasks = by_devices;
  if (each.cpus > 0) tasks = std::min<uint64_t>(tasks, std::max<MilliCpu>(cpus, 0) / each.cpus);
  if (const Bytes one = MemoryOf(row, each, c, count); one > 0)
    tasks = std::min<uint64_t>(tasks, std::max<Bytes>(memory, 0) / one);
  return tasks;
}

uint64_t PlacementIndex::TasksByDevices(uint32_t i, ClassId c, Of what, const Demand& demand,
                                        const DemandOption& option) const {
  if (option.count == 0) return demand.tasks;
  const Part* part = rows_[i].Find(c);
  if (part == nullptr) return 0;
  DeviceSet there = rows_[i].devices_free;
  if (what == Of::kEmpty) there = in_service_[i];
  if (what == Of::kWithoutJobs) there = in_service_[i].Minus(rows_[i].devices_lasting);
  return std::min<uint64_t>(demand.tasks, Room(i, part->all & there, option));
}

bool PlacementIndex::EverPossible(const Demand& demand) const {
  for (const DemandOption& option : demand.options) {
    for (const ClassId c : option.classes) {
      const NodeSet& members = Members(c);
      for (uint32_t i = members.NextFrom(0); i != NodeSet::kNone; i = members.NextFrom(i + 1)) {
        const Part* part = rows_[i].Find(c);
        uint64_t by_devices = 1;
        // Devices in whatever state: an unhealthy one may be mended.
        if (option.count > 0) by_devices = part != nullptr ? Room(i, part->all, option) : 0;
        if (TasksOn(rows_[i], Of::kEmpty, by_devices, demand, c, option.count) > 0) return true;
      }
    }
  }
  return false;
}

bool PlacementIndex::PossibleWhenEmpty(const Demand& demand) const {
  for (const DemandOption& option : demand.options) {
    uint64_t tasks = 0;
    for (const ClassId c : option.classes) {
      const NodeSet& members = Members(c);
      for (uint32_t i = members.NextFrom(0); i != NodeSet::kNone; i = members.NextFrom(i + 1)) {
        if (!rows_[i].open) continue;
        tasks += TasksOn(rows_[i], Of::kWithoutJobs,
                         TasksByDevices(i, c, Of::kWithoutJobs, demand, option), demand, c,
                         option.count);
        if (tasks >= demand.tasks && !power_.capped()) return true;
      }
    }
    if (tasks >= demand.tasks && FitsCaps(demand, option, Of::kWithoutJobs)) return true;
  }
  return false;
}

}  // namespace allot::scheduler
