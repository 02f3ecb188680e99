// What devices say of their power, added up for the cluster, its racks and nodes: what they draw
// now where that is measured, and how many nobody knows anything of. Walks every device: for
// answers and scrapes.
#pragma once

#include <vector>

#include "scheduler/core/core.h"

namespace allot::scheduler {

struct PowerSums {
  uint32_t nodes = 0, devices = 0;
  uint32_t unknown = 0;   // devices that count 0 under caps
  uint32_t measured = 0;  // devices in `watts`
  double watts = 0;
  void Add(const PowerSums& o);
};

struct PowerSurvey {
  explicit PowerSurvey(const Core& core);
  PowerSums cluster;             // nodes that are alive
  std::vector<PowerSums> racks;  // by PowerBook::RackId
  std::vector<PowerSums> nodes;  // by row; those of lost nodes are empty
};

}  // namespace allot::scheduler
