// A model served by replicas on device models, with an objective.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/units.h"
#include "common/model/device.h"
#include "common/model/job.h"

namespace allot {

struct HealthCheck {
  std::string path = "/health";
  Duration interval = std::chrono::seconds(1);
  Duration timeout = std::chrono::seconds(10);  // a model server that is busy answers late
  Duration start_timeout = std::chrono::minutes(30);
  uint32_t failures_max = 3;  // in a row: no requests are sent to it
  // A replica that fails its checks for so long, and answers nobody meanwhile, is started anew.
  Duration restart_after = std::chrono::minutes(5);
  bool operator==(const HealthCheck&) const = default;
};

// What was promised. Absent parts are not promised.
struct Objective {
  std::optional<Duration> ttft;            // time to first token
  std::optional<Duration> per_token;       // time per output token after the first
  std::optional<Duration> end_to_end;
  double percentile = 0.95;                // of the above
  bool operator==(const Objective&) const = default;
};

struct ReplicaGroup {
  DeviceRequest device;        // kind CPU takes `resources.cpus` of a CPU device
  uint32_t count = 1;
  uint32_t concurrency = 64;   // requests a replica takes at once
  bool operator==(const ReplicaGroup&) const = default;
};

struct DeploymentSpec {
  std::string name;
  std::string tenant = "default";  // whose it is: only its tokens, and unbound ones, may change it
  std::string model;           // the name clients ask for; default: name
  std::vector<std::string> command;  // "{port}" is replaced by the port to listen on (also in ALLOT_PORT)
  std::map<std::string, std::string> environment;
  std::string work_dir;
  Resources resources;         // per replica
  HealthCheck health;
  std::vector<ReplicaGroup> groups;
  Objective objective;
  std::optional<PriceRate> price_cap;  // no replica on a dearer device
  uint32_t queue_max = 4096;           // requests waiting in the router; time is what bounds them
  Duration queue_timeout = std::chrono::seconds(30);
  // A replica that is to end takes no new requests, and for so long those that it has may finish;
  // then SIGTERM, and SIGKILL after `grace`.
  Duration drain = std::chrono::seconds(60);
  Duration grace = std::chrono::seconds(10);
  bool operator==(const DeploymentSpec&) const = default;
};

// Requests are sent to kReady only. kUnhealthy: it fails its health checks, or waits to be started
// again; requests that it has go on. kDraining: it is to end, and finishes those it has; kStopping:
// it was told to end. The numbers are those of the wire, where kDraining goes as kStopping with a
// mark, for schedulers that do not know it.
enum class ReplicaPhase : uint8_t {
  kPending,
  kStarting,
  kReady,
  kUnhealthy,
  kStopping,
  kGone,
  kDraining,
};
std::string_view ToString(ReplicaPhase phase);

}  // namespace allot
