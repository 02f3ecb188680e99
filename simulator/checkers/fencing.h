// An old epoch is refused, on both sides.
#pragma once

#include "agent/core/events.h"
#include "scheduler/core/events.h"
#include "simulator/checkers/findings.h"

namespace allot::simulator {

// An agent that was at `epoch` (invalid: not registered) was told `message` and did `effects`: it
// must not have started, stopped or forgotten the task or replica of a message of another epoch.
void CheckAgentFenced(Epoch epoch, const SchedulerMessage& message, const agent::Effects& effects,
                      Findings& findings);

// A scheduler that had the node at `epoch` was told `message` and did `effects`: a report of
// another epoch must leave no fact about the tasks and replicas in it.
void CheckSchedulerFenced(Epoch epoch, const AgentMessage& message,
                          const scheduler::Effects& effects, Findings& findings);

}  // namespace allot::simulator
