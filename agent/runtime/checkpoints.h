// The checkpoint folder of a task that is to start: made, as far as that is the agent's to do, and
// looked at.
//
// Where tasks run as somebody else there are two kinds. The cluster's own folder of a job lies
// where the operator has said, so the agent makes it, for its user. One that the job has named is
// on a path that a user chose, where the agent's rights have no business: the task makes it itself
// (RunAs::make_folder), and whether it is empty is looked up with that user's rights.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/runtime/process_runtime.h"
#include "common/base/ids.h"
#include "common/base/status.h"

namespace allot::agent {

struct CheckpointFolder {
  std::string path;         // absolute
  bool clusters = false;    // the cluster's own folder of the job
  std::optional<RunAs> as;  // absent: tasks run as the agent's user
};

// Whether `path` ends as the cluster's folders of that job do: "job-17", "job-17.0000000000c0ffee".
bool IsFolderOfJob(std::string_view path, JobId job);

// Waits for whatever serves the path, and leaves its thread with the user's rights to files: for a
// thread that ends with it (errands.h). `empty`: nothing is there, as far as the user can see.
Status PrepareCheckpoints(const CheckpointFolder& folder, bool* empty);
// The same where it takes no time: all of it below `mount`, which answers, without a link on the
// way and with nothing to give away. FailedPrecondition: it would take the other one.
Status PrepareCheckpointsNear(const CheckpointFolder& folder, const std::string& mount,
                              bool* empty);

}  // namespace allot::agent
