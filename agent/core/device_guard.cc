#include "agent/core/device_guard.h"

#include <algorithm>

namespace allot::agent {

bool DeviceGuard::Hold(const DeviceOwner& owner, const std::vector<std::string>& devices) {
  if (devices.empty()) return true;
  if (Free(devices)) {
    Found(owner, devices);
    return true;
  }
  waiters_.push_back({owner, devices});
  return false;
}

void DeviceGuard::Found(const DeviceOwner& owner, const std::vector<std::string>& devices) {
  held_[owner] = devices;
  for (const std::string& device : devices) ++used_[device];
}

void DeviceGuard::Release(const DeviceOwner& owner) {
  const auto held = held_.find(owner);
  if (held == held_.end()) {
    std::erase_if(waiters_, [&](const Waiter& waiter) { return waiter.owner == owner; });
    return;
  }
  for (const std::string& device : held->second) {
    const auto used = used_.find(device);
    if (--used->second == 0) used_.erase(used);
  }
  held_.erase(held);
}

std::vector<DeviceOwner> DeviceGuard::TakeReady() {
  std::vector<DeviceOwner> ready;
  for (auto waiter = waiters_.begin(); waiter != waiters_.end();) {
    if (!Free(waiter->devices)) {
      ++waiter;
      continue;
    }
    Found(waiter->owner, waiter->devices);
    ready.push_back(waiter->owner);
    waiter = waiters_.erase(waiter);
  }
  return ready;
}

bool DeviceGuard::Free(const std::vector<std::string>& devices) const {
  return std::none_of(devices.begin(), devices.end(),
                      [&](const std::string& device) { return used_.contains(device); });
}

}  // namespace allot::agent
