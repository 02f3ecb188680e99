// Graphcore IPUs by their PCI ids. Nodes are found by the class entry of a function; without one a
// node cannot be told from its neighbour's, and the device stays without.
#pragma once

#include "agent/devices/sysfs/sysfs_vendor.h"

namespace allot::agent {

class GraphcoreVendor : public SysfsVendor {
 public:
  std::string_view name() const override { return "graphcore"; }

 private:
  void Find(const Snapshot& machine, Discovery* discovery) override;
};

}  // namespace allot::agent
