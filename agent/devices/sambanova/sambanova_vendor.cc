#include "agent/devices/sambanova/sambanova_vendor.h"

namespace allot::agent {

void SambanovaVendor::Find(const Snapshot& machine, Discovery* discovery) {
  std::vector<std::string> members;
  for (const pci::Function* function : machine.bus.Of("sambanova")) {
    if (function->class_code && *function->class_code >> 16 == 0x06) continue;  // a bridge
    FoundDevice found = FromFunction(machine, *function, "sambanova", {});
    if (found.device.state == DeviceState::kReady) {
      found.device.shared_nodes = machine.nodes.Existing({"/dev/rdu", "/dev/rdu_mem_map"});
      found.Tell("shared_dev_nodes", "/dev");
      members.push_back(found.device.id);
    }
    discovery->devices.push_back(std::move(found));
  }
  AddGroup("rdu-node", std::move(members), discovery);
}

}  // namespace allot::agent
