// What to ask for instead of what no node could ever run.
#pragma once

#include <string>

#include "scheduler/core/demand.h"
#include "scheduler/core/ledger.h"

namespace allot::scheduler {

// For a demand that is never possible (PlacementIndex::EverPossible): which part of it is at fault,
// and what the nodes that were ever here have instead. Each cause has words of its own: a name that
// no device has, processors or memory that no node has, devices that are not apart or not joined.
std::string WhatToAsk(const Ledger& ledger, const Demand& demand);

}  // namespace allot::scheduler
