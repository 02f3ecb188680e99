// All devices of the node, from all vendors; keeps a hanging vendor library from hanging the agent.
//
// A vendor that may hang works on a thread of its own; the loop only looks at what the thread has
// left. If a call is not done by its deadline, a warning says so, the last telemetry is no longer
// told, and the agent goes on, with what the kernel shows where only the vendor's library or tool
// is late. A thread that never comes back is left behind at the end: there is no safe way to stop
// one.
//
// With health rules, what vendors and the kernel log tell of a device becomes its state and the
// reasons beside it; without them a device is what its vendor says.
//
// All methods on one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/devices/compose.h"
#include "agent/devices/health/monitor.h"
#include "agent/devices/host/kernel_log.h"
#include "agent/devices/vendor.h"
#include "common/base/units.h"

namespace allot::agent {

struct InventoryOptions {
  Duration discover_deadline = std::chrono::seconds(4);
  Duration sample_deadline = std::chrono::seconds(5);
  Duration rediscover_every = std::chrono::minutes(1);
  Composition composition;                    // what is made of all that the vendors find
  std::shared_ptr<const HealthRules> health;  // null: none
  // Asked again and again while DiscoverAll waits; true is as if the deadline had passed. For
  // whoever knows that there is nothing to wait for.
  std::function<bool()> stop_waiting;
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

  struct Measured {
    Duration at{};  // on the clock of Poll, near the moment it was read
    DeviceTelemetry values;
  };
  struct Update {
    std::vector<DeviceTelemetry> telemetry;  // the newest of each device, until it is too old
    std::vector<Measured> fresh;             // those that nobody was told before
    std::vector<std::string> warnings;
    // Set when the devices or their groups are not those told before: all of them.
    std::optional<Discovery> changed;
  };
  // Never blocks: takes what is ready and asks the vendors for the next sample. `steady` is any
  // clock that only goes forward.
  Update Poll(Duration steady);

  // An operator says that quarantined devices are well again.
  void ClearHealth();

 private:
  class Worker;
  Discovery Gather() const;
  // What has come since: signals of the vendors, messages of the kernel.
  void TakeSignals(Duration now);
  void ReadKernelLog(Duration now);
  void ApplyHealth(Duration now, Discovery* all) const;
  void TellHealth(const std::vector<Device>& before, const std::vector<Device>& now,
                  std::vector<std::string>* warnings) const;
  std::string LateDiscovery(Worker& worker) const;
  void ListIgnored(Discovery* all);

  const InventoryOptions options_;
  const std::shared_ptr<const Host> host_;
  const std::shared_ptr<SnapshotSource> machine_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Device> told_;
  std::vector<DeviceGroup> told_groups_;
  std::unique_ptr<HealthMonitor> health_;
  std::unique_ptr<KernelLog> kernel_log_;
};

}  // namespace allot::agent
