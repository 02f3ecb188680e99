#include "scheduler/shell/settings.h"

#include <unistd.h>

#include <filesystem>
#include <utility>

#include "common/audit/settings.h"
#include "common/base/address.h"
#include "common/base/loopback.h"
#include "common/config/convert.h"
#include "common/program/own_address.h"
#include "common/transport/invitations.h"
#include "common/transport/renewed_keys.h"
#include "scheduler/shell/policy_check.h"

namespace allot::scheduler {
namespace {

Status ToCoreOptions(const config::Scheduler& config, CoreOptions* core) {
  RETURN_IF_ERROR(config::TakeDuration("lease", config.lease(), &core->lease));
  RETURN_IF_ERROR(config::TakeDuration("task_lease", config.task_lease(), &core->task_lease.lease));
  RETURN_IF_ERROR(config::TakeDuration("task_lease_margin", config.task_lease_margin(),
                                       &core->task_lease.margin));
  RETURN_IF_ERROR(
      config::TakeDuration("heartbeat_every", config.heartbeat_every(), &core->heartbeat_every));
  RETURN_IF_ERROR(config::TakeDuration("acknowledge_within", config.acknowledge_within(),
                                       &core->acknowledge_within));
  if (config.pending_jobs_max() != 0) core->pending_jobs_max = config.pending_jobs_max();
  Bytes specs = static_cast<Bytes>(core->spec_bytes_max),
        of_tenant = static_cast<Bytes>(core->spec_bytes_of_tenant_max);
  RETURN_IF_ERROR(config::TakeBytes("specs_max", config.specs_max(), &specs));
  RETURN_IF_ERROR(
      config::TakeBytes("specs_per_tenant_max", config.specs_per_tenant_max(), &of_tenant));
  core->spec_bytes_max = static_cast<uint64_t>(specs);
  core->spec_bytes_of_tenant_max = static_cast<uint64_t>(of_tenant);
  config::TakeText(config.checkpoint_root(), &core->checkpoint_root);
  if (config.task_port_min() != 0) {
    core->task_port_min = static_cast<uint16_t>(config.task_port_min());
  }
  if (config.task_port_max() != 0) {
    core->task_port_max = static_cast<uint16_t>(config.task_port_max());
  }
  return absl::OkStatus();
}

// Where others find this machine: as somebody wrote it down, else where we listen, else by the
// kernel's routing table.
std::string OwnHost(const Shell::Options& options) {
  const std::string told[] = {options.advertise.empty() ? "" : options.advertise.front(),
                              options.http_advertise, options.listen, options.http_listen};
  for (const std::string& address : told) {
    const std::optional<Address> parsed = ParseAddress(address);
    if (parsed && !IsWildcardHost(parsed->host) && !IsLoopbackHost(parsed->host))
      return parsed->host;
  }
  const bool everywhere =
      IsWildcardAddress(options.listen) || IsWildcardAddress(options.http_listen);
  return everywhere ? program::OwnAddress() : "";
}

}  // namespace

StatusOr<config::Scheduler> LoadConfig(const std::string& path) {
  return config::LoadChecked<config::Scheduler>(path);
}

StatusOr<Shell::Options> ToShellOptions(const config::Scheduler& config) {
  Shell::Options options;
  char host[256] = "allotrope";
  gethostname(host, sizeof host - 1);
  options.name = host;
  config::TakeText(config.listen(), &options.listen);
  config::TakeText(config.http_listen(), &options.http_listen);
  for (const std::string& endpoint : config.advertise())
    options.advertise.push_back(WithScheme(endpoint));
  options.http_advertise = config.http_advertise();
  options.own_host = OwnHost(options);
  options.allow_file = config.allow_file();
  options.tokens_file = config.tokens_file();
  options.local = config.local();
  options.open = config.auth() == "none";
  if (config.has_tls())
    options.tls =
        http::TlsFiles{config.tls().certificate(), config.tls().key(), config.tls().client_ca()};
  options.plain_tokens = config.plain_tokens();
  if (config.connections_max() != 0) options.connections_max = config.connections_max();
  if (config.connections_per_address_max() != 0)
    options.connections_per_address_max = config.connections_per_address_max();
  RETURN_IF_ERROR(
      config::TakeBytes("answers_max", config.answers_max(), &options.answers_bytes_max));
  options.pipeline.state_dir = config.state_dir();
  ASSIGN_OR_RETURN(
      options.audit,
      audit::ToOptions(config.audit(), fmt::format("{}/{}", config.state_dir(), audit::kFileName)));
  RETURN_IF_ERROR(
      config::TakeDuration("history_kept", config.history_kept(), &options.pipeline.history_kept));
  RETURN_IF_ERROR(ToCoreOptions(config, &options.pipeline.core));
  ASSIGN_OR_RETURN(options.keys, HeadKeys::Load(config.key_file(), transport::WallClock()));
  RETURN_IF_ERROR(transport::LoadAllowFile(config.allow_file()).status());
  RETURN_IF_ERROR(auth::Tokens::Load({.file = options.tokens_file, .open = options.open}).status());
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

std::string GatewayRenewedKeysFile(const config::Scheduler& config) {
  return config.state_dir() + "/gateway.renewed.keys";
}

StatusOr<transport::KeyPair> GatewayKeys(const config::Scheduler& config, const std::string& name) {
  const std::string path =
      (std::filesystem::path(config.key_file()).parent_path() / "gateway.key").string();
  if (!std::filesystem::exists(path)) {
    RETURN_IF_ERROR(transport::SaveKeyFile(path, transport::NewKeyPair()));
  }
  ASSIGN_OR_RETURN(transport::KeyPair keys, transport::LoadKeyFile(path));
  ASSIGN_OR_RETURN(const std::unique_ptr<transport::RenewedKeys> renewed,
                   transport::RenewedKeys::Load(GatewayRenewedKeysFile(config), keys, ""));
  RETURN_IF_ERROR(transport::EnrollPeer(
      config.allow_file(),
      {.name = name, .public_key = renewed->own().public_key, .role = transport::Role::kGateway},
      /*replace=*/true));
  return keys;
}

}  // namespace allot::scheduler
