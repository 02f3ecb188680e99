#include "agent/devices/rebellions/rebellions_vendor.h"

#include <map>

namespace allot::agent {
namespace {

// A virtual function says whose it is; which one, only its parent's virtfnN links do.
std::optional<Partition> VirtualFunction(const Host& host, const pci::Function& function) {
  const auto parent = host.LinkName(function.path() + "/physfn");
  if (!parent || !pci::IsAddress(*parent)) return std::nullopt;
  Partition partition{.scheme = "sriov", .parent = *parent};
  const std::string path = "/sys/bus/pci/devices/" + *parent;
  for (const std::string& name : host.List(path))
    if (const auto index = NumberAfter(name, "virtfn");
        index && host.LinkName(path + "/" + name) == function.address)
      partition.index = static_cast<int>(*index);
  return partition;
}

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
    found.partition = VirtualFunction(host, *function);
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
