#include "agent/devices/graphcore/graphcore_vendor.h"

namespace allot::agent {

void GraphcoreVendor::Find(const Snapshot& machine, Discovery* discovery) {
  std::vector<std::string> members;
  for (const pci::Function* function : machine.bus.Of("graphcore")) {
    FoundDevice found = FromFunction(machine, *function, "graphcore", {});
    for (const ClassEntry& entry : ClassEntries(machine, *function, "ipu"))
      if (!entry.node.empty()) found.device.nodes.push_back(entry.node);
    if (!found.device.nodes.empty()) found.Tell("dev_nodes", "sysfs ipu class, /dev");
    if (found.device.state == DeviceState::kReady) members.push_back(found.device.id);
    discovery->devices.push_back(std::move(found));
  }
  AddGroup("ipu-link", std::move(members), discovery);
}

}  // namespace allot::agent
