// What the cores answer when they are asked, and what they hand on besides the one line of a step:
// explanations, rollouts, launches, the routing table, the bill of a request. For traces and the
// hash of a run, so that a change of any of it shows.
#pragma once

#include <string>

#include "scheduler/core/core.h"
#include "scheduler/router/core.h"

namespace allot::simulator {

// All that the scheduler would say now of its unfinished jobs and its deployments, and the
// fingerprint of its state.
std::string Answers(const scheduler::Core& core, Time now);

// What the commands of a step have besides what DescribeStep says. Empty: nothing.
std::string Details(const scheduler::Effects& effects);

// The bills of requests that ended in a step, with the explanations of their routing.
std::string Details(const router::Core& core, const router::Effects& effects);

}  // namespace allot::simulator
