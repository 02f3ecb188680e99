// The highest priority first, then the oldest; tenants do not matter.
//
// Assumes: priorities are given out by someone who sees all of the work.
// Rule: every tenant's line has rank 0, so lines are merged by priority, then age.
// Not for: tenants that set their own priorities; the highest bidder would always win.
#pragma once

#include <memory>

#include "policies/api/queue_policy.h"

namespace allot::policies {

std::unique_ptr<QueuePolicy> MakePriority(const QueueKnobs& knobs);

}  // namespace allot::policies
