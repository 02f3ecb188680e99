// AMD Instinct and Radeon GPUs by the amdgpu driver: PCI functions, KFD topology, compute
// partitions, hwmon, RAS counters.
//
// The driver registers render nodes for partitions that do not exist, so only those a KFD node
// names are devices. Partitions share one PCI function, unique id and power sensor.
#pragma once

#include <string>

#include "agent/devices/amd/kfd.h"
#include "agent/devices/sysfs/sysfs_vendor.h"

namespace allot::agent {

class AmdVendor : public SysfsVendor {
 public:
  std::string_view name() const override { return "amd"; }

 private:
  void Find(const Snapshot& machine, Discovery* discovery) override;
};

// Memory of a whole GPU from its three sources. Any two that agree win, since a file may have been
// cut; else what the driver says. `source` is "sysfs", "kfd" or "table".
struct AmdMemory {
  std::optional<Bytes> bytes;
  std::string source;
};
AmdMemory ChooseMemory(std::optional<Bytes> sysfs, std::optional<Bytes> kfd,
                       std::optional<Bytes> nominal);

}  // namespace allot::agent
