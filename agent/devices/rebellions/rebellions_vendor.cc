#include "agent/devices/rebellions/rebellions_vendor.h"

#include <map>

namespace allot::agent {
namespace {

// Anything but 0 is bad; no file at all says nothing.
std::optional<double> StatusBad(const Host& host, const std::string& path) {
  const Reading<int64_t> status = host.Int(path);
  if (status.state == Reading<int64_t>::kAbsent) return std::nullopt;
  return status && *status == 0 ? 0 : 1;
}

}  // namespace

void RebellionsVendor::Find(const Snapshot& machine, Discovery* discovery) {
  const Host& host = *machine.host;
  std::map<std::string, std::vector<std::string>> cards;
  for (const pci::Function* function : machine.bus.OfVendor(0x1eff)) {
    if (function->row == nullptr && !function->IsClass(0x1200)) continue;
    FoundDevice found = FromFunction(machine, *function, "rebellions", {});
    Device& device = found.device;
    found.family = "npu";
    for (const ClassEntry& entry : ClassEntries(machine, *function, "rebellions")) {
      const auto number = NumberAfter(entry.name, "rbln");
      if (!number) continue;
      if (!entry.node.empty()) device.nodes = {entry.node};
      found.Tell("dev_nodes", "sysfs rebellions class, /dev");
      device.visible_variable = "RBLN_DEVICES";
      device.visible_value = std::to_string(*number);
      found.Tell("visible_env", "sysfs rebellions class");
      WatchSignal(device.id, "status_bad",
                  [path = entry.path + "/status"](const Host& h) { return StatusBad(h, path); });
      if (device.state == DeviceState::kReady && StatusBad(host, entry.path + "/status") == 1) {
        device.state = DeviceState::kUnhealthy;
        found.Tell("state", "sysfs rebellions status");
      }
    }
    Watch(machine, FindSensors(host, function->path()), &found);
    if (!found.partition) cards[std::string(function->slot())].push_back(device.id);
    discovery->devices.push_back(std::move(found));
  }
  for (auto& [slot, members] : cards) AddGroup("card", std::move(members), discovery);
}

}  // namespace allot::agent
