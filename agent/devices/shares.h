// Devices that several leases share, as the agent's config says (config.proto, DeviceShares). A
// pure function over what was found.
//
// A device that a row matches makes place for its shares: `<id>/s0`, `<id>/s1`, … with `parent` the
// device. Each has an even part of memory, power and price. Telemetry is still told for the device.
// In the groups of the node the parts of a chip take its place, in order; a slice of time is no
// member of a fabric.
#pragma once

#include <string>
#include <vector>

#include "agent/devices/vendor.h"
#include "common/proto/config.pb.h"

namespace allot::agent {

struct SharingHost {
  std::string mps_pipe_directory;
  bool mps_daemon = false;  // its control pipe is there
};

// Warns about rows that match nothing, and devices that cannot be shared as their row wants: they
// stay whole. Processors are shared anyway, and endpoints have a capacity: neither is matched.
void ApplyShares(const std::vector<config::DeviceShares>& rows, const SharingHost& host,
                 Discovery* discovery);

}  // namespace allot::agent
