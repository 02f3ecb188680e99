// The least price for the work done, and nothing else.
//
// Assumes: the bill is all that matters. Rule: price ÷ worth. Ties go to the fuller node, then the
// smaller id. Not for: clusters with wide gangs, which this leaves no whole nodes for.
#pragma once

#include <memory>

#include "policies/api/placement_policy.h"

namespace allot::policies {

// Micro-dollars per hour of work done: twice the worth, half the time, half the cost.
// Worth counts in thousandths, so that the arithmetic is in integers.
int64_t PricePerWork(PriceRate price, double worth);

std::unique_ptr<PlacementPolicy> MakeCheapest(const PlacementKnobs& knobs);

}  // namespace allot::policies
