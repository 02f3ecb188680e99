// SambaNova RDUs. Only the vendor id is public, and two nodes that all RDUs share: a device filter
// cannot tell them apart, so a node is given out whole or through the vendor's daemon.
#pragma once

#include "agent/devices/sysfs/sysfs_vendor.h"

namespace allot::agent {

class SambanovaVendor : public SysfsVendor {
 public:
  std::string_view name() const override { return "sambanova"; }

 private:
  void Find(const Snapshot& machine, Discovery* discovery) override;
};

}  // namespace allot::agent
