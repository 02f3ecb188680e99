#include "agent/devices/isolation_class.h"

namespace allot::agent {

Isolation IsolationOf(const Device& device, const HostIsolation& host) {
  if (!device.endpoint.empty()) return device.isolation;
  if (device.emulated) return Isolation::kNone;  // Work of all of them runs on the processors.
  if (device.kind == DeviceKind::kCpu)
    return host.memory_limit ? Isolation::kMemory : Isolation::kShared;
  if (device.nodes.empty() || !host.device_filter) return Isolation::kShared;
  return device.isolation;
}

void SetIsolation(const HostIsolation& host, Discovery* discovery) {
  for (FoundDevice& found : discovery->devices)
    found.device.isolation = IsolationOf(found.device, host);
}

Isolation IsolationOfComputePartition(size_t partitions, std::string_view memory_mode) {
  const size_t slash = memory_mode.rfind('/');
  if (slash != memory_mode.npos) memory_mode.remove_prefix(slash + 1);
  const auto domains = NumberAfter(memory_mode, "NPS");
  return domains && *domains >= partitions ? Isolation::kHard : Isolation::kMemory;
}

}  // namespace allot::agent
