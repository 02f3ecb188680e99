#include "simulator/cluster_maker.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "fmt/format.h"
#include "policies/api/registry.h"

namespace allot::simulator {
namespace {

struct Model {
  const char* name;
  const char* vendor;
  DeviceKind kind;
  Bytes memory;
  MilliWatt power;
};
constexpr std::array<Model, 4> kModels = {{
    {"nvidia/h200-sxm-141g", "nvidia", DeviceKind::kGpu, 141 * kGiB, 700'000},
    {"nvidia/l4-24g", "nvidia", DeviceKind::kGpu, 24 * kGiB, 72'000},
    {"amd/mi300x-192g", "amd", DeviceKind::kGpu, 192 * kGiB, 750'000},
    {"groq/lpu-v1", "groq", DeviceKind::kAsic, 230 * kMiB, 300'000},
}};
constexpr std::array<const char*, 3> kTenants = {"default", "research", "product"};

template <class T>
const T& Pick(Rng& rng, const std::vector<T>& items) {
  return items[rng.Below(items.size())];
}

DeviceRequest MakeRequest(Rng& rng) {
  DeviceRequest request;
  request.count = 1 + static_cast<uint32_t>(rng.Below(rng.OneIn(4) ? 4 : 2));
  request.worth = rng.OneIn(2) ? 1.0 : 2.0;
  switch (rng.Below(5)) {
    case 0:
      request.kind = DeviceKind::kGpu;
      break;
    case 1:
      request.kind = DeviceKind::kAsic;
      break;
    case 2:
      request.model = "nvidia/*";
      break;
    case 3:
      request.model = kModels[rng.Below(kModels.size())].name;
      break;
    case 4:
      request.kind = DeviceKind::kGpu;
      request.min_memory = 80 * kGiB;
      break;
  }
  if (rng.OneIn(40)) request.model = "acme/none";
  request.joined = rng.OneIn(5);
  if (rng.OneIn(8)) request.isolation = rng.OneIn(2) ? Isolation::kHard : Isolation::kNone;
  return request;
}

// How the accelerators of a node stand to each other, and to strangers.
void Arrange(Rng& rng, NodeInfo& node) {
  DeviceGroup all;
  const auto isolation = static_cast<Isolation>(rng.Below(4));
  const bool contract = rng.OneIn(6);
  for (Device& device : node.devices) {
    if (device.kind == DeviceKind::kCpu) continue;
    all.members.push_back(device.id);
    device.isolation = isolation;
    if (contract) device.price = PriceRate{static_cast<int64_t>(1'000'000)};
  }
  const size_t count = all.members.size();
  if (rng.OneIn(2)) {
    for (size_t i = 0; i < count; ++i)
      node.devices[node.devices.size() - count + i].numa_node = static_cast<int32_t>(2 * i / count);
  }
  const size_t side = rng.OneIn(2) ? 2 : 4;
  switch (rng.Below(5)) {
    case 0:  // Nothing joins them.
      return;
    case 1:
      all.kind = "neuronlink-ring";
      if (rng.OneIn(3)) all.shape = "line";
      break;
    case 2:
      if (count != 4 && count != 8) return;
      all.kind = "tpu-slice";
      all.shape = count == 4 ? "2,2,1" : "2,4,1";
      break;
    case 3:
      all.kind = "xgmi-hive";
      break;
    case 4:
      for (size_t i = 0; i < count; i += side) {
        const auto begin = all.members.begin() + static_cast<ptrdiff_t>(i);
        node.groups.push_back(
            {"nvlink", {begin, begin + static_cast<ptrdiff_t>(std::min(side, count - i))}, ""});
      }
      return;
  }
  if (count > 1) node.groups.push_back(std::move(all));
}

// How many sets of `count` the devices at these places of the node make, were it empty: each model
// of MakeNode stands in one piece, and in whole halves of a slice.
uint64_t SetsOf(const std::vector<std::string>& ids, const NodeInfo& node,
                const DeviceRequest& request) {
  const uint64_t plain = ids.size() / request.count;
  if (request.count == 1) return ids.size();
  if (node.groups.empty()) return request.joined ? 0 : plain;
  const std::string& kind = node.groups.front().kind;
  if (kind == "neuronlink-ring") return plain;
  if (kind == "tpu-slice") return request.count == 3 ? 0 : plain;
  if (!request.joined) return plain;
  uint64_t sets = 0;
  for (const DeviceGroup& group : node.groups) {
    const auto here = std::count_if(ids.begin(), ids.end(), [&](const std::string& id) {
      return std::find(group.members.begin(), group.members.end(), id) != group.members.end();
    });
    sets += static_cast<uint64_t>(here) / request.count;
  }
  return sets;
}

uint64_t Slots(const JobSpec& spec, const DeviceRequest* request, const NodeInfo& node) {
  uint64_t slots = UINT64_MAX;
  if (spec.resources.cpus > 0)
    slots = std::min(slots, static_cast<uint64_t>(node.cpus / spec.resources.cpus));
  if (spec.resources.memory > 0)
    slots = std::min(slots, static_cast<uint64_t>(node.memory / spec.resources.memory));
  if (request == nullptr || request->kind == DeviceKind::kCpu || request->count == 0) return slots;
  // All devices of a task are of one model.
  uint64_t by_device = 0;
  for (const Model& model : kModels) {
    std::vector<std::string> devices;
    for (const Device& device : node.devices)
      if (device.model == model.name && Matches(*request, device)) devices.push_back(device.id);
    by_device += SetsOf(devices, node, *request);
  }
  return std::min(slots, by_device);
}

}  // namespace

NodeInfo MakeNode(Rng& rng, uint32_t index) {
  NodeInfo node;
  if (!rng.OneIn(4)) node.labels["rack"] = fmt::format("r{}", rng.Below(2));
  node.name = fmt::format("n{}", index + 1);
  node.instance = fmt::format("i{}", index + 1);
  node.address = fmt::format("10.0.0.{}", index + 1);
  node.version = "simulated";
  node.task_leases = true;
  node.cpus = static_cast<MilliCpu>(2'000 + 1'000 * rng.Below(31));
  node.memory = static_cast<Bytes>(4 + rng.Below(125)) * kGiB;
  Device cpu;
  cpu.id = "cpu0";
  cpu.kind = DeviceKind::kCpu;
  cpu.vendor = "intel";
  cpu.model = "intel/xeon-8480+";
  cpu.cores = node.cpus / 1'000;
  if (!rng.OneIn(4)) cpu.power_max = 350'000;
  node.devices.push_back(cpu);
  const Model& first = kModels[rng.Below(kModels.size())];
  const Model& second = rng.OneIn(4) ? kModels[rng.Below(kModels.size())] : first;
  const uint64_t count = rng.Below(9);
  // Some tell nothing of power, some nodes have limits of their own, or one device has.
  const uint64_t tells = rng.Below(8), limited = rng.Below(16);
  for (uint64_t i = 0; i < count; ++i) {
    const Model& model = i < count / 2 ? first : second;
    Device device;
    device.id = fmt::format("acc{}", i);
    device.kind = model.kind;
    device.vendor = model.vendor;
    device.model = model.name;
    device.memory = model.memory;
    device.emulated = true;
    if (tells > 0) device.power_max = tells == 1 ? model.power * 2 / 3 : model.power;
    if (limited == i) device.power_max = model.power / 2;
    node.devices.push_back(device);
  }
  Arrange(rng, node);
  return node;
}

JobSpec MakeJob(Rng& rng, uint64_t number, bool kinds, bool leases) {
  JobSpec job;
  job.name = fmt::format("j{}", number);
  job.tenant = kTenants[rng.Below(kTenants.size())];
  job.priority = static_cast<int32_t>(rng.Below(3));
  job.tasks = rng.OneIn(3) ? 1 + static_cast<uint32_t>(rng.Below(4)) : 1;
  job.resources.cpus = static_cast<MilliCpu>(250 * (1 + rng.Below(16)));
  job.resources.memory = static_cast<Bytes>(1 + rng.Below(8)) * 256 * kMiB;
  job.restarts_max = static_cast<uint32_t>(rng.Below(3));
  job.grace = std::array<Duration, 3>{100ms, 2s, 10s}[rng.Below(3)];
  if (rng.OneIn(3)) job.runtime = TaskRuntime::kNoop;
  if (!rng.OneIn(3)) {
    job.devices.push_back(MakeRequest(rng));
    while (rng.OneIn(3)) job.devices.push_back(MakeRequest(rng));
  } else if (rng.OneIn(4)) {
    DeviceRequest cpu;
    cpu.kind = DeviceKind::kCpu;
    job.devices.push_back(cpu);
  }
  int64_t runs = static_cast<int64_t>(1'000 + rng.Below(rng.OneIn(3) ? 15'000'000 : 500'000));
  if (rng.OneIn(15)) {
    runs = 3'600'000'000;  // Until its limit, or until somebody cancels it.
    if (rng.OneIn(2)) job.time_limit = std::array<Duration, 2>{500ms, 5s}[rng.Below(2)];
  } else if (rng.OneIn(10)) {
    job.time_limit = 1min;
  }
  const uint64_t failures = rng.OneIn(8) ? 1 + rng.Below(2) : 0;
  job.command = {"sim"};
  if (kinds) {  // Told apart by the first words.
    static const std::vector<std::vector<std::string>> kCommands = {
        {"python3", "train.py"}, {"python3", "eval.py"}, {"python3", "-m"}, {"train"}, {"sh", ""}};
    job.command = Pick(rng, kCommands);
  }
  job.command.push_back(std::to_string(runs));
  job.command.push_back(std::to_string(failures));
  job.at_most_one = leases && number % 3 != 0;
  return job;
}

DeploymentSpec MakeDeployment(Rng& rng, uint64_t number) {
  DeploymentSpec deployment;
  deployment.name = fmt::format("d{}", number);
  deployment.model = fmt::format("m{}", number);
  deployment.command = {"serve"};
  deployment.resources.cpus = 500;
  deployment.health.interval = rng.OneIn(2) ? 2s : 10s;
  deployment.health.start_timeout = 30s;
  deployment.health.failures_max = 1 + static_cast<uint32_t>(rng.Below(3));
  deployment.grace = rng.OneIn(2) ? 1s : 5s;
  deployment.queue_max = 1 + static_cast<uint32_t>(rng.Below(16));
  deployment.queue_timeout = rng.OneIn(2) ? 2s : 15s;
  if (rng.OneIn(2)) deployment.objective.end_to_end = 300ms;
  const uint64_t groups = 1 + rng.Below(2);
  for (uint64_t i = 0; i < groups; ++i) {
    ReplicaGroup group;
    if (rng.OneIn(3)) {
      group.device.kind = DeviceKind::kCpu;
    } else {
      group.device = MakeRequest(rng);
      group.device.count = rng.OneIn(4) ? 2 : 1;
    }
    group.count = static_cast<uint32_t>(rng.Below(3));
    group.concurrency = 1 + static_cast<uint32_t>(rng.Below(4));
    deployment.groups.push_back(group);
  }
  return deployment;
}

// A handful of accelerators' worth; half of the policies have no cap at all.
PowerCaps MakeCaps(Rng& rng) {
  PowerCaps caps;
  const auto some = [&rng] { return static_cast<MilliWatt>(rng.Below(60)) * 100'000; };
  if (rng.OneIn(2)) return caps;
  if (rng.OneIn(2)) caps.cluster = some();
  if (rng.OneIn(2)) caps.rack = some();
  if (rng.OneIn(3)) caps.node = some();
  if (rng.OneIn(4)) caps.racks["r1"] = some();
  if (rng.OneIn(4)) caps.nodes["n2"] = some();
  return caps;
}

Policy MakePolicy(Rng& rng) {
  Policy policy;
  policy.name = fmt::format("p{}", rng.Below(1'000));
  policy.queue.algorithm = Pick(rng, policies::QueuePolicyNames());
  policy.queue.head_hold_after = rng.OneIn(2) ? 5s : 5min;
  policy.queue.shares = {{"research", 2.0}};
  policy.placement.algorithm = Pick(rng, policies::PlacementPolicyNames());
  policy.routing.algorithm = Pick(rng, policies::RoutingPolicyNames());
  policy.routing.explore_ratio = 0.1;
  policy.prices.other_gpu = {static_cast<int64_t>(rng.Below(9'000'000))};
  policy.prices.other_asic = {static_cast<int64_t>(rng.Below(3'000'000))};
  policy.prices.other_cpu_core = {40'000};
  policy.quarantine.failures = rng.OneIn(8) ? 0 : 1 + static_cast<uint32_t>(rng.Below(3));
  policy.quarantine.within = rng.OneIn(2) ? 5s : 60s;
  policy.quarantine.probation_after = Duration(1s) * static_cast<int64_t>(1 + rng.Below(20));
  policy.power = MakeCaps(rng);
  if (rng.OneIn(4)) policy.prices.rows = {{"nvidia/*", {2'000'000}, 400.0}};
  if (rng.OneIn(4)) policy.prices.hours = {{22, 6, 50'000, 0.5}};
  return policy;
}

MilliWatt DrawsAtMost(const PriceBook& prices, const NodeInfo& node, const Device& device) {
  for (const PriceRow& row : prices.rows) {
    if (!GlobMatch(row.model, device.model)) continue;
    if (row.watts) return static_cast<MilliWatt>(*row.watts * 1000 + 0.5);
    break;
  }
  MilliWatt most = 0;
  for (const Device& other : node.devices)
    if (other.model == device.model) most = std::max(most, other.power_max.value_or(0));
  return most;
}

MilliWatt ShareDrawsAtMost(const PriceBook& prices, const NodeInfo& node, MilliCpu share) {
  MilliWatt power = 0;
  MilliCpu whole = 0;
  for (const Device& device : node.devices) {
    if (device.kind != DeviceKind::kCpu) continue;
    power += DrawsAtMost(prices, node, device);
    whole += device.cores * 1'000;
  }
  whole = std::max<MilliCpu>({whole, node.cpus, 1});
  return (power * share + whole / 2) / whole;
}

namespace {

// Gangs within caps: one task after the other to where it draws least, until no cap allows more.
bool FitsCaps(const JobSpec& spec, const DeviceRequest* request,
              const std::vector<const NodeInfo*>& nodes, const Policy& policy) {
  struct Way {
    MilliWatt power;
    size_t node;
    uint64_t tasks;
  };
  std::vector<Way> ways;
  for (size_t i = 0; i < nodes.size(); ++i) {
    const NodeInfo* node = nodes[i];
    const MilliWatt share = ShareDrawsAtMost(policy.prices, *node, spec.resources.cpus);
    if (request == nullptr || request->kind == DeviceKind::kCpu || request->count == 0) {
      ways.push_back({share, i, Slots(spec, request, *node)});
      continue;
    }
    for (const Model& model : kModels) {
      std::vector<std::string> devices;
      MilliWatt each = 0;
      for (const Device& device : node->devices) {
        if (device.model != model.name || !Matches(*request, device)) continue;
        devices.push_back(device.id);
        each = DrawsAtMost(policy.prices, *node, device);
      }
      ways.push_back({share + each * request->count, i, SetsOf(devices, *node, *request)});
    }
  }
  std::stable_sort(ways.begin(), ways.end(),
                   [](const Way& a, const Way& b) { return a.power < b.power; });
  const PowerCaps& caps = policy.power;
  std::vector<std::pair<uint64_t, MilliWatt>> of_node(nodes.size());
  std::map<std::string, MilliWatt> of_rack;
  MilliWatt of_cluster = 0;
  uint64_t placed = 0;
  for (const Way& way : ways) {
    const NodeInfo& node = *nodes[way.node];
    const auto label = node.labels.find("rack");
    const std::string rack = label == node.labels.end() ? "" : label->second;
    auto& [tasks, power] = of_node[way.node];
    for (uint64_t n = 0; n < way.tasks && placed < spec.tasks; ++n) {
      if (tasks >= Slots(spec, nullptr, node)) break;
      const auto over = [&way](std::optional<MilliWatt> cap, MilliWatt leased) {
        return cap && leased + way.power > *cap;
      };
      if (over(CapOfNode(caps, node.name), power)) break;
      if (!rack.empty() && over(CapOfRack(caps, rack), of_rack[rack])) break;
      if (over(caps.cluster, of_cluster)) break;
      ++tasks;
      power += way.power;
      of_rack[rack] += way.power;
      of_cluster += way.power;
      ++placed;
    }
  }
  return placed >= spec.tasks;
}

}  // namespace

std::optional<MilliWatt> CapOfNode(const PowerCaps& caps, const std::string& name) {
  const auto it = caps.nodes.find(name);
  return it == caps.nodes.end() ? caps.node : std::optional(it->second);
}

std::optional<MilliWatt> CapOfRack(const PowerCaps& caps, const std::string& name) {
  const auto it = caps.racks.find(name);
  return it == caps.racks.end() ? caps.rack : std::optional(it->second);
}

bool FitsEmptyCluster(const JobSpec& spec, const std::vector<const NodeInfo*>& nodes,
                      const Policy& policy) {
  const auto fits = [&](const DeviceRequest* request) {
    uint64_t slots = 0;
    for (const NodeInfo* node : nodes)
      slots += std::min<uint64_t>(Slots(spec, request, *node), spec.tasks);
    return slots >= spec.tasks && FitsCaps(spec, request, nodes, policy);
  };
  if (spec.devices.empty()) return fits(nullptr);
  std::set<std::string> vendors;
  for (const NodeInfo* node : nodes)
    for (const Device& device : node->devices) vendors.insert(device.vendor);
  return std::any_of(spec.devices.begin(), spec.devices.end(), [&](const DeviceRequest& request) {
    if (spec.tasks == 1 || request.kind == DeviceKind::kCpu || !request.vendor.empty())
      return fits(&request);
    // A gang stays with one vendor.
    return std::any_of(vendors.begin(), vendors.end(), [&](const std::string& vendor) {
      DeviceRequest of_one = request;
      of_one.vendor = vendor;
      return fits(&of_one);
    });
  });
}

bool EndsByItself(const JobSpec& spec) {
  return spec.runtime == TaskRuntime::kNoop || spec.time_limit ||
         std::stoll(spec.command[spec.command.size() - 2]) <= 60'000'000;
}

}  // namespace allot::simulator
