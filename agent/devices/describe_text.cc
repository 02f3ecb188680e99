#include <map>

#include "agent/devices/describe.h"
#include "common/base/text.h"
#include "fmt/ranges.h"

namespace allot::agent {
namespace {

std::string Or(const std::string& text, const char* without) {
  return text.empty() ? without : ReplaceInvalidUtf8(text);
}

std::string Count(std::optional<uint32_t> number) { return number ? std::to_string(*number) : "?"; }

std::string MachineLines(const CpuMachine& machine) {
  std::string out = fmt::format(
      "{} machine, {}: {} sockets, {} cores, {} threads, {}\n", Or(machine.platform, "unknown"),
      Or(machine.model_name, "unknown processor"), Count(machine.sockets), Count(machine.cores),
      Count(machine.threads), machine.memory ? FormatBytes(*machine.memory) : "memory unknown");
  for (const NumaNode& node : machine.numa_nodes)
    out += fmt::format("  NUMA node {}: processors {}, {}\n", node.id, Or(node.cpulist, "none"),
                       node.memory ? FormatBytes(*node.memory) : "memory unknown");
  if (!machine.isa.empty())
    out +=
        fmt::format("  {}\n", ReplaceInvalidUtf8(fmt::format("{}", fmt::join(machine.isa, " "))));
  return out;
}

std::string Measured(const Readings& readings) {
  std::string out;
  const auto put = [&](const std::optional<double>& value, const char* format) {
    if (value) out += (out.empty() ? "" : ", ") + fmt::format(fmt::runtime(format), *value);
  };
  put(readings.power_w, "{:g} W");
  put(readings.power_pct_of_max, "{:g} % of full power");
  put(readings.temp_c, "{:g} C");
  put(readings.mem_temp_c, "memory {:g} C");
  put(readings.util_pct, "{:g} % busy");
  put(readings.energy_j, "{:g} J");
  return out;
}

// What stands below a device: everything that is known, with its source.
std::string Details(const FoundDevice& found) {
  const Device& device = found.device;
  std::string out;
  const auto line = [&](const std::string& text) {
    if (!text.empty()) out += fmt::format("{:<16}{}\n", "", text);
  };
  std::string what = ReplaceInvalidUtf8(found.name);
  if (!found.pci_id.empty()) what += fmt::format(" [{}, class {}]", found.pci_id, found.pci_class);
  if (!found.driver.empty()) what += ", driver " + ReplaceInvalidUtf8(found.driver);
  if (found.units > 1) what += fmt::format(", {} units", found.units);
  line(what);
  if (!device.nodes.empty()) line(fmt::format("own nodes {}", fmt::join(device.nodes, " ")));
  if (!device.shared_nodes.empty())
    line(fmt::format("shared nodes {}", fmt::join(device.shared_nodes, " ")));
  if (!device.visible_variable.empty()) line(device.visible_variable + "=" + device.visible_value);
  for (const auto& [name, value] : device.environment) line(name + "=" + value);
  if (found.partition)
    line(fmt::format("{} partition of {}", found.partition->scheme, found.partition->parent));
  if (!device.parent.empty() && !found.partition) line("a part of " + device.parent);
  if (device.power_max) line("at most " + FormatPower(*device.power_max));
  if (!device.features.empty()) line(fmt::format("{}", fmt::join(device.features, " ")));
  line(Measured(found.readings));
  if (!found.warnings.empty()) line(fmt::format("WARNING {}", fmt::join(found.warnings, ", ")));
  std::string sources;
  for (const Fact& fact : found.facts)
    sources += fmt::format("{}{}: {}", sources.empty() ? "" : "; ", fact.what, fact.source);
  line("from " + (sources.empty() ? found.source : ReplaceInvalidUtf8(sources)));
  return out;
}

}  // namespace

std::string DiscoveryText(const Discovery& discovery, const CpuMachine& machine) {
  std::string out = MachineLines(machine);
  constexpr const char* kRow = "{:<15} {:<6}{:<28}{:>9}{:>7}{:>6}  {:<10}{}\n";
  out += "\n" + fmt::format(fmt::runtime(kRow), "DEVICE", "KIND", "MODEL", "MEMORY", "CORES",
                            "NUMA", "ISOLATION", "STATE");
  for (const FoundDevice& found : discovery.devices) {
    const Device& device = found.device;
    // Nominal memory is marked: the driver was not asked, the box was read.
    const std::string memory =
        device.memory ? (found.memory_source == "table" ? "~" : "") + FormatBytes(*device.memory)
                      : "-";
    out += fmt::format(
        fmt::runtime(kRow), device.id, ToString(device.kind), ReplaceInvalidUtf8(device.model),
        memory, device.cores > 0 ? std::to_string(device.cores) : "-",
        device.numa_node >= 0 ? std::to_string(device.numa_node) : "-", ToString(device.isolation),
        std::string(ToString(device.state)) + (device.emulated     ? ", emulated"
                                               : device.configured ? ", configured"
                                                                   : ""));
    out += Details(found);
  }
  for (const DeviceGroup& group : discovery.groups)
    out += fmt::format("{}{} joins {}\n", group.kind,
                       group.shape.empty() ? "" : " " + ReplaceInvalidUtf8(group.shape),
                       fmt::join(group.members, " "));
  std::map<std::string, std::vector<std::string>> ignored;
  for (const IgnoredFunction& function : discovery.ignored)
    ignored[fmt::format("{} ({})", function.why,
                        function.driver.empty() ? "no driver" : "driver " + function.driver)]
        .push_back(function.id);
  for (const auto& [why, ids] : ignored)
    out += fmt::format("no device: {}: {}\n", ReplaceInvalidUtf8(why), fmt::join(ids, " "));
  for (const std::string& warning : discovery.warnings) out += "warning: " + warning + "\n";
  return out;
}

}  // namespace allot::agent
