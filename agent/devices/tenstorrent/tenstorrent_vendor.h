// Tenstorrent cards by the tenstorrent driver (tt-kmd). One PCI function and node may carry two
// chips: the card type tells, and with it the memory.
#pragma once

#include "agent/devices/sysfs/sysfs_vendor.h"

namespace allot::agent {

class TenstorrentVendor : public SysfsVendor {
 public:
  std::string_view name() const override { return "tenstorrent"; }

 private:
  void Find(const Snapshot& machine, Discovery* discovery) override;
};

}  // namespace allot::agent
