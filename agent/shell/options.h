// From the agent's config file to what the shell needs.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "agent/devices/health/rules.h"
#include "agent/runtime/scratch.h"
#include "agent/shell/confinement.h"
#include "agent/shell/separation.h"
#include "common/base/status.h"
#include "common/base/units.h"
#include "common/catalogue/catalogue.h"
#include "common/http/tls_identity.h"
#include "common/model/job.h"
#include "common/proto/config.pb.h"
#include "common/transport/keys.h"

namespace allot::agent {

struct AgentOptions {
  std::string name, state_dir, scheduler_public_key;
  std::vector<std::string> schedulers;  // tcp://host:port; at least one
  transport::KeyPair keys;
  std::string address;              // empty: the one by which the scheduler is reached
  std::string http_listen;          // empty: loopback where the address is, else everywhere
  std::string http_advertise;       // empty: the address and the port of http_listen
  std::string metrics_tokens_file;  // empty: /metrics asks for no token
  std::optional<http::TlsFiles> tls;  // of /metrics; none: plain HTTP
  bool plain_tokens = false;          // also from other machines
  config::AgentDevices devices;
  Catalogue catalogue;
  std::shared_ptr<const HealthRules> health_rules = HealthRules::BuiltIn();
  std::string machine;  // tests only: a recorded machine in place of this one
  std::optional<MilliCpu> offer_cpus;
  std::optional<Bytes> offer_memory;
  std::map<std::string, std::string> labels;
  Confinement::Options isolation;
  Separation::Options users;  // people are not kept apart unless it says so
  Duration telemetry_every = std::chrono::seconds(5), logs_kept = std::chrono::hours(168);
  ScratchLimit scratch;
  bool scratch_tmpfs = false;
  Bytes log_max = kGiB, disk_free_min = 256 * kMiB;
  std::string boot_id_file = "/proc/sys/kernel/random/boot_id";  // tests give another
  std::string supervisor;  // path of allot-supervisor
};

// Reads the config file and everything it names (keys, catalogues); opens and binds nothing else.
StatusOr<config::Agent> LoadConfig(const std::string& path);
StatusOr<AgentOptions> ToAgentOptions(const config::Agent& config);

}  // namespace allot::agent
