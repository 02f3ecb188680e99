// From the flags and file of `allot submit` to a checked Job.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace allot::config {
class Job;
}

namespace allot::client {

// What the flags say; absent ones leave the file's word (or the default) alone.
struct SubmitFlags {
  std::string file;                  // job.yaml; empty: the flags are the whole job
  std::vector<std::string> command;  // after "--"
  std::optional<std::string> name, tenant, cpus, memory, work_dir, checkpoint_dir, time_limit,
      grace, runtime, scratch_max;
  std::optional<int32_t> priority;
  std::optional<uint32_t> tasks, restarts;
  bool at_most_one = false;
  std::vector<std::string> devices;      // "kind=GPU,count=2"; alternatives
  std::vector<std::string> environment;  // "NAME=value"
};

// The Job as JSON, ready for POST /v1/jobs. work_dir and checkpoint_dir count from `folder`, where
// the job also runs if nothing says otherwise; an empty work_dir flag asks for a scratch folder.
// What cannot be read is refused here, with the file's line or the flag's name.
StatusOr<std::string> WriteJob(const SubmitFlags& flags, const std::string& folder);
// What the scheduler would refuse of it by the rules of the fields. For where no scheduler answers:
// it looks itself, and the tables of rules are a third of what a submission takes here.
Status CheckJob(const std::string& body);
// Both.
StatusOr<std::string> MakeJob(const SubmitFlags& flags, const std::string& folder);

// A Job as JSON, the same as config::ToJsonText gives, without its errors.
std::string JobText(const config::Job& job);

// The Deployment in `file`, as its name and JSON. Its work_dir counts from `folder`.
struct DeploymentBody {
  std::string name, json;
};
StatusOr<DeploymentBody> MakeDeployment(const std::string& file, const std::string& folder);

}  // namespace allot::client
