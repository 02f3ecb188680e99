// Devices that the agent's config declares (config.proto, StaticDevice): cards that no folder here
// knows, or knows wrongly. A declared device is matched by PCI id or address, or it stands for
// itself. What the config says wins over what a vendor found at the same address; what it does not
// say is left as found. A device file that is not there is never offered: the device waits for it.
#pragma once

#include <memory>
#include <vector>

#include "agent/devices/vendor.h"
#include "common/catalogue/catalogue.h"
#include "common/proto/config.pb.h"

namespace allot::agent {

class DeclaredVendor : public Vendor {
 public:
  // Rows as config::Check has let them pass.
  DeclaredVendor(std::vector<config::StaticDevice> rows, Catalogue catalogue)
      : rows_(std::move(rows)), catalogue_(std::move(catalogue)) {}
  std::string_view name() const override { return "declared"; }
  Discovery Discover(const Snapshot& machine) override;
  std::vector<DeviceTelemetry> Sample() override { return {}; }  // The vendor at its address tells.
  bool may_hang() const override { return true; }                // Reads a driver's files.

 private:
  FoundDevice Make(const config::StaticDevice& row, const Snapshot& machine,
                   const pci::Function* function, size_t number, Discovery* discovery) const;

  const std::vector<config::StaticDevice> rows_;
  const Catalogue catalogue_;
};

// Puts a declared device among those found: into the place of one with its id, or of the partitions
// of that function.
void TakeDeclared(FoundDevice declared, Discovery* all);

}  // namespace allot::agent
