#include "agent/devices/describe.h"
#include "common/base/text.h"
#include "common/json/json.h"

namespace allot::agent {
namespace {

json::value OrNull(const std::string& text) {
  if (text.empty()) return nullptr;
  return json::value(ReplaceInvalidUtf8(text));
}
template <class T>
json::value OrNull(const std::optional<T>& value) {
  return value ? json::value(*value) : json::value(nullptr);
}
json::array List(const std::vector<std::string>& items) {
  json::array out;
  for (const std::string& item : items) out.emplace_back(ReplaceInvalidUtf8(item));
  return out;
}

std::string KindWord(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::kGpu:
      return "gpu";
    case DeviceKind::kAsic:
      return "asic";
    case DeviceKind::kCpu:
      return "cpu";
  }
  return "other";
}

json::object Telemetry(const Readings& readings) {
  json::object out;
  const auto put = [&](const char* key, const std::optional<double>& value) {
    if (value) out[key] = *value;
  };
  put("power_w", readings.power_w);
  put("temp_c", readings.temp_c);
  put("mem_temp_c", readings.mem_temp_c);
  put("util_pct", readings.util_pct);
  put("energy_j", readings.energy_j);
  put("power_pct_of_max", readings.power_pct_of_max);
  return out;
}

json::value PartitionJson(const std::optional<Partition>& partition) {
  if (!partition) return nullptr;
  json::object out = {{"scheme", partition->scheme}, {"parent", partition->parent}};
  if (partition->gi) out["gi"] = *partition->gi;
  if (partition->ci) out["ci"] = *partition->ci;
  if (!partition->mode.empty()) out["mode"] = ReplaceInvalidUtf8(partition->mode);
  if (partition->index) out["index"] = *partition->index;
  return out;
}

json::object DeviceJson(const FoundDevice& found) {
  const Device& device = found.device;
  json::object out;
  out["id"] = device.id;
  out["vendor"] = device.vendor;
  out["kind"] = KindWord(device.kind);
  out["family"] = OrNull(found.family);
  out["model"] = OrNull(found.name);
  out["name"] = ReplaceInvalidUtf8(device.model);
  out["pci_id"] = OrNull(found.pci_id);
  out["pci_class"] = OrNull(found.pci_class);
  out["numa_node"] = device.numa_node >= 0 ? json::value(device.numa_node) : json::value(nullptr);
  out["memory_bytes"] = OrNull(device.memory);
  out["memory_source"] = found.memory_source.empty() ? "unknown" : found.memory_source;
  out["driver"] = OrNull(found.driver);
  out["state"] = std::string(ToString(device.state));
  out["warnings"] = List(found.warnings);
  out["dev_nodes"] = List(device.nodes);
  out["shared_dev_nodes"] = List(device.shared_nodes);
  out["visible_env"] = nullptr;
  if (!device.visible_variable.empty())
    out["visible_env"] = json::object{{device.visible_variable, device.visible_value}};
  out["units"] = found.units;
  out["partition"] = PartitionJson(found.partition);
  out["telemetry"] = Telemetry(found.readings);
  out["uuid"] = OrNull(found.uuid);
  out["features"] = List(device.features);
  out["emulated"] = device.emulated;
  out["isolation"] = std::string(ToString(device.isolation));
  out["source"] = device.configured ? "configured" : "detected";
  out["parent"] = OrNull(device.parent);
  out["power_max_watts"] = device.power_max
                               ? json::value(static_cast<double>(*device.power_max) / 1000)
                               : json::value(nullptr);
  json::object environment;
  for (const auto& [name, value] : device.environment)
    environment[name] = ReplaceInvalidUtf8(value);
  if (!environment.empty()) out["environment"] = std::move(environment);
  json::object sources;
  for (const Fact& fact : found.facts) sources[fact.what] = ReplaceInvalidUtf8(fact.source);
  if (sources.empty()) sources["all"] = found.source;
  out["sources"] = std::move(sources);
  return out;
}

json::object CpuJson(const CpuMachine& machine, const Discovery& discovery) {
  json::array nodes;
  for (const NumaNode& node : machine.numa_nodes)
    nodes.push_back(json::object{
        {"id", node.id}, {"cpulist", node.cpulist}, {"mem_bytes", OrNull(node.memory)}});
  json::array offered;
  for (const FoundDevice& found : discovery.devices) {
    if (found.device.kind != DeviceKind::kCpu || found.device.emulated) continue;
    offered.push_back(
        json::object{{"id", found.device.id},
                     {"threads", found.device.cores},
                     {"memory_bytes", OrNull(found.device.memory)},
                     {"numa_node", found.device.numa_node >= 0 ? json::value(found.device.numa_node)
                                                               : json::value(nullptr)},
                     {"source", found.source}});
  }
  return {{"arch", OrNull(machine.arch)},
          {"vendor", OrNull(machine.vendor_id)},
          {"model", OrNull(machine.model_name)},
          {"name", machine.name},
          {"sockets", OrNull(machine.sockets)},
          {"cores", OrNull(machine.cores)},
          {"threads", OrNull(machine.threads)},
          {"isa", List(machine.isa)},
          {"numa_nodes", std::move(nodes)},
          {"energy_source", machine.energy_source ? OrNull(*machine.energy_source) : nullptr},
          {"offered", std::move(offered)}};
}

}  // namespace

std::string DiscoveryJson(const Discovery& discovery, const CpuMachine& machine) {
  json::array devices, groups, ignored;
  for (const FoundDevice& found : discovery.devices)
    if (found.device.kind != DeviceKind::kCpu || found.device.emulated)
      devices.push_back(DeviceJson(found));
  for (const DeviceGroup& group : discovery.groups)
    groups.push_back(json::object{{"kind", group.kind}, {"members", List(group.members)}});
  for (const IgnoredFunction& function : discovery.ignored)
    ignored.push_back(json::object{{"id", function.id}, {"why", function.why}});
  const json::object all = {{"version", 2},
                            {"platform", OrNull(machine.platform)},
                            {"cpu", CpuJson(machine, discovery)},
                            {"mem_total_bytes", OrNull(machine.memory)},
                            {"devices", std::move(devices)},
                            {"groups", std::move(groups)},
                            {"ignored", std::move(ignored)},
                            {"warnings", List(discovery.warnings)}};
  return json::serialize(all) + "\n";
}

}  // namespace allot::agent
