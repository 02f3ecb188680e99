// Who uses which device of this node: never two owners at a time.
//
// The scheduler frees the leases of a node it has lost, and may lease the same devices again as
// soon as the node is back, while what ran there before is still being stopped. So what needs a
// device in use waits here until the process before it has ended. Holding is all or none,
// and waiting holds nothing, so nobody waits for a waiter.
#pragma once

#include <compare>
#include <map>
#include <string>
#include <vector>

#include "common/base/ids.h"

namespace allot::agent {

struct DeviceOwner {  // exactly one of the two is valid
  TaskKey task;
  ReplicaId replica;
  auto operator<=>(const DeviceOwner&) const = default;
};

class DeviceGuard {
 public:
  // True: the owner has them all now. False: it waits, and TakeReady will name it.
  bool Hold(const DeviceOwner& owner, const std::vector<std::string>& devices);
  // For a process that was found running: it has them, whatever else is believed.
  void Found(const DeviceOwner& owner, const std::vector<std::string>& devices);
  // The owner's process has ended, or it waits no more; or it had nothing.
  void Release(const DeviceOwner& owner);
  // Waiters that have their devices by now, in the order they came.
  std::vector<DeviceOwner> TakeReady();

 private:
  struct Waiter {
    DeviceOwner owner;
    std::vector<std::string> devices;
  };
  bool Free(const std::vector<std::string>& devices) const;

  std::map<std::string, int> used_;  // owners of a device; above 1 only by Found
  std::map<DeviceOwner, std::vector<std::string>> held_;
  std::vector<Waiter> waiters_;  // few: only what follows a lost node
};

}  // namespace allot::agent
