#include "client/submit_spec.h"

#include <filesystem>

#include "common/base/text.h"
#include "common/config/bind.h"
#include "common/config/convert.h"
#include "common/config/device_words.h"
#include "common/config/json_text.h"
#include "common/proto/config.pb.h"

namespace allot::client {
namespace {

// `path` from `folder` on, for a key or flag called `what`.
StatusOr<std::string> Under(const std::string& folder, const std::string& path,
                            std::string_view what) {
  std::string out = (std::filesystem::path(folder) / path).lexically_normal().string();
  if (out.size() > 1 && out.back() == '/') out.pop_back();
  if (IsValidUtf8(out)) return out;
  return InvalidArgument(
      "the current folder \"{}\" is not valid UTF-8, and the API speaks JSON, which cannot carry "
      "its "
      "bytes; give {} an absolute path",
      ReplaceInvalidUtf8(folder), what);
}

// Its words are kept as they were typed, and checked here, where the flag can be named.
StatusOr<config::DeviceRequest> DeviceOfFlag(const std::string& text) {
  const auto named = [&](const Status& status) {
    return InvalidArgument("--device '{}': {}", text, MessageOf(status));
  };
  config::DeviceRequest out;
  if (const Status read = config::ReadDeviceWords(text, &out); !read.ok()) return named(read);
  if (const auto checked = config::ToDeviceRequest(out); !checked.ok())
    return named(checked.status());
  return out;
}

// A flag's value by the rule of the field it goes to, under the flag's own name.
Status Check(std::string_view flag, const std::string& text,
             StatusOr<int64_t> (*parse)(std::string_view)) {
  if (const auto value = parse(text); !value.ok())
    return InvalidArgument("{} {}", flag, MessageOf(value.status()));
  return absl::OkStatus();
}

Status Apply(const SubmitFlags& flags, config::Job* job) {
  if (flags.name) job->set_name(*flags.name);
  if (flags.tenant) job->set_tenant(*flags.tenant);
  if (flags.priority) job->set_priority(*flags.priority);
  if (flags.tasks) {
    if (*flags.tasks == 0) return InvalidArgument("--tasks is 0; it must be at least 1");
    job->set_tasks(*flags.tasks);
  }
  if (flags.cpus) {
    RETURN_IF_ERROR(Check("--cpus", *flags.cpus, config::ParseMilliCpus));
    job->mutable_resources()->set_cpus(*flags.cpus);
  }
  if (flags.memory) {
    RETURN_IF_ERROR(Check("--memory", *flags.memory, config::ParseBytes));
    job->mutable_resources()->set_memory(*flags.memory);
  }
  if (flags.work_dir) job->set_work_dir(*flags.work_dir);
  if (flags.checkpoint_dir) job->set_checkpoint_dir(*flags.checkpoint_dir);
  if (flags.time_limit) {
    RETURN_IF_ERROR(Check("--time-limit", *flags.time_limit, config::ParseDurationMicros));
    job->set_time_limit(*flags.time_limit);
  }
  if (flags.grace) {
    RETURN_IF_ERROR(Check("--grace", *flags.grace, config::ParseDurationMicros));
    job->set_grace(*flags.grace);
  }
  if (flags.restarts) job->set_restarts_max(*flags.restarts);
  if (flags.runtime) job->set_runtime(*flags.runtime);
  if (!flags.devices.empty()) job->clear_devices();
  for (const std::string& text : flags.devices) {
    ASSIGN_OR_RETURN(*job->mutable_devices()->add_any_of(), DeviceOfFlag(text));
  }
  for (const std::string& text : flags.environment) {
    const size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos)
      return InvalidArgument("--env '{}' is not NAME=value", text);
    (*job->mutable_environment())[text.substr(0, equals)] = text.substr(equals + 1);
  }
  if (!flags.command.empty()) {
    job->clear_command();
    for (const std::string& word : flags.command) job->add_command(word);
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<std::string> MakeJob(const SubmitFlags& flags, const std::string& folder) {
  config::Job job;
  if (!flags.file.empty()) RETURN_IF_ERROR(config::LoadYamlFile(flags.file, &job));
  RETURN_IF_ERROR(Apply(flags, &job));
  if (job.command_size() == 0 && job.runtime() != "noop") {
    if (!flags.file.empty())
      return InvalidArgument("{} has no command; give it one, or one after `--`", flags.file);
    return InvalidArgument(
        "nothing to run; give a file (`allot submit job.yaml`) or a command "
        "(`allot submit -- python3 train.py`)");
  }
  // --work-dir "" asks for a scratch folder; saying nothing asks for this one.
  const bool scratch = flags.work_dir && flags.work_dir->empty();
  if (!scratch) {
    ASSIGN_OR_RETURN(*job.mutable_work_dir(), Under(folder, job.work_dir(), "--work-dir"));
  }
  if (!job.checkpoint_dir().empty()) {
    ASSIGN_OR_RETURN(*job.mutable_checkpoint_dir(),
                     Under(folder, job.checkpoint_dir(), "--checkpoint-dir"));
  }

  ASSIGN_OR_RETURN(std::string text, config::ToJsonText(job));
  config::Job checked;  // The rules of the fields, on what the flags said as well.
  RETURN_IF_ERROR(config::BindJson(text, &checked));
  RETURN_IF_ERROR(config::ToJobSpec(checked).status());
  return text;
}

StatusOr<DeploymentBody> MakeDeployment(const std::string& file, const std::string& folder) {
  config::Deployment deployment;
  RETURN_IF_ERROR(config::LoadYamlFile(file, &deployment));
  ASSIGN_OR_RETURN(*deployment.mutable_work_dir(),
                   Under(folder, deployment.work_dir(), "work_dir"));
  if (const auto spec = config::ToDeploymentSpec(deployment); !spec.ok())
    return InvalidArgument("{}: {}", file, MessageOf(spec.status()));
  ASSIGN_OR_RETURN(std::string text, config::ToJsonText(deployment));
  return DeploymentBody{deployment.name(), std::move(text)};
}

}  // namespace allot::client
