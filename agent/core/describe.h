// One line of text for what the agent core says and is told: scenarios, traces, debug logs.
// Stable within a version; nothing parses it.
#pragma once

#include <string>

#include "agent/core/events.h"

namespace allot::agent {

std::string Describe(const TaskStatus& status);         // "job-1/0#1 exited code=0"
std::string Describe(const ReplicaStatus& status);      // "replica-1 ready restarts=0"
std::string Describe(const AgentMessage& message);      // "TaskReport epoch=1 …"
std::string Describe(const SchedulerMessage& message);  // "StartTask epoch=1 job-1/0#1"
std::string Describe(const Event& event);
std::string Describe(const Command& command);
std::string Describe(const Note& note);

}  // namespace allot::agent
