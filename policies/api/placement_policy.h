// Seam: which of the nodes that fit gets the task? The least score wins; ties go to the
// smaller node id. Pure; called from the core's thread for a bounded number of candidates an index
// offers, never for all nodes.
#pragma once

#include "common/base/units.h"
#include "common/model/policy.h"

namespace allot::policies {

// One node (and one way to fill it) for one task.
struct PlacementView {
  PriceRate price;               // of what the task would lease there
  double worth = 1.0;            // of the alternative: twice the worth, half the time
  uint32_t devices_asked = 0, devices_free = 0, devices_total = 0;  // accelerators of the class
  MilliCpu cpus_asked = 0, cpus_free = 0, cpus_total = 0;
  Bytes memory_asked = 0, memory_free = 0, memory_total = 0;
  PriceRate device_price;        // of one accelerator of the class; 0 where none is asked
  PriceRate node_price;          // of all accelerators and cores of the node
};

class PlacementPolicy {
 public:
  virtual ~PlacementPolicy() = default;
  // Micro-dollars per hour of work done.
  virtual Cost Score(const PlacementView& view) const = 0;
  // Does a fuller node score better (index walks from few free devices up) or an emptier one?
  virtual bool PrefersFull() const = 0;
};

}  // namespace allot::policies
