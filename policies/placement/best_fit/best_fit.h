// The cheapest node, counting what the placement leaves hard to use.
//
// Assumes: jobs of several sizes, some wanting whole nodes; devices are worth their price only if
// somebody can lease them.
// Rule: price ÷ worth + weight × (value of fragments after − before + value stranded).
//   Fragments of a node with f of t devices free are worth f·(t−f)/t devices: nothing when it is
//   all free or all leased, most when half of it is. The difference favours the fullest node that
//   fits. Stranded: free devices that no equal task could use for want of processors or memory, and
//   the accelerators of a node whose processors a task without accelerators takes.
// Not for: tasks that disturb their neighbours; use spread there. Compare "Beware of
// Fragmentation" (Weng et al., 2023), whose gradient over a whole workload this does in O(1).
#pragma once

#include <memory>

#include "policies/api/placement_policy.h"

namespace allot::policies {

// Micro-dollars an hour of devices made hard to use (negative: made of use again).
int64_t FragmentationCost(const PlacementView& view);

std::unique_ptr<PlacementPolicy> MakeBestFit(const PlacementKnobs& knobs);

}  // namespace allot::policies
