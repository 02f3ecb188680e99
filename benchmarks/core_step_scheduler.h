// The scheduler's half of core_step: placements a second and step times of the control plane.
#pragma once

#include "benchmarks/report.h"

namespace allot::benchmarks {

void RunSchedulerSection(Report& report);

}  // namespace allot::benchmarks
