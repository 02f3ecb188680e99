// Rebellions NPUs: one PCI function for each NPU of a card, virtual functions included. Status 0 is
// ready, anything else is not.
#pragma once

#include "agent/devices/sysfs/sysfs_vendor.h"

namespace allot::agent {

class RebellionsVendor : public SysfsVendor {
 public:
  std::string_view name() const override { return "rebellions"; }

 private:
  void Find(const Snapshot& machine, Discovery* discovery) override;
};

}  // namespace allot::agent
