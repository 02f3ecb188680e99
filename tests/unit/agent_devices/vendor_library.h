// What tests of vendors' libraries share: a recorded machine, both steps of a discovery, and an
// inventory that does not wait long for a library that hangs.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/devices/host/library.h"
#include "agent/devices/inventory.h"

namespace allot::agent {

inline std::shared_ptr<const Host> RecordedHost(const std::string& machine, bool tools = false) {
  return *Host::Recorded(std::string(ALLOT_SOURCE_DIR) + "/tests/machines/" + machine,
                         {.tools = tools});
}

inline Discovery DiscoverWith(Vendor& vendor, const std::shared_ptr<const Host>& host) {
  Discovery discovery = vendor.Discover(*Snapshot::Take(host));
  if (vendor.enriches()) vendor.Enrich(&discovery);
  return discovery;
}

inline const FoundDevice* FindDevice(const Discovery& discovery, const std::string& id) {
  for (const FoundDevice& found : discovery.devices)
    if (found.device.id == id) return &found;
  return nullptr;
}

inline const DeviceTelemetry* FindSample(const std::vector<DeviceTelemetry>& samples,
                                         const std::string& id) {
  for (const DeviceTelemetry& sample : samples)
    if (sample.id == id) return &sample;
  return nullptr;
}

// The vendor on a thread of its own, as in the agent. A discovery is waited for until the fake at
// this path hangs, however slow the machine is; without a path, until it is done.
inline std::unique_ptr<Inventory> InventoryOf(std::unique_ptr<Vendor> vendor,
                                              const std::shared_ptr<const Host>& host,
                                              const std::string& fake_that_hangs = "") {
  InventoryOptions options{.discover_deadline = std::chrono::hours(1)};
  if (!fake_that_hangs.empty()) {
    // Open for as long as the inventory lives: one that is closed forgets that it was let go.
    const auto library = std::make_shared<SharedLibrary>(*SharedLibrary::Open({fake_that_hangs}));
    options.stop_waiting = [library] {
      int (*hangs)() = nullptr;
      return library->Find("FakeHangs", &hangs) && hangs() > 0;
    };
  }
  std::vector<std::unique_ptr<Vendor>> vendors;
  vendors.push_back(std::move(vendor));
  return std::make_unique<Inventory>(std::move(vendors), host, std::move(options));
}

// Lets go what hangs in a fake.
inline void LetGo(const std::string& fake) {
  void (*let_go)() = nullptr;
  const auto library = SharedLibrary::Open({fake});
  if (library.ok() && library->Find("FakeLetGo", &let_go)) let_go();
}

}  // namespace allot::agent
