// How far a deployment is on the way to what was asked of it last. Counts never mix generations: a
// replica that serves an earlier one says nothing about the one that was deployed.
#pragma once

#include "scheduler/core/ledger.h"

namespace allot::scheduler {

// Derived from state and from what agents said last; after a restart of the scheduler no replica
// counts as ready until its node has said so again.
Rollout RolloutOf(const Ledger& ledger, const DeploymentState& deployment);

}  // namespace allot::scheduler
