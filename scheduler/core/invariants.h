// What must hold of the durable state after every step, whatever happened.
//
// Tests and the simulator call it; it walks everything, so programs do not.
#pragma once

#include "common/base/status.h"
#include "scheduler/core/cluster_state.h"

namespace allot::scheduler {

// Internal with the first thing found wrong: a device leased twice, sums that are not exact, a gang
// that is neither whole nor absent, lists that disagree.
Status CheckInvariants(const ClusterState& state);

}  // namespace allot::scheduler
