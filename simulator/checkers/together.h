// May a task use these devices of a node together? Worked out apart from the scheduler, from what
// the groups of the node say: a slice takes boxes of 1, 2, 4, 8 or all chips, a ring neighbours, a
// torus rows; a request that is joined stays within one group.
#pragma once

#include <string>
#include <vector>

#include "common/model/node.h"

namespace allot::simulator {

// Empty if it may.
std::string WhyNotTogether(const NodeInfo& node, const std::vector<std::string>& devices,
                           const DeviceRequest& request);

}  // namespace allot::simulator
