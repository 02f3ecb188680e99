#include "agent/shell/agent.h"
#include "common/json/json.h"
#include "fmt/ranges.h"

namespace allot::agent {
namespace {

template <class T>
json::array ToJson(const std::vector<T>& items) {
  json::array out;
  for (const T& item : items) out.emplace_back(item);
  return out;
}

std::string DescribeJson(const Discovery& discovery) {
  json::array devices;
  for (const FoundDevice& found : discovery.devices) {
    const Device& device = found.device;
    json::object out = {{"id", device.id},
                        {"kind", std::string(ToString(device.kind))},
                        {"vendor", device.vendor},
                        {"model", device.model},
                        {"name", found.name},
                        {"state", std::string(ToString(device.state))},
                        {"emulated", device.emulated},
                        {"source", found.source},
                        {"features", ToJson(device.features)}};
    if (device.memory) out["memory_bytes"] = *device.memory;
    if (device.cores > 0) out["cores"] = device.cores;
    if (device.numa_node >= 0) out["numa_node"] = device.numa_node;
    if (!device.nodes.empty()) out["nodes"] = ToJson(device.nodes);
    if (!device.visible_variable.empty())
      out["visible"] = device.visible_variable + "=" + device.visible_value;
    devices.push_back(std::move(out));
  }
  const json::object all = {
      {"version", 1}, {"devices", std::move(devices)}, {"warnings", ToJson(discovery.warnings)}};
  return json::serialize(all) + "\n";
}

}  // namespace

std::string DescribeDiscovery(const Discovery& discovery, bool json) {
  if (json) return DescribeJson(discovery);
  std::string out = fmt::format("{:<14}{:<6}{:<26}{:>8}{:>7}{:>6}  {:<12}{}\n", "DEVICE", "KIND",
                                "MODEL", "MEMORY", "CORES", "NUMA", "STATE", "SOURCE");
  for (const FoundDevice& found : discovery.devices) {
    const Device& device = found.device;
    out += fmt::format("{:<14}{:<6}{:<26}{:>8}{:>7}{:>6}  {:<12}{}\n", device.id,
                       ToString(device.kind), device.model,
                       device.memory ? FormatBytes(*device.memory) : "-",
                       device.cores > 0 ? std::to_string(device.cores) : "-",
                       device.numa_node >= 0 ? std::to_string(device.numa_node) : "-",
                       ToString(device.state), found.source);
    if (!device.features.empty())
      out += fmt::format("{:<14}{}\n", "", fmt::join(device.features, " "));
  }
  for (const std::string& warning : discovery.warnings) out += "warning: " + warning + "\n";
  return out;
}

}  // namespace allot::agent
