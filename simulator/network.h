// Messages between the scheduler and the others: delayed, lost, repeated, overtaken, cut off.
//
// A wire is one direction of one link. Without kMessageReorder it keeps its order.
#pragma once

#include <functional>
#include <vector>

#include "simulator/faults.h"
#include "simulator/loop.h"

namespace allot::simulator {

struct Wire {
  Time last_arrival;
};

class Network {
 public:
  using Delivery = std::function<void()>;  // may happen twice
  Network(Loop& loop, Rng& rng, Faults& faults) : loop_(loop), rng_(rng), faults_(faults) {}

  void Send(Wire& wire, Delivery delivery);
  Duration Latency() { return Duration(static_cast<int64_t>(50 + rng_.Below(1'000))); }

 private:
  Loop& loop_;
  Rng& rng_;
  Faults& faults_;
};

}  // namespace allot::simulator
