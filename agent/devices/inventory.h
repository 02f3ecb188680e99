// All devices of the node, from all vendors; keeps a hanging vendor library from hanging the agent.
//
// A vendor that may hang works on a thread of its own; the loop only looks at what the thread has
// left. If a call is not done by its deadline, a warning says so, the last telemetry is no longer
// told, and the agent goes on, with what the kernel shows where only the vendor's library or tool
// is late. A thread that never comes back is left behind at the end: there is no safe way to stop
// one.
//
// All methods on one thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/devices/compose.h"
#include "agent/devices/vendor.h"
#include "common/base/units.h"

namespace allot::agent {

struct InventoryOptions {
  Duration discover_deadline = std::chrono::seconds(4);
  Duration sample_deadline = std::chrono::seconds(5);
  Duration rediscover_every = std::chrono::minutes(1);
  Composition composition;  // what is made of all that the vendors find
};

class Inventory {
 public:
  Inventory(std::vector<std::unique_ptr<Vendor>> vendors, std::shared_ptr<const Host> host,
            InventoryOptions options = {});
  ~Inventory();

  // At start: blocks until every vendor has answered or its deadline has passed. Ordered by
  // vendor, as given, then as the vendor orders them; ids are unique (later doubles are dropped,
  // declared devices win).
  Discovery DiscoverAll();

  struct Update {
    std::vector<DeviceTelemetry> telemetry;
    std::vector<std::string> warnings;
    // Set when the devices or their groups are not those told before: all of them.
    std::optional<Discovery> changed;
  };
  // Never blocks: takes what is ready and asks the vendors for the next sample. `steady` is any
  // clock that only goes forward.
  Update Poll(Duration steady);

 private:
  class Worker;
  Discovery Gather() const;
  std::string LateDiscovery(Worker& worker) const;
  void ListIgnored(Discovery* all);

  const InventoryOptions options_;
  const std::shared_ptr<const Host> host_;
  const std::shared_ptr<SnapshotSource> machine_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Device> told_;
  std::vector<DeviceGroup> told_groups_;
};

}  // namespace allot::agent
