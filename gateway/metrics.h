// The gateway's metrics: handles of the request path, kept by their labels, and what is sampled
// when somebody looks.
//
// Labels come from route tables, never from clients (requests for models nobody serves count under
// deployment "none"), but for tenants, which are bounded. One thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <tuple>

#include "common/audit/audit.h"
#include "common/http/tls_identity.h"
#include "common/metrics/metrics.h"
#include "common/metrics/mirror.h"
#include "common/transport/gate.h"
#include "scheduler/router/core.h"

namespace allot::gateway {

class Metrics {
 public:
  // What others count, as it stands now.
  struct Sample {
    size_t nodes_linked = 0, nodes_unreached = 0, http_connections = 0;
    bool scheduler_connected = false, tokens_stale = false;
    std::map<std::string, uint64_t> link_drops, zap;  // by reason, by outcome
    transport::GateCounters::Counts strangers, throttled;
    std::vector<std::pair<std::string, uint64_t>> http_turned;  // by reason
    std::optional<http::TlsState> certificate;
    uint64_t answers_bytes = 0;
    uint64_t envelopes_in = 0, envelopes_out = 0;  // on the links of agents
    uint64_t bytes_in = 0, bytes_out = 0;
    uint64_t gaps = 0, scheduler_reconnects = 0;
    const audit::Counters* audit = nullptr;
  };

  Metrics();
  ~Metrics();

  void Decided(Duration took);
  void Routed(const router::Forward& forward);
  void Ended(const router::RequestEnded& ended);
  void SlowClient();
  void Refused(int status);  // an HTTP request, by us
  void PutOut(const router::ReplicaPutOut& out);
  void Retried(const router::TriedElsewhere& retry);
  // A request that came again after its client had left.
  void Repeated(const std::string& deployment);

  std::string Text(const router::Core& core, const Sample& sample);

 private:
  // Of one deployment on one kind of device.
  struct Handles {
    metrics::Labels labels;
    std::map<router::RequestEnded::Outcome, metrics::Counter*> outcomes;
    metrics::Histogram *seconds = nullptr, *ttft = nullptr;
    metrics::Counter *cost = nullptr, *energy = nullptr, *met = nullptr, *missed = nullptr;
  };
  Handles& HandlesOf(const router::RequestEnded& ended);
  // Of one tenant: the first hundred are named, as headers of tokens bound to none may invent any.
  struct TenantHandles {
    std::string label;
    std::map<router::RequestEnded::Outcome, metrics::Counter*> outcomes;
    std::map<std::string, std::pair<metrics::Counter*, metrics::Counter*>>
        tokens;  // prompt, output
    metrics::Counter* cost = nullptr;
  };
  TenantHandles& HandlesOfTenant(const std::string& tenant);
  void EndedOfTenant(const router::RequestEnded& ended);

  metrics::Registry registry_;  // before what refers to it
  metrics::Mirror mirror_{registry_};
  metrics::Histogram& decision_;
  std::map<std::tuple<std::string, std::string, bool>, Handles> handles_;
  std::map<std::pair<std::string, RouteReason>, metrics::Counter*> decisions_;
  std::map<std::string, TenantHandles> tenants_;
  std::map<std::pair<std::string, int32_t>, metrics::Counter*> answers_;
  metrics::GaugeFamily queue_, in_flight_, predicted_, out_, shadowed_;
};

}  // namespace allot::gateway
