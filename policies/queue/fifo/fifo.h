// First come, first served over all tenants: age alone decides.
//
// Assumes: one team, or teams that trust one another; jobs of similar size.
// Rule: every tenant's line has rank 0 and priorities are ignored.
// Not for: several tenants that compete, or anything urgent.
#pragma once

#include <memory>

#include "policies/api/queue_policy.h"

namespace allot::policies {

std::unique_ptr<QueuePolicy> MakeFifo(const QueueKnobs& knobs);

}  // namespace allot::policies
