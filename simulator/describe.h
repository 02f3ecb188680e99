// One line of text for a step of a core: traces, and the hash that proves determinism.
#pragma once

#include <string>

#include "agent/core/events.h"
#include "scheduler/core/events.h"
#include "scheduler/router/events.h"

namespace allot::simulator {

std::string Describe(const scheduler::Record& record);
std::string DescribeStep(const scheduler::Event& event, const scheduler::Effects& effects);
std::string DescribeStep(const router::Event& event, const router::Effects& effects);
std::string DescribeStep(const agent::Event& event, const agent::Effects& effects);

}  // namespace allot::simulator
