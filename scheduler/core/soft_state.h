// Soft state of a node: what its agent said last. Never journaled; after a restart it is
// empty and fills from agents, so nothing here may decide whether a device is free.
#pragma once

#include <optional>
#include <vector>

#include "common/model/messages.h"

namespace allot::scheduler {

struct NodeSoftState {
  Time last_heard;
  std::vector<DeviceTelemetry> telemetry;
  // The last task that was taken back because the node never said that it has it; until it says so
  // of another.
  struct Unanswered {
    TaskKey key;
    Time at;
  };
  std::optional<Unanswered> unanswered;
  // What it held, as it registered last, of a life of the store that this one does not know.
  struct Foreign {
    Incarnation incarnation;
    uint32_t tasks = 0, replicas = 0;
    Time at;
  };
  std::optional<Foreign> foreign;
};

}  // namespace allot::scheduler
