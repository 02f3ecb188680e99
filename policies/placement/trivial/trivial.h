// Any node that fits: all score the same, so the smallest node id wins.
//
// Assumes: nothing. Rule: score 0. Good for: a starting point to copy, and the line below which
// no other policy may fall. Not for: fleets whose devices differ in price.
#pragma once

#include <memory>

#include "policies/api/placement_policy.h"

namespace allot::policies {

std::unique_ptr<PlacementPolicy> MakeTrivial(const PlacementKnobs& knobs);

}  // namespace allot::policies
