// Handles of the catalogue's metrics, taken once, and the sampling of the cluster's gauges.
//
// The counters and histograms may be used from any thread; Sample belongs to the loop's.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/audit/audit.h"
#include "common/http/tls_identity.h"
#include "common/metrics/metrics.h"
#include "common/metrics/mirror.h"
#include "common/transport/context.h"
#include "scheduler/core/core.h"
#include "scheduler/shell/census.h"

namespace allot::transport {
struct GateCounters;
struct LinkCounters;
}  // namespace allot::transport

namespace allot::scheduler {

class Metrics {
 public:
  Metrics();
  ~Metrics();

  metrics::Registry registry;  // before the handles
  metrics::Counter &jobs_submitted, &placements, &nodes_lost, &stale, &foreign, &gaps, &stalled;
  metrics::Counter &journal_records, &journal_errors, &compactions, &compaction_errors;
  metrics::Histogram &job_wait, &step, &commit;

  void Observe(const Note& note);
  void JobEnded(JobOutcome outcome, const std::string& tenant, Cost cost);
  void Spent(const std::string& tenant, Cost cost);
  void Drew(const std::string& tenant, MilliJoule energy, bool modelled);
  void Requeued(RequeueReason reason);
  void Quarantined(const DeviceQuarantined& record);
  void Refused(const std::string& reason, int count = 1);  // a closed list: see peers.cc
  void HttpAnswered(const std::string& route, int status);

  struct Sample {
    Time now;
    const Core& core;
    const JobCensus& census;
    const transport::ZapCounters* zap = nullptr;
    const transport::LinkCounters* link = nullptr;
    const transport::GateCounters* gate = nullptr;
    size_t gateways = 0, http_connections = 0, journal_waiting = 0;
    bool degraded = false, tokens_stale = false;
    Duration clock_offset{};
    size_t http_answers_bytes = 0;
    std::vector<std::pair<std::string, uint64_t>> http_turned = {};  // by reason
    std::optional<http::TlsState> certificate = std::nullopt;
    size_t tokens_expiring = 0, tokens_expired = 0;
    const audit::Counters* audit = nullptr;
  };
  // Brings every gauge up to date; then registry.Text() is the answer to a scrape.
  void Take(const Sample& sample);

 private:
  struct Families;
  metrics::Mirror mirror_{registry};
  void TakeDevices(const ClusterState& state);
  void TakeQuarantines(const ClusterState& state);
  void TakeReplicas(const Core& core);
  void TakePower(const Core& core);
  std::unique_ptr<Families> families_;
};

}  // namespace allot::scheduler
