#include "agent/devices/listed/listed_vendor.h"

namespace allot::agent {

void ListedVendor::Find(const Snapshot& machine, Discovery* discovery) {
  for (const pci::Function* function : machine.bus.Of(key_)) {
    FoundDevice found = FromFunction(machine, *function, key_, {});
    for (const ClassEntry& entry : ClassEntries(machine, *function, "accel"))
      if (!entry.node.empty()) found.device.nodes.push_back(entry.node);
    if (!found.device.nodes.empty()) found.Tell("dev_nodes", "sysfs accel class, /dev");
    Watch(machine, FindSensors(*machine.host, function->path()), &found);
    discovery->devices.push_back(std::move(found));
  }
}

}  // namespace allot::agent
