// Groq LPU cards. Vendor and device id are documented; class, driver and node names are not, so the
// nodes are matched by a class entry where there is one, else one node for each card in PCI order.
#pragma once

#include "agent/devices/sysfs/sysfs_vendor.h"

namespace allot::agent {

class GroqVendor : public SysfsVendor {
 public:
  std::string_view name() const override { return "groq"; }

 private:
  void Find(const Snapshot& machine, Discovery* discovery) override;
};

}  // namespace allot::agent
