#include "scheduler/shell/settings.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "common/config/bind.h"
#include "common/config/convert.h"
#include "scheduler/shell/policy_check.h"

namespace allot::scheduler {
namespace {

constexpr char kDefaultListen[] = "tcp://127.0.0.1:7400";
constexpr char kDefaultHttp[] = "127.0.0.1:7401";

std::string Or(const std::string& value, std::string otherwise) {
  return value.empty() ? std::move(otherwise) : value;
}

Status ReadDuration(const std::string& text, Duration* out) {
  if (text.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const int64_t micros, config::ParseDurationMicros(text));
  *out = Duration(micros);
  return absl::OkStatus();
}

Status ToCoreOptions(const config::Scheduler& config, CoreOptions* core) {
  RETURN_IF_ERROR(ReadDuration(config.lease(), &core->lease));
  RETURN_IF_ERROR(ReadDuration(config.heartbeat_every(), &core->heartbeat_every));
  if (config.pending_jobs_max() != 0) core->pending_jobs_max = config.pending_jobs_max();
  core->checkpoint_root = Or(config.checkpoint_root(), core->checkpoint_root);
  if (config.task_port_min() != 0) {
    core->task_port_min = static_cast<uint16_t>(config.task_port_min());
  }
  if (config.task_port_max() != 0) {
    core->task_port_max = static_cast<uint16_t>(config.task_port_max());
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<config::Scheduler> LoadConfig(const std::string& path) {
  config::Scheduler config;
  RETURN_IF_ERROR(config::LoadYamlFile(path, &config));
  if (Status good = config::Check(config); !good.ok()) {
    return InvalidArgument("{}: {}", path, MessageOf(good));
  }
  return config;
}

StatusOr<Shell::Options> ToShellOptions(const config::Scheduler& config) {
  Shell::Options options;
  char host[256] = "allotrope";
  gethostname(host, sizeof host - 1);
  options.name = host;
  options.listen = Or(config.listen(), kDefaultListen);
  options.http_listen = Or(config.http_listen(), kDefaultHttp);
  options.allow_file = config.allow_file();
  options.tokens_file = config.tokens_file();
  options.local = config.local();
  options.pipeline.state_dir = config.state_dir();
  RETURN_IF_ERROR(ToCoreOptions(config, &options.pipeline.core));
  ASSIGN_OR_RETURN(options.keys, transport::LoadKeyFile(config.key_file()));
  RETURN_IF_ERROR(transport::LoadAllowFile(config.allow_file()).status());
  RETURN_IF_ERROR(
      auth::Tokens::Load({.file = options.tokens_file, .local = options.local}).status());
  if (!config.policy_file().empty()) {
    ASSIGN_OR_RETURN(Policy policy, LoadPolicyFile(config.policy_file()));
    options.pipeline.first_policy = std::make_shared<const Policy>(std::move(policy));
  }
  return options;
}

std::string DialAddress(std::string bound) {
  for (const auto& [any, loopback] :
       {std::pair<std::string_view, std::string_view>{"//0.0.0.0:", "//127.0.0.1:"},
        {"//[::]:", "//[::1]:"}}) {
    if (const size_t at = bound.find(any); at != std::string::npos) {
      bound.replace(at, any.size(), loopback);
    }
  }
  return bound;
}

StatusOr<transport::KeyPair> GatewayKeys(const config::Scheduler& config, const std::string& name) {
  const std::string path =
      (std::filesystem::path(config.key_file()).parent_path() / "gateway.key").string();
  if (!std::filesystem::exists(path)) {
    RETURN_IF_ERROR(transport::SaveKeyFile(path, transport::NewKeyPair()));
  }
  ASSIGN_OR_RETURN(transport::KeyPair keys, transport::LoadKeyFile(path));
  RETURN_IF_ERROR(transport::EnrollPeer(
      config.allow_file(),
      {.name = name, .public_key = keys.public_key, .role = transport::Role::kGateway},
      /*replace=*/true));
  return keys;
}

StatusOr<std::unique_ptr<AddressesFile>> AddressesFile::Write(const std::string& state_dir,
                                                              const std::vector<Entry>& entries) {
  const std::string path = state_dir + "/addresses.yaml", draft = path + ".new";
  std::string text;
  text += fmt::format("pid: {}\n", getpid());
  for (const Entry& entry : entries) text += fmt::format("{}: \"{}\"\n", entry.key, entry.value);
  FILE* file = std::fopen(draft.c_str(), "we");
  bool written = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (file != nullptr) written = std::fclose(file) == 0 && written;
  if (!written || std::rename(draft.c_str(), path.c_str()) != 0) {
    return Unavailable("{}: {}", path, std::strerror(errno));
  }
  return std::unique_ptr<AddressesFile>(new AddressesFile(path));
}

AddressesFile::~AddressesFile() { std::remove(path_.c_str()); }

int ExitCodeOf(const Status& status) {
  switch (status.code()) {
    case StatusCode::kOk:
      return 0;
    case StatusCode::kInvalidArgument:
    case StatusCode::kOutOfRange:
      return 2;
    case StatusCode::kPermissionDenied:
    case StatusCode::kUnauthenticated:
      return 3;
    case StatusCode::kNotFound:
      return 4;
    case StatusCode::kAlreadyExists:
    case StatusCode::kFailedPrecondition:
    case StatusCode::kResourceExhausted:
    case StatusCode::kUnavailable:
      return 5;
    case StatusCode::kDeadlineExceeded:
      return 6;
    default:
      return 1;
  }
}

}  // namespace allot::scheduler
