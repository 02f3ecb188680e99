// Events, records and commands as one line of text each: scenarios, the simulator, debug logs.
//
// Not parsed by any program; free to change with its tests.
#pragma once

#include <string>

#include "scheduler/core/cluster_state.h"

namespace allot::scheduler {

struct DescribeOptions {
  const ClusterState* state = nullptr;  // gives nodes their names; without it they are "node-3"
  bool job_names = false;               // jobs by their spec's name where they have one
};

std::string Describe(const Event& event, const DescribeOptions& options = {});
std::string Describe(const Record& record, const DescribeOptions& options = {});
std::string Describe(const Command& command, const DescribeOptions& options = {});
std::string Describe(const Note& note);
// "ok" or "not_found: there is no …"
std::string Describe(const Status& status);

}  // namespace allot::scheduler
