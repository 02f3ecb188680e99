#include "agent/shell/options.h"

#include <charconv>

#include <sys/resource.h>
#include <unistd.h>

#include "agent/runtime/files.h"
#include "agent/runtime/process_runtime.h"
#include "common/auth/tokens.h"
#include "common/base/address.h"
#include "common/config/convert.h"

namespace allot::agent {
StatusOr<config::Agent> LoadConfig(const std::string& path) {
  return config::LoadChecked<config::Agent>(path);
}

namespace {

constexpr uint64_t kUnlimited = ~uint64_t{0};  // RLIM64_INFINITY

StatusOr<uint64_t> ParseLimit(std::string_view key, const std::string& text) {
  if (text == "unlimited") return kUnlimited;
  const StatusOr<Bytes> bytes = config::ParseBytes(text);
  if (!bytes.ok() || *bytes < 0)
    return InvalidArgument("users.limits.{} is \"{}\"; give a size like 64MiB, or unlimited", key,
                           text);
  return static_cast<uint64_t>(*bytes);
}

StatusOr<uint32_t> ParseUmask(const std::string& text) {
  uint32_t umask = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, umask, 8);
  if (error != std::errc() || rest != end || umask > 0777)
    return InvalidArgument("users.umask is \"{}\"; give three octal digits in quotes, like \"027\"",
                           text);
  return umask;
}

StatusOr<Separation::Options> ToSeparation(const config::AgentUsers& users) {
  Separation::Options options;
  People::Options& people = options.people;
  people.separation = users.separation() == "off"        ? People::Separation::kOff
                      : users.separation() == "required" ? People::Separation::kRequired
                                                         : People::Separation::kAuto;
  people.tenants = {users.tenants().begin(), users.tenants().end()};
  people.tokens = {users.tokens().begin(), users.tokens().end()};
  people.default_user = users.default_user();
  if (users.range().has_from()) people.range_from = static_cast<uint32_t>(users.range().from());
  if (users.range().has_count()) people.range_count = static_cast<uint32_t>(users.range().count());
  if (uint64_t{people.range_from} + people.range_count > 4'294'967'294u)
    return InvalidArgument("users.range goes beyond 4294967293, the last user id there is");
  people.groups = {users.groups().begin(), users.groups().end()};
  for (const std::string& name : users.capabilities()) {
    const std::optional<int> number = CapabilityOf(name);
    if (!number)
      return InvalidArgument("users.capabilities: there is no \"{}\"; see capabilities(7)", name);
    options.capabilities |= uint64_t{1} << *number;
  }
  if (!users.umask().empty()) {
    ASSIGN_OR_RETURN(options.umask, ParseUmask(users.umask()));
  }
  options.private_tmp = !users.has_private_tmp() || users.private_tmp();
  const config::AgentUserLimits& limits = users.limits();
  const bool apart = people.separation != People::Separation::kOff;
  const auto add = [&](int resource, uint64_t most) {
    options.limits.push_back({resource, most, most});
  };
  if (apart || !limits.core().empty()) {
    ASSIGN_OR_RETURN(const uint64_t core,
                     ParseLimit("core", limits.core().empty() ? "0B" : limits.core()));
    add(RLIMIT_CORE, core);
  }
  if (apart || !limits.memlock().empty()) {
    ASSIGN_OR_RETURN(
        const uint64_t memlock,
        ParseLimit("memlock", limits.memlock().empty() ? "unlimited" : limits.memlock()));
    add(RLIMIT_MEMLOCK, memlock);
  }
  if (limits.has_files()) add(RLIMIT_NOFILE, static_cast<uint64_t>(limits.files()));
  if (limits.has_processes()) add(RLIMIT_NPROC, static_cast<uint64_t>(limits.processes()));
  return options;
}

}  // namespace

StatusOr<AgentOptions> ToAgentOptions(const config::Agent& config) {
  AgentOptions options;
  options.name = config.name();
  options.state_dir = config.state_dir();
  for (const std::string& endpoint : config.scheduler())
    options.schedulers.push_back(WithScheme(endpoint));
  options.scheduler_public_key = config.scheduler_public_key();
  RETURN_IF_ERROR(transport::CheckKeyText(options.scheduler_public_key, "scheduler_public_key"));
  ASSIGN_OR_RETURN(options.keys, transport::LoadKeyFile(config.key_file()));
  options.address = config.address();
  options.http_listen = config.http_listen();
  options.http_advertise = config.http_advertise();
  options.metrics_tokens_file = config.metrics_tokens_file();
  if (config.has_tls())
    options.tls =
        http::TlsFiles{config.tls().certificate(), config.tls().key(), config.tls().client_ca()};
  options.plain_tokens = config.plain_tokens();
  if (!options.metrics_tokens_file.empty()) {
    RETURN_IF_ERROR(auth::Tokens::Load({.file = options.metrics_tokens_file}).status());
  }
  options.devices = config.devices();
  options.catalogue = Catalogue::BuiltIn();
  for (const std::string& file : config.catalogue_files()) {
    ASSIGN_OR_RETURN(const std::string csv, ReadWholeFile(file));
    ASSIGN_OR_RETURN(const Catalogue more, Catalogue::Parse(csv, file));
    options.catalogue.Override(more);
  }
  if (const std::string& file = config.devices().health_rules_file(); !file.empty()) {
    ASSIGN_OR_RETURN(const std::string tsv, ReadWholeFile(file));
    ASSIGN_OR_RETURN(const HealthRules first, HealthRules::Parse(tsv, file));
    options.health_rules =
        std::make_shared<const HealthRules>(HealthRules::Joined(first, *HealthRules::BuiltIn()));
  }
  if (!config.offer().cpus().empty()) {
    ASSIGN_OR_RETURN(options.offer_cpus, config::ParseMilliCpus(config.offer().cpus()));
  }
  if (!config.offer().memory().empty()) {
    ASSIGN_OR_RETURN(options.offer_memory, config::ParseBytes(config.offer().memory()));
  }
  options.labels = {config.labels().begin(), config.labels().end()};
  RETURN_IF_ERROR(
      config::TakeDuration("telemetry_every", config.telemetry_every(), &options.telemetry_every));
  RETURN_IF_ERROR(config::TakeDuration("logs_kept", config.logs_kept(), &options.logs_kept));
  if (!config.log_max().empty()) {
    ASSIGN_OR_RETURN(options.log_max, config::ParseBytes(config.log_max()));
  }
  if (!config.disk_free_min().empty()) {
    ASSIGN_OR_RETURN(options.disk_free_min, config::ParseBytes(config.disk_free_min()));
  }
  const config::AgentIsolation& isolation = config.isolation();
  options.isolation.off = isolation.has_cgroups() && !isolation.cgroups();
  options.isolation.cpus_hard = isolation.cpu() == "limit";
  if (isolation.has_pids()) options.isolation.pids_max = isolation.pids();
  if (!isolation.scratch_max().empty()) {
    ASSIGN_OR_RETURN(options.scratch.bytes, config::ParseBytes(isolation.scratch_max()));
  }
  if (isolation.has_scratch_files_max()) options.scratch.files = isolation.scratch_files_max();
  options.scratch_tmpfs = isolation.scratch_tmpfs();
  if (options.scratch_tmpfs && !options.scratch.bytes)
    return InvalidArgument(
        "isolation.scratch_tmpfs is true and isolation.scratch_max is left out; say how large the "
        "scratch folder of a task may be");
  if (options.scratch_tmpfs && geteuid() != 0)
    return FailedPrecondition(
        "isolation.scratch_tmpfs takes an agent that is root, for it mounts a tmpfs for each task; "
        "start it as root, or leave that out: then scratch folders are on the disk of state_dir and "
        "are measured every second");
  options.isolation.devices = {isolation.devices().begin(), isolation.devices().end()};
  ASSIGN_OR_RETURN(options.users, ToSeparation(config.users()));
  ASSIGN_OR_RETURN(options.supervisor, FindSupervisor());
  return options;
}

}  // namespace allot::agent
