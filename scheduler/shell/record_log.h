// What the scheduler's log says of the cluster: a line for each node found, lost or refused, each
// gang that goes back to its queue, each quarantine. Facts that people look for when something has
// gone wrong, and few enough to be kept.
//
// Text from outside (a task's last words, a node's name before it is proven) is quoted: it cannot
// begin a line of its own, end a field or colour a terminal, and its length is bounded.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "scheduler/core/cluster_state.h"

namespace allot::scheduler {

// Printable ASCII and other UTF-8 as it is; quotes, backslashes and controls escaped; what is not
// UTF-8 replaced; in quotes, cut at `length_max` bytes.
std::string Quoted(std::string_view text, size_t length_max = 200);

struct LogLine {
  bool warn = false;  // else information
  std::string text;
};

// The line for a record that `state` holds already; none for most.
std::optional<LogLine> LineOf(const Record& record, const ClusterState& state);
std::optional<LogLine> LineOf(const Note& note);

// Who failed first in the job's last attempt, in words: "task 3 on n2: exit code 1"; "" if nobody.
std::string BlameOf(const ClusterState& state, const JobState& job);

}  // namespace allot::scheduler
