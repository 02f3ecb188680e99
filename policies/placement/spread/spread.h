// The emptier node among those of like price.
//
// Assumes: tasks disturb their neighbours (memory bandwidth, network, heat) or nodes fail often, so
// that few tasks a node is worth more than whole nodes kept free.
// Rule: price ÷ worth, plus at most as much again in proportion to how full the node would be.
// Not for: clusters with gangs that want whole nodes; use best_fit there.
#pragma once

#include <memory>

#include "policies/api/placement_policy.h"

namespace allot::policies {

// Micro-dollars an hour a node is worse for being as full as the task would make it.
int64_t CrowdingCost(const PlacementView& view);

std::unique_ptr<PlacementPolicy> MakeSpread(const PlacementKnobs& knobs);

}  // namespace allot::policies
