// Google TPU chips of a TPU VM: bound to vfio-pci (from v5e on, and there that is the working
// driver, not a reservation) or shown in the accel class (up to v4). Chip numbers follow PCI order;
// IOMMU group numbers do not.
#pragma once

#include "agent/devices/sysfs/sysfs_vendor.h"

namespace allot::agent {

class TpuVendor : public SysfsVendor {
 public:
  std::string_view name() const override { return "google"; }

 private:
  void Find(const Snapshot& machine, Discovery* discovery) override;
};

}  // namespace allot::agent
