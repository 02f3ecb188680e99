#include "client/submit_spec.h"

#include <filesystem>

#include "common/base/text.h"
#include "common/config/bind.h"
#include "common/config/convert.h"
#include "common/config/device_words.h"
#include "common/config/json_text.h"
#include "common/json/json.h"
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
  if (flags.scratch_max) {
    RETURN_IF_ERROR(Check("--scratch-max", *flags.scratch_max, config::ParseBytes));
    job->set_scratch_max(*flags.scratch_max);
  }
  if (flags.at_most_one) job->set_at_most_one(true);
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

// What config::ToJsonText says of it, field by field: that asks Protobuf's reflection, which has to
// be set up first (ADR 14). A test compares the two.
void Put(json::object* out, std::string_view key, const std::string& value) {
  if (!value.empty()) (*out)[key] = value;
}
template <class Number>
void Put(json::object* out, std::string_view key,
         Number value) requires std::is_arithmetic_v<Number> {
  if (value != Number()) (*out)[key] = value;
}

json::object JsonOf(const config::DeviceRequest& request) {
  json::object out;
  Put(&out, "kind", request.kind());
  Put(&out, "vendor", request.vendor());
  Put(&out, "model", request.model());
  Put(&out, "count", request.count());
  Put(&out, "min_memory", request.min_memory());
  Put(&out, "worth", request.worth());
  Put(&out, "isolation", request.isolation());
  Put(&out, "joined", request.joined());
  return out;
}

json::object JsonOf(const config::Job& job) {
  json::object out;
  Put(&out, "name", job.name());
  Put(&out, "tenant", job.tenant());
  Put(&out, "priority", job.priority());
  Put(&out, "tasks", job.tasks());
  if (job.command_size() > 0)
    out["command"] = json::array(job.command().begin(), job.command().end());
  if (job.environment_size() > 0) {
    json::object& environment = out["environment"].emplace_object();
    for (const auto& [name, value] : job.environment()) environment[name] = value;
  }
  Put(&out, "work_dir", job.work_dir());
  if (job.has_resources()) {
    json::object& resources = out["resources"].emplace_object();
    Put(&resources, "cpus", job.resources().cpus());
    Put(&resources, "memory", job.resources().memory());
  }
  if (job.has_devices()) {
    json::object& devices = out["devices"].emplace_object();
    if (job.devices().any_of_size() > 0) {
      json::array& any_of = devices["any_of"].emplace_array();
      for (const config::DeviceRequest& one : job.devices().any_of()) any_of.push_back(JsonOf(one));
    }
  }
  Put(&out, "checkpoint_dir", job.checkpoint_dir());
  Put(&out, "time_limit", job.time_limit());
  Put(&out, "grace", job.grace());
  Put(&out, "restarts_max", job.restarts_max());
  Put(&out, "runtime", job.runtime());
  Put(&out, "restart_pause", job.restart_pause());
  Put(&out, "restart_pause_max", job.restart_pause_max());
  Put(&out, "at_most_one", job.at_most_one());
  Put(&out, "scratch_max", job.scratch_max());
  return out;
}

}  // namespace

std::string JobText(const config::Job& job) { return json::serialize(JsonOf(job)); }

StatusOr<std::string> WriteJob(const SubmitFlags& flags, const std::string& folder) {
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

  std::string text = JobText(job);
  // The long way names what cannot be carried.
  if (!IsValidUtf8(text)) return config::ToJsonText(job);
  return text;
}

Status CheckJob(const std::string& body) {
  config::Job job;
  RETURN_IF_ERROR(config::BindJson(body, &job));
  return config::ToJobSpec(job).status();
}

StatusOr<std::string> MakeJob(const SubmitFlags& flags, const std::string& folder) {
  ASSIGN_OR_RETURN(std::string body, WriteJob(flags, folder));
  RETURN_IF_ERROR(CheckJob(body));
  return body;
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
