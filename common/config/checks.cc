#include "common/config/checks.h"

#include "common/base/text.h"
#include "common/config/bind.h"

namespace allot::config {
namespace {

template <class Parse>
StatusOr<int64_t> TakeUnit(std::string_view path, const std::string& text, Parse parse) {
  StatusOr<int64_t> value = parse(text);
  if (!value.ok()) return InvalidArgument("{} {}", path, MessageOf(value.status()));
  return value;
}

Status CheckArgument(std::string_view path, std::string_view text) {
  if (text.find('\0') != std::string_view::npos) {
    return InvalidArgument("{} holds a NUL character", path);
  }
  if (!IsValidUtf8(text)) return InvalidArgument("{} is not valid UTF-8", path);
  if (text.size() > kArgumentBytesMax) {
    return InvalidArgument("{} has {} bytes; the system takes {} at most, so put it in a file",
                           path, text.size(), kArgumentBytesMax);
  }
  return absl::OkStatus();
}

}  // namespace

Status TakeDuration(std::string_view path, const std::string& text, Duration* out) {
  if (text.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const int64_t micros, TakeUnit(path, text, ParseDurationMicros));
  *out = Duration(micros);
  return absl::OkStatus();
}

Status TakeBytes(std::string_view path, const std::string& text, Bytes* out) {
  if (text.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(*out, TakeUnit(path, text, ParseBytes));
  return absl::OkStatus();
}

Status TakeResources(const Resources& from, allot::Resources* out) {
  if (!from.cpus().empty()) {
    ASSIGN_OR_RETURN(out->cpus, TakeUnit("resources.cpus", from.cpus(), ParseMilliCpus));
  }
  if (out->cpus == 0) {
    return InvalidArgument(
        "resources.cpus is \"{}\"; what runs needs some: give 0.1 or more, or leave it out for 1",
        from.cpus());
  }
  if (from.memory().empty()) {
    out->memory = 0;
    out->memory_share = true;
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(TakeBytes("resources.memory", from.memory(), &out->memory));
  if (out->memory == 0) {
    return InvalidArgument(
        "resources.memory is \"{}\"; what runs needs some: give an amount like 16GiB, or leave it "
        "out for its share of the node's",
        from.memory());
  }
  return absl::OkStatus();
}

Status CheckCommand(const std::vector<std::string>& command) {
  if (command.empty()) {
    return InvalidArgument(
        "command is missing; give an argument vector, like "
        "[\"python3\", \"train.py\"]");
  }
  if (command[0].empty()) return InvalidArgument("command[0] is empty; it names the program");
  for (size_t i = 0; i < command.size(); ++i) {
    RETURN_IF_ERROR(CheckArgument(fmt::format("command[{}]", i), command[i]));
  }
  return absl::OkStatus();
}

Status CheckEnvironment(const std::map<std::string, std::string>& environment,
                        const std::vector<std::string>& command) {
  if (environment.size() > kVariablesMax) {
    return InvalidArgument(
        "environment has {} variables; {} are taken at most, so put them in a file",
        environment.size(), kVariablesMax);
  }
  size_t bytes = 0;
  for (const std::string& argument : command) bytes += argument.size() + 1;
  for (const auto& [key, value] : environment) {
    if (key.empty()) return InvalidArgument("environment has a variable without a name");
    if (key.find('=') != std::string::npos) {
      return InvalidArgument("environment: the name \"{}\" holds '='; that cannot be", key);
    }
    RETURN_IF_ERROR(CheckArgument("environment." + key, key + "=" + value));
    bytes += key.size() + value.size() + 2;
  }
  if (bytes > kArgumentsBytesMax) {
    return InvalidArgument("command and environment have {} bytes together; {} are taken at most",
                           bytes, kArgumentsBytesMax);
  }
  return absl::OkStatus();
}

Status CheckAbsolute(std::string_view path, const std::string& value) {
  if (value.empty() || value.starts_with('/')) return CheckArgument(path, value);
  return InvalidArgument("{} is \"{}\"; give an absolute path, it is on another machine", path,
                         value);
}

StatusOr<allot::DeviceRequest> TakeDeviceRequest(std::string_view path, const DeviceRequest& from) {
  allot::DeviceRequest to;
  if (!from.kind().empty()) {
    to.kind = ParseDeviceKind(from.kind());
    if (!to.kind) {
      return InvalidArgument("{}.kind is \"{}\"; it is one of GPU, CPU, ASIC", path, from.kind());
    }
  }
  to.vendor = from.vendor();
  to.model = from.model();
  if (from.count() != 0) to.count = from.count();
  if (!from.min_memory().empty()) {
    RETURN_IF_ERROR(
        TakeBytes(fmt::format("{}.min_memory", path), from.min_memory(), &to.min_memory.emplace()));
  }
  if (from.worth() != 0) to.worth = from.worth();
  if (!from.isolation().empty()) {
    to.isolation = ParseIsolation(from.isolation());
    if (!to.isolation || *to.isolation == Isolation::kShared) {
      return InvalidArgument("{}.isolation is \"{}\"; it is one of none, memory, hard", path,
                             from.isolation());
    }
  }
  to.joined = from.joined();

  if (to.kind == DeviceKind::kCpu && to.count > 1) {
    return InvalidArgument(
        "{}.count is {} with kind CPU; processors are shared, so say how many with resources.cpus",
        path, to.count);
  }
  if (to.count > DeviceSet::kMax) {
    return InvalidArgument("{}.count is {}; a task has {} devices at most", path, to.count,
                           DeviceSet::kMax);
  }
  if (from.count() == 0 && !to.kind && to.vendor.empty() && to.model.empty() && !to.min_memory &&
      !to.isolation) {
    return InvalidArgument(
        "{} says nothing; give kind, vendor, model, min_memory, isolation or count", path);
  }
  return to;
}

}  // namespace allot::config
