// Qualcomm Cloud AI by the qaic driver: one function and one accel node for each SoC; an Ultra card
// has four. No variable is known that shows a process one of them; the node does.
#pragma once

#include "agent/devices/sysfs/sysfs_vendor.h"

namespace allot::agent {

class QualcommVendor : public SysfsVendor {
 public:
  std::string_view name() const override { return "qualcomm"; }

 private:
  void Find(const Snapshot& machine, Discovery* discovery) override;
};

}  // namespace allot::agent
