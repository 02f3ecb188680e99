// How far a device is kept apart from other work on its node (common/model/device.h, Isolation).
//
// Two things decide: what the device is (its folder says: whole devices and MIG instances are hard,
// AMD partitions by their memory, parts and shares less), and what the host lets the agent do. A
// device that any process of the node could open is `shared`, whatever its silicon promises.
// docs/devices.md has the classes with their reasons. Pure functions.
#pragma once

#include "agent/devices/vendor.h"

namespace allot::agent {

// What the agent can do for each process on this host (agent/isolation, CgroupAbilities).
struct HostIsolation {
  bool device_filter = true;
  bool memory_limit = true;
};

// `device.isolation` is what the device is by itself. That of an endpoint is its folder's to say.
Isolation IsolationOf(const Device& device, const HostIsolation& host);
void SetIsolation(const HostIsolation& host, Discovery* discovery);

// Of an AMD compute partition: `partitions` of the GPU, by "NPS4" or what stands behind the slash
// of "QPX/NPS4". Its compute dies are its own; its memory is where the GPU has a memory partition
// for each, else it is only counted for it by the driver (amdgpu, per-partition limit).
Isolation IsolationOfComputePartition(size_t partitions, std::string_view memory_mode);

}  // namespace allot::agent
