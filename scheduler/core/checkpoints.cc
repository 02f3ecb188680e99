#include "scheduler/core/checkpoints.h"

namespace allot::scheduler {

std::string CheckpointsOf(const std::string& root, const JobState& job) {
  return root + "/" + ToString(job.id) + Suffix(job.incarnation, ".");
}

std::optional<CheckpointOwner> OwnerOfCheckpoints(std::string_view name) {
  const size_t dot = name.find('.');
  const std::optional<JobId> job = ParseJobId(name.substr(0, dot));
  if (!job) return std::nullopt;
  if (dot == name.npos) return CheckpointOwner{*job, {}};
  const std::optional<Incarnation> incarnation = ParseIncarnation(name.substr(dot + 1));
  if (!incarnation) return std::nullopt;
  return CheckpointOwner{*job, *incarnation};
}

}  // namespace allot::scheduler
