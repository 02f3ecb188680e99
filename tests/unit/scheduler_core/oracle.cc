#include "tests/unit/scheduler_core/oracle.h"

#include <algorithm>
#include <map>
#include <set>

namespace allot::scheduler {
namespace {

std::string RackOf(const NodeState& node) {
  const auto it = node.info->labels.find("rack");
  return it == node.info->labels.end() ? "" : it->second;
}

std::optional<MilliWatt> CapOf(const std::map<std::string, MilliWatt>& named,
                               const std::string& name, std::optional<MilliWatt> other) {
  const auto it = named.find(name);
  return it == named.end() ? other : std::optional(it->second);
}

}  // namespace

Oracle::Oracle(const ClusterState& state)
    : state_(state), policy_(*state.policy()), free_(state.nodes().size()) {
  for (size_t i = 0; i < free_.size(); ++i) {
    const NodeState& node = state.nodes()[i];
    free_[i].takes_work = TakesWork(node);
    free_[i].cpus = node.info->cpus;
    free_[i].memory = node.info->memory;
    for (const Device& device : node.info->devices) {
      free_[i].devices.push_back(device.kind != DeviceKind::kCpu &&
                                 device.state == DeviceState::kReady &&
                                 !node.Quarantined(device.id));
    }
  }
  for (const auto& [id, job] : state.jobs()) {
    if (job.phase != JobPhase::kRunning && job.phase != JobPhase::kStopping) continue;
    for (const TaskState& task : job.tasks) {
      if (!task.abandoned && task.phase != TaskPhase::kExited)
        Subtract(task.placement, job.spec->resources);
    }
  }
  for (const auto& [id, replica] : state.replicas()) Subtract(replica.placement, replica.resources);
}

void Oracle::Subtract(const TaskPlacement& placement, const Resources& resources) {
  Free& free = free_[placement.node.value() - 1];
  free.cpus -= resources.cpus;
  free.memory -= resources.memory;
  free.power += placement.power;
  placement.devices.ForEach([&](uint32_t i) { free.devices[i] = false; });
}

// On probation a node has one job at a time; what was there before does not count.
bool Oracle::TakesWork(const NodeState& node) const {
  if (!node.alive || node.draining || node.Quarantined("")) return false;
  const Quarantine* probation = node.Probation();
  return probation == nullptr ||
         std::none_of(node.tasks.begin(), node.tasks.end(), [&](const TaskKey& key) {
           return state_.FindJob(key.task.job)->placed >= probation->since;
         });
}

std::vector<Oracle::Way> Oracle::WaysOn(size_t i, const DeviceRequest* request, bool accelerators,
                                        const Resources& each) const {
  const NodeInfo& info = *state_.nodes()[i].info;
  // A share of the processors comes with every task.
  MilliWatt processors = 0;
  MilliCpu whole = 0;
  const Device* processor = nullptr;
  for (const Device& device : info.devices) {
    if (device.kind != DeviceKind::kCpu) continue;
    if (processor == nullptr) processor = &device;
    processors += device.power_max.value_or(0);
    whole += device.cores * 1'000;
  }
  whole = std::max<MilliCpu>({whole, info.cpus, 1});
  Way share;
  share.power = (processors * each.cpus + whole / 2) / whole;
  if (!accelerators) {
    if (request == nullptr || (processor != nullptr && Matches(*request, *processor)))
      return {share};
    return {};
  }
  std::map<std::string, Way> ways;  // by model: in these worlds what has one model is alike
  for (size_t d = 0; d < info.devices.size(); ++d) {
    const Device& device = info.devices[d];
    if (device.kind == DeviceKind::kCpu || !Matches(*request, device)) continue;
    Way& way = ways.try_emplace(device.model, share).first->second;
    way.vendor = device.vendor;
    way.count = std::max(request->count, 1u);
    way.free += free_[i].devices[d];
    way.power = share.power + device.power_max.value_or(0) * way.count;
  }
  std::vector<Way> list;
  for (const auto& [model, way] : ways) list.push_back(way);
  return list;
}

uint64_t Oracle::TasksOn(size_t i, const std::vector<Way>& ways, const Resources& each) const {
  const Free& free = free_[i];
  if (!free.takes_work || ways.empty()) return 0;
  constexpr uint64_t kNoBound = 1'000'000;
  uint64_t tasks = 0;
  for (const Way& way : ways) tasks += way.count == 0 ? kNoBound : way.free / way.count;
  if (each.cpus > 0)
    tasks = std::min<uint64_t>(tasks, std::max<MilliCpu>(free.cpus, 0) / each.cpus);
  if (each.memory > 0)
    tasks = std::min<uint64_t>(tasks, std::max<Bytes>(free.memory, 0) / each.memory);
  return tasks;
}

bool Oracle::Allows(size_t i, MilliWatt power) const {
  const PowerCaps& caps = policy_.power;
  const std::string rack = RackOf(state_.nodes()[i]);
  MilliWatt of_rack = power, of_cluster = power;
  for (size_t n = 0; n < free_.size(); ++n) {
    of_cluster += free_[n].power;
    if (RackOf(state_.nodes()[n]) == rack) of_rack += free_[n].power;
  }
  const auto within = [](std::optional<MilliWatt> cap, MilliWatt leased) {
    return !cap || leased <= *cap;
  };
  return within(CapOf(caps.nodes, state_.nodes()[i].info->name, caps.node),
                free_[i].power + power) &&
         (rack.empty() || within(CapOf(caps.racks, rack, caps.rack), of_rack)) &&
         within(caps.cluster, of_cluster);
}

bool Oracle::Fits(const JobSpec& job) const {
  // All tasks of a gang are on accelerators of one vendor.
  const auto fits_on = [&](const DeviceRequest* request, bool accelerators,
                           const std::string& vendor) {
    uint64_t tasks = 0;
    for (size_t i = 0; i < free_.size(); ++i) {
      std::vector<Way> ways = WaysOn(i, request, accelerators, job.resources);
      std::erase_if(ways,
                    [&](const Way& way) { return way.vendor != vendor || !Allows(i, way.power); });
      tasks += TasksOn(i, ways, job.resources);
    }
    return tasks >= job.tasks;
  };
  const auto fits = [&](const DeviceRequest* request, bool accelerators) {
    if (!accelerators) return fits_on(request, false, "");
    std::set<std::string> vendors;
    for (const NodeState& node : state_.nodes()) {
      for (const Device& device : node.info->devices) vendors.insert(device.vendor);
    }
    return std::any_of(vendors.begin(), vendors.end(),
                       [&](const std::string& vendor) { return fits_on(request, true, vendor); });
  };
  if (job.devices.empty()) return fits(nullptr, false);
  return std::any_of(job.devices.begin(), job.devices.end(), [&](const DeviceRequest& request) {
    const bool processors =
        request.kind ? *request.kind == DeviceKind::kCpu : !request.model.empty();
    return fits(&request, true) || (processors && fits(&request, false));
  });
}

bool Oracle::Fits(const DeploymentSpec& deployment, uint32_t group) const {
  JobSpec one;
  one.tasks = 1;
  one.resources = deployment.resources;
  one.devices = {deployment.groups[group].device};
  return Fits(one);
}

}  // namespace allot::scheduler
