#include "agent/shell/options.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include "agent/runtime/files.h"
#include "agent/runtime/process_runtime.h"
#include "common/config/convert.h"

namespace allot::agent {
StatusOr<config::Agent> LoadConfig(const std::string& path) {
  return config::LoadChecked<config::Agent>(path);
}

StatusOr<AgentOptions> ToAgentOptions(const config::Agent& config) {
  AgentOptions options;
  options.name = config.name();
  options.state_dir = config.state_dir();
  options.schedulers = {config.scheduler().begin(), config.scheduler().end()};
  options.scheduler_public_key = config.scheduler_public_key();
  RETURN_IF_ERROR(transport::CheckKeyText(options.scheduler_public_key, "scheduler_public_key"));
  ASSIGN_OR_RETURN(options.keys, transport::LoadKeyFile(config.key_file()));
  options.address = config.address();
  config::TakeText(config.http_listen(), &options.http_listen);
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

StatusOr<std::string> AddressTowards(const std::string& endpoint) {
  constexpr std::string_view kScheme = "tcp://";
  const size_t colon = endpoint.rfind(':');
  if (!endpoint.starts_with(kScheme) || colon < kScheme.size())
    return InvalidArgument("scheduler \"{}\" is not like tcp://host:port", endpoint);
  std::string host = endpoint.substr(kScheme.size(), colon - kScheme.size());
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_DGRAM;
  if (const int error = getaddrinfo(host.c_str(), endpoint.c_str() + colon + 1, &hints, &found);
      error != 0)
    return Unavailable("cannot find the host of scheduler {}: {}", endpoint, gai_strerror(error));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> keeper(found, freeaddrinfo);
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
    const Fd fd(socket(info->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_storage local{};
    socklen_t size = sizeof local;
    char text[NI_MAXHOST];
    if (fd.valid() && connect(fd.get(), info->ai_addr, info->ai_addrlen) == 0 &&
        getsockname(fd.get(), reinterpret_cast<sockaddr*>(&local), &size) == 0 &&
        getnameinfo(reinterpret_cast<sockaddr*>(&local), size, text, sizeof text, nullptr, 0,
                    NI_NUMERICHOST) == 0)
      return std::string(text);
  }
  return Unavailable("no route to scheduler {}; set `address` to the one peers reach this node by",
                     endpoint);
}

}  // namespace allot::agent
