#include "client/submit_spec.h"

#include <filesystem>

#include "common/config/bind.h"
#include "common/config/convert.h"
#include "common/proto/config.pb.h"
#include "google/protobuf/util/json_util.h"

namespace allot::client {
namespace {

StatusOr<std::string> ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string out;
  const auto status = google::protobuf::util::MessageToJsonString(message, &out, options);
  if (!status.ok()) return InvalidArgument("the values cannot be sent: {}", status.ToString());
  return out;
}

std::string Under(const std::string& folder, const std::string& path) {
  std::string out = (std::filesystem::path(folder) / path).lexically_normal().string();
  if (out.size() > 1 && out.back() == '/') out.pop_back();
  return out;
}

// "kind=GPU,count=2" keeps its words, so that a bad value is quoted as it was typed.
StatusOr<config::DeviceRequest> DeviceOfFlag(const std::string& text) {
  const auto checked = config::ParseDeviceRequest(text);
  if (!checked.ok()) return InvalidArgument("--device '{}': {}", text, MessageOf(checked.status()));
  config::DeviceRequest out;
  if (checked->kind) out.set_kind(std::string(ToString(*checked->kind)));
  out.set_vendor(checked->vendor);
  out.set_model(checked->model);
  out.set_count(checked->count);
  if (checked->min_memory) out.set_min_memory(std::to_string(*checked->min_memory));
  out.set_worth(checked->worth);
  if (checked->isolation) out.set_isolation(std::string(ToString(*checked->isolation)));
  out.set_joined(checked->joined);
  return out;
}

Status Apply(const SubmitFlags& flags, config::Job* job) {
  if (flags.name) job->set_name(*flags.name);
  if (flags.tenant) job->set_tenant(*flags.tenant);
  if (flags.priority) job->set_priority(*flags.priority);
  if (flags.tasks) {
    if (*flags.tasks == 0) return InvalidArgument("--tasks is 0; it must be at least 1");
    job->set_tasks(*flags.tasks);
  }
  if (flags.cpus) job->mutable_resources()->set_cpus(*flags.cpus);
  if (flags.memory) job->mutable_resources()->set_memory(*flags.memory);
  if (flags.work_dir) job->set_work_dir(*flags.work_dir);
  if (flags.checkpoint_dir) job->set_checkpoint_dir(*flags.checkpoint_dir);
  if (flags.time_limit) job->set_time_limit(*flags.time_limit);
  if (flags.grace) job->set_grace(*flags.grace);
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
  if (!scratch) job.set_work_dir(Under(folder, job.work_dir()));
  if (!job.checkpoint_dir().empty()) job.set_checkpoint_dir(Under(folder, job.checkpoint_dir()));

  ASSIGN_OR_RETURN(std::string text, ToJson(job));
  config::Job checked;  // The rules of the fields, on what the flags said as well.
  RETURN_IF_ERROR(config::BindJson(text, &checked));
  RETURN_IF_ERROR(config::ToJobSpec(checked).status());
  return text;
}

StatusOr<DeploymentBody> MakeDeployment(const std::string& file, const std::string& folder) {
  config::Deployment deployment;
  RETURN_IF_ERROR(config::LoadYamlFile(file, &deployment));
  deployment.set_work_dir(Under(folder, deployment.work_dir()));
  if (const auto spec = config::ToDeploymentSpec(deployment); !spec.ok())
    return InvalidArgument("{}: {}", file, MessageOf(spec.status()));
  ASSIGN_OR_RETURN(std::string text, ToJson(deployment));
  return DeploymentBody{deployment.name(), std::move(text)};
}

}  // namespace allot::client
