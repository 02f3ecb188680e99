// What libtpu wants to know when a process gets only some chips of a host: TPU_VISIBLE_CHIPS, and
// how these chips lie, TPU_CHIPS_PER_PROCESS_BOUNDS, in a mesh of one process, TPU_PROCESS_BOUNDS.
// Without the bounds it takes the host's, and fails. Bounds of 1, 2, 4 and 8 chips as in Ray
// (python/ray/_private/accelerators/tpu.py) and JAX (jax/_src/test_multiprocess.py); those of a
// row of chips follow from the slice's shape.
#pragma once

#include "agent/devices/parts.h"

namespace allot::agent {

// A host of a slice that spans several: the bounds of all of its chips are the cloud's to say.
inline constexpr const char* kTpuManyHosts = "tpu_many_hosts";

// "2,2,1" for `count` chips at these positions of a slice of shape "2,4,1", x counting fastest;
// empty where nobody documents bounds. No shape: by count.
std::string TpuBounds(const std::vector<size_t>& positions, const std::string& shape);

SetAccess JoinTpu(const Leased& leased, const std::vector<DeviceGroup>& groups);

}  // namespace allot::agent
