// Routing decisions of the router core: rate, p50 and p99 at 10, 64 and 1,000 replicas, for every
// policy. Part of benchmarks/core_step.cc.
#pragma once

#include "benchmarks/report.h"

namespace allot::benchmarks {

void MeasureRouter(Report& report);

}  // namespace allot::benchmarks
