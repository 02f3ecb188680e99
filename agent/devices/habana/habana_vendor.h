// Intel Gaudi by the habanalabs driver: the accel class (two nodes each, of two majors), module
// ids, status words, hwmon. The module id, not the minor, goes into the visible variable. hl-smi,
// where it answers, adds the memory it measures.
#pragma once

#include "agent/devices/sysfs/sysfs_vendor.h"

namespace allot::agent {

class HabanaVendor : public SysfsVendor {
 public:
  bool enriches() const override { return true; }
  void Enrich(Discovery* discovery) override;
  std::string_view name() const override { return "habana"; }

 private:
  void Find(const Snapshot& machine, Discovery* discovery) override;
  std::shared_ptr<const Host> host_;
};

}  // namespace allot::agent
