#include "agent/devices/tpu/tpu_vendor.h"

#include "agent/devices/tpu/bounds.h"

namespace allot::agent {
namespace {

// v2 and v3 share their PCI id; the subsystem tells. Memory is of a chip, which has two cores.
void TellGenerationsApart(const Host& host, const pci::Function& function, FoundDevice* found) {
  if (function.device != 0x0027) return;
  const Reading<uint32_t> subsystem = host.HexId(function.path() + "/subsystem_device", 4);
  if (!subsystem || (*subsystem != 0x004e && *subsystem != 0x004f)) return;
  const bool third = *subsystem == 0x004f;
  found->name = third ? "TPU v3" : "TPU v2";
  found->device.model = third ? "google/tpu-v3" : "google/tpu-v2";
  found->device.memory = (third ? 32 : 16) * kGiB;
  found->memory_source = "table";
}

// Of "2,4,1"; 0 if it is not that.
size_t Product(const std::string& bounds) {
  size_t product = 1;
  for (const std::string_view part : Split(bounds, ',')) {
    const auto side = ParseUnsigned(part);
    if (!side || *side == 0 || *side > 4096) return 0;
    product *= *side;
  }
  return product;
}

// A chip whose id cannot be read still counts, or those behind it would get their neighbours'
// numbers.
bool IsUnreadableChip(const pci::Function& function) {
  return function.row == nullptr && (!function.vendor || *function.vendor == 0x1ae0) &&
         (!function.vendor || !function.device) && function.IsClass(0x1200);
}

}  // namespace

void TpuVendor::Find(const Snapshot& machine, Discovery* discovery) {
  std::vector<std::string> members;
  uint32_t chip = 0;
  const auto hosts = machine.host->Environment("TPU_HOST_BOUNDS");
  const bool many_hosts = hosts && Product(*hosts) > 1;
  for (const pci::Function& function : machine.bus.functions()) {
    if (function.row == nullptr || function.row->key != "google") {
      if (IsUnreadableChip(function)) ++chip;
      continue;
    }
    FoundDevice found = FromFunction(machine, function, "google", {});
    Device& device = found.device;
    TellGenerationsApart(*machine.host, function, &found);
    uint32_t number = chip++;
    if (found.driver == "vfio-pci") {
      device.state = DeviceState::kReady;
      const auto group = machine.host->LinkName(function.path() + "/iommu_group");
      if (group && NumberAfter(*group, ""))
        device.nodes = machine.nodes.Existing({"/dev/vfio/" + *group});
      device.shared_nodes = machine.nodes.Existing({"/dev/vfio/vfio"});
      found.Tell("shared_dev_nodes", "/dev");
      found.Tell("dev_nodes", "sysfs iommu_group, /dev");
    } else if (device.state == DeviceState::kReady) {
      for (const ClassEntry& entry : ClassEntries(machine, function, "accel")) {
        if (entry.node.empty()) continue;
        device.nodes = {entry.node};
        number = NumberAfter(entry.name, "accel").value_or(number);
      }
      found.Tell("dev_nodes", "sysfs accel class, /dev");
    }
    if (device.state == DeviceState::kReady) {
      device.visible_variable = "TPU_VISIBLE_CHIPS";
      device.visible_value = std::to_string(number);
      found.Tell("visible_env", "PCI order");
      if (many_hosts) device.features.emplace_back(kTpuManyHosts);
      members.push_back(device.id);
    }
    discovery->devices.push_back(std::move(found));
  }
  AddGroup("tpu-slice", std::move(members), discovery);
  // How the chips of this host are laid out, as the cloud says.
  if (const auto bounds = machine.host->Environment("TPU_CHIPS_PER_HOST_BOUNDS");
      bounds && !discovery->groups.empty() &&
      Product(*bounds) == discovery->groups.back().members.size())
    discovery->groups.back().shape = *bounds;
}

}  // namespace allot::agent
