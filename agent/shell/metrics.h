// Every metric of allot-agent. Values are taken when somebody asks, so they cost nothing in
// between.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/core/events.h"
#include "agent/shell/endpoint_exchange.h"
#include "common/http/tls_identity.h"
#include "common/metrics/metrics.h"
#include "common/metrics/mirror.h"
#include "common/model/node.h"

namespace allot::agent {

class AgentMetrics {
 public:
  AgentMetrics();

  // What is counted elsewhere, as totals since the start.
  struct Totals {
    uint64_t spawned = 0, spawn_failures = 0, processes_exited = 0, supervisors_killed = 0;
    uint64_t dials = 0, envelopes_in = 0, envelopes_out = 0, bytes_in = 0, bytes_out = 0;
    uint64_t refused_terms = 0, undecodable = 0, gaps = 0, undelivered = 0;
    uint64_t forwarded = 0, completed = 0, failed = 0, cancelled = 0;
    std::vector<std::pair<std::string, uint64_t>> http_turned = {};  // by reason
    std::optional<http::TlsState> certificate = std::nullopt;
  };
  struct Levels {
    size_t tasks = 0, replicas = 0, gateways = 0, forwards_in_flight = 0, log_readers = 0;
    Bytes scratch = 0;
    bool connected = false, registered = false;
  };
  void Set(const Totals& totals, const Levels& levels);
  void SetDevices(const std::string& node, const std::string& version,
                  const std::vector<Device>& devices);
  void SetTelemetry(const std::vector<DeviceTelemetry>& telemetry);
  void AddReplicaEnergy(const std::string& deployment, double joules);
  void Noted(const Note& note);
  void SetEndpoints(const Endpoints& endpoints);  // once
  void EndpointRequest(const EndpointRequestDone& request);
  void FollowEndpointLoads();
  std::string Text() const { return registry_.Text(); }

 private:
  void SetOrRemove(const metrics::Row& row, const metrics::Labels& labels,
                   std::optional<double> value);

  metrics::Registry registry_;
  metrics::Mirror mirror_{registry_};
  std::vector<Device> devices_;
  metrics::GaugeFamily identities_, states_, health_;
  Endpoints endpoints_;
};

// As NVML, nvidia-smi and the DCGM exporter write it: "00000000:1B:00.0" for device 0000:1b:00.0
// and for parts of it; empty for devices that are named otherwise.
std::string PciBusId(const Device& device);

}  // namespace allot::agent
