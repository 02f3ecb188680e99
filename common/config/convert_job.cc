#include "common/base/printable.h"
#include "common/config/bind.h"
#include "common/config/checks.h"
#include "common/config/device_words.h"

namespace allot::config {

StatusOr<JobSpec> ToJobSpec(const Job& job) {
  JobSpec spec;
  spec.name = job.name();
  if (!job.tenant().empty()) spec.tenant = job.tenant();
  spec.priority = job.priority();
  if (job.tasks() != 0) spec.tasks = job.tasks();
  spec.command = {job.command().begin(), job.command().end()};
  Variables::Map environment = {job.environment().begin(), job.environment().end()};
  spec.work_dir = job.work_dir();
  RETURN_IF_ERROR(TakeResources(job.resources(), &spec.resources));
  spec.checkpoint_dir = job.checkpoint_dir();
  if (!job.time_limit().empty()) {
    RETURN_IF_ERROR(TakeDuration("time_limit", job.time_limit(), &spec.time_limit.emplace()));
  }
  RETURN_IF_ERROR(TakeDuration("grace", job.grace(), &spec.grace));
  spec.restarts_max = job.restarts_max();
  spec.restart_pause = std::chrono::seconds(1);
  spec.restart_pause_max = std::chrono::minutes(5);
  RETURN_IF_ERROR(TakeDuration("restart_pause", job.restart_pause(), &spec.restart_pause));
  RETURN_IF_ERROR(
      TakeDuration("restart_pause_max", job.restart_pause_max(), &spec.restart_pause_max));
  if (job.restart_pause_max().empty())
    spec.restart_pause_max = std::max(spec.restart_pause_max, spec.restart_pause);
  if (spec.restart_pause_max < spec.restart_pause) {
    return InvalidArgument("restart_pause_max ({}) is shorter than restart_pause ({})",
                           FormatDuration(spec.restart_pause_max),
                           FormatDuration(spec.restart_pause));
  }
  if (job.runtime() == "noop") {
    spec.runtime = TaskRuntime::kNoop;
  } else if (!job.runtime().empty() && job.runtime() != "process") {
    return InvalidArgument("runtime is \"{}\"; it is one of process, noop", job.runtime());
  }

  spec.at_most_one = job.at_most_one();
  if (!job.scratch_max().empty()) {
    ASSIGN_OR_RETURN(spec.scratch_max, ParseBytes(job.scratch_max()));
  }

  if (job.has_devices() && job.devices().any_of_size() == 0) {
    return InvalidArgument(
        "devices.any_of is empty; name at least one, or leave devices out for processors only");
  }
  for (int i = 0; i < job.devices().any_of_size(); ++i) {
    ASSIGN_OR_RETURN(
        spec.devices.emplace_back(),
        TakeDeviceRequest(fmt::format("devices.any_of[{}]", i), job.devices().any_of(i)));
  }
  // A noop task runs nothing, so it needs no command; one that is there is still shown to people.
  if (spec.runtime == TaskRuntime::kProcess || !spec.command.empty()) {
    RETURN_IF_ERROR(CheckCommand(spec.command));
  }
  RETURN_IF_ERROR(CheckEnvironment(environment, spec.command));
  spec.environment = std::move(environment);
  RETURN_IF_ERROR(CheckAbsolute("work_dir", spec.work_dir));
  RETURN_IF_ERROR(CheckAbsolute("checkpoint_dir", spec.checkpoint_dir));
  return spec;
}

StatusOr<allot::DeviceRequest> ToDeviceRequest(const DeviceRequest& request) {
  return TakeDeviceRequest("device", request);
}

StatusOr<allot::DeviceRequest> ParseDeviceRequest(std::string_view text) {
  DeviceRequest request;
  if (const Status read = ReadDeviceWords(text, &request); !read.ok()) {
    return InvalidArgument("device \"{}\": {}", Shown(text), MessageOf(read));
  }
  return TakeDeviceRequest("device", request);
}

}  // namespace allot::config
