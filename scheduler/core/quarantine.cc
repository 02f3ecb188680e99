#include "scheduler/core/quarantine.h"

#include <algorithm>

#include "scheduler/core/answer.h"

namespace allot::scheduler {

void QuarantineMachine::Request(const DeviceServiceRequested& event, Effects& out) {
  const NodeState* node = ledger_.state().FindNode(event.node);
  if (node == nullptr) {
    return Answer(event.token,
                  NotFound("there is no node \"{}\"; `allot nodes` lists them", event.node),
                  JobId(), out);
  }
  const std::vector<Device>& devices = node->info->devices;
  const bool known = event.device.empty() ||
                     std::any_of(devices.begin(), devices.end(),
                                 [&](const Device& d) { return d.id == event.device; });
  const auto held = node->quarantines.find(event.device);
  // One that is gone may still be given back.
  if (!known && held == node->quarantines.end()) {
    return Answer(event.token,
                  NotFound("node {} has no device \"{}\"; `allot devices` lists them", event.node,
                           event.device),
                  JobId(), out);
  }
  if (event.in_service) {
    if (held != node->quarantines.end())
      ledger_.Remember(DeviceCleared{ledger_.now, node->id, event.device}, out);
  } else if (held == node->quarantines.end() || held->second.probation ||
             held->second.until < kTimeMax) {
    const std::string why =
        event.user.empty() ? "taken out of service" : "taken out of service by " + event.user;
    ledger_.Remember(
        DeviceQuarantined{ledger_.now, node->id, event.device, kTimeMax, 0, why}, out);
  }
  Answer(event.token, absl::OkStatus(), JobId(), out);
}

}  // namespace allot::scheduler
