// Intel data-centre and Arc GPUs by the i915 and xe drivers: DRM nodes, local memory, hwmon.
// Graphics inside a processor has the same vendor id, class and drivers, so only functions of the
// id table count.
#pragma once

#include "agent/devices/sysfs/sysfs_vendor.h"

namespace allot::agent {

class IntelVendor : public SysfsVendor {
 public:
  std::string_view name() const override { return "intel"; }

 private:
  void Find(const Snapshot& machine, Discovery* discovery) override;
};

}  // namespace allot::agent
