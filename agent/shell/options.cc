#include "agent/shell/options.h"

#include "agent/runtime/files.h"
#include "agent/runtime/process_runtime.h"
#include "common/auth/tokens.h"
#include "common/base/address.h"
#include "common/config/convert.h"

namespace allot::agent {
StatusOr<config::Agent> LoadConfig(const std::string& path) {
  return config::LoadChecked<config::Agent>(path);
}

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
  options.isolation.devices = {isolation.devices().begin(), isolation.devices().end()};
  ASSIGN_OR_RETURN(options.supervisor, FindSupervisor());
  return options;
}

}  // namespace allot::agent
