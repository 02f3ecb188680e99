#include "agent/devices/qualcomm/qualcomm_vendor.h"

namespace allot::agent {

void QualcommVendor::Find(const Snapshot& machine, Discovery* discovery) {
  for (const pci::Function* function : machine.bus.Of("qualcomm")) {
    FoundDevice found = FromFunction(machine, *function, "qualcomm", {"qaic"});
    // Before the accel subsystem the driver made a DRM render node.
    for (const char* folder : {"accel", "drm"})
      for (const ClassEntry& entry : ClassEntries(machine, *function, folder))
        if (!entry.node.empty() && !entry.name.starts_with("card") &&
            found.device.state == DeviceState::kReady)
          found.device.nodes.push_back(entry.node);
    found.Tell("dev_nodes", "sysfs accel class, /dev");
    Watch(machine, FindSensors(*machine.host, function->path()), &found);
    discovery->devices.push_back(std::move(found));
  }
}

}  // namespace allot::agent
