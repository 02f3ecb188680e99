// FuriosaAI NPUs by their management class, which names the PCI function: rngd_mgmt (RNGD) and
// npu_mgmt (Warboy). All nodes of one NPU, of its processing elements and their fusions included,
// belong to it alone.
#pragma once

#include "agent/devices/sysfs/sysfs_vendor.h"

namespace allot::agent {

class FuriosaVendor : public SysfsVendor {
 public:
  std::string_view name() const override { return "furiosa"; }

 private:
  void Find(const Snapshot& machine, Discovery* discovery) override;
};

}  // namespace allot::agent
