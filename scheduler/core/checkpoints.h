// Folders of checkpoints below the root that all nodes have: one a job, named by its number and the
// incarnation of the store that accepted it. Numbers are given again by a store that was restored,
// and a job must never find the checkpoints of another (ADR 18).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "scheduler/core/cluster_state.h"

namespace allot::scheduler {

// "<root>/job-17.00c0ffee00c0ffee"; without the incarnation for a job accepted before there were any.
std::string CheckpointsOf(const std::string& root, const JobState& job);

// Whose folder of that name (one part of a path) is, if it is one.
struct CheckpointOwner {
  JobId job;
  Incarnation incarnation;
};
std::optional<CheckpointOwner> OwnerOfCheckpoints(std::string_view name);

}  // namespace allot::scheduler
