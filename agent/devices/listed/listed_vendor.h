// Accelerators of which only the PCI ids are public (d-matrix, Etched): seen, named and placed,
// with the nodes their class entry gives if it is in the accel class, and nothing more.
#pragma once

#include <string>

#include "agent/devices/sysfs/sysfs_vendor.h"

namespace allot::agent {

class ListedVendor : public SysfsVendor {
 public:
  // `key` is that of the rows in the id table.
  explicit ListedVendor(std::string key) : key_(std::move(key)) {}
  std::string_view name() const override { return key_; }

 private:
  void Find(const Snapshot& machine, Discovery* discovery) override;
  const std::string key_;
};

}  // namespace allot::agent
