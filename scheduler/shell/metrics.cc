#include "scheduler/shell/metrics.h"

#include <string_view>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "common/base/logging.h"
#include "common/metrics/mirror.h"
#include "common/transport/link.h"
#include "scheduler/shell/metric_catalogue.h"
#include "scheduler/shell/power_survey.h"

namespace allot::scheduler {

using metrics::GaugeFamily;
using metrics::Labels;
using metrics::MirroredCounter;

struct Metrics::Families {
  explicit Families(metrics::Registry& registry)
      : refused_unknown_key(registry.GetCounter(rows::kRefused, {{"reason", "unknown_key"}})),
        refused_role(registry.GetCounter(rows::kRefused, {{"reason", "role"}})),
        refused_no_list(registry.GetCounter(rows::kRefused, {{"reason", "no_allow_list"}})),
        refused_mechanism(registry.GetCounter(rows::kRefused, {{"reason", "mechanism"}})),
        refused_garbage(registry.GetCounter(rows::kRefused, {{"reason", "garbage"}})),
        refused_version(registry.GetCounter(rows::kRefused, {{"reason", "version"}})),
        refused_revoked(registry.GetCounter(rows::kRefused, {{"reason", "revoked"}})),
        refused_handshake(registry.GetCounter(rows::kRefused, {{"reason", "handshake"}})),
        admitted(registry.GetCounter(rows::kConnections, {{"event", "admitted"}})),
        accepted(registry.GetCounter(rows::kConnections, {{"event", "accepted"}})),
        disconnected(registry.GetCounter(rows::kConnections, {{"event", "disconnected"}})),
        envelopes_in(registry.GetCounter(rows::kEnvelopes, {{"direction", "in"}})),
        envelopes_out(registry.GetCounter(rows::kEnvelopes, {{"direction", "out"}})),
        bytes_in(registry.GetCounter(rows::kLinkBytes, {{"direction", "in"}})),
        bytes_out(registry.GetCounter(rows::kLinkBytes, {{"direction", "out"}})),
        unroutable(registry.GetCounter(rows::kUnroutable)),
        mirror(registry) {}

  MirroredCounter refused_unknown_key, refused_role, refused_no_list, refused_mechanism;
  MirroredCounter refused_garbage, refused_version, refused_revoked, refused_handshake;
  MirroredCounter admitted, accepted, disconnected;
  MirroredCounter envelopes_in, envelopes_out, bytes_in, bytes_out, unroutable;
  metrics::Mirror mirror;
  GaugeFamily jobs{rows::kJobs}, nodes{rows::kNodes}, devices{rows::kDevices};
  GaugeFamily leased{rows::kDevicesLeased}, replicas{rows::kReplicas};
  GaugeFamily devices_quarantined{rows::kDevicesQuarantined};
  GaugeFamily nodes_quarantined{rows::kNodesQuarantined};
  GaugeFamily power_leased{rows::kPowerLeased}, power_cap{rows::kPowerCap};
};

Metrics::Metrics()
    : jobs_submitted(registry.GetCounter(rows::kJobsSubmitted)),
      placements(registry.GetCounter(rows::kPlacements)),
      nodes_lost(registry.GetCounter(rows::kNodesLost)),
      stale(registry.GetCounter(rows::kStale)),
      foreign(registry.GetCounter(rows::kForeign)),
      gaps(registry.GetCounter(rows::kGaps)),
      stalled(registry.GetCounter(rows::kStalled)),
      journal_records(registry.GetCounter(rows::kJournalRecords)),
      journal_errors(registry.GetCounter(rows::kJournalErrors)),
      compactions(registry.GetCounter(rows::kCompactions)),
      compaction_errors(registry.GetCounter(rows::kCompactionErrors)),
      job_wait(registry.GetHistogram(rows::kJobWait)),
      step(registry.GetHistogram(rows::kStep)),
      commit(registry.GetHistogram(rows::kCommit)),
      families_(std::make_unique<Families>(registry)) {
  registry.AddProcessMetrics();
  // A rate over a counter needs its zero, so every outcome is there from the start.
  for (const JobOutcome outcome : {JobOutcome::kSucceeded, JobOutcome::kFailed,
                                   JobOutcome::kCancelled, JobOutcome::kTimedOut}) {
    registry.GetCounter(rows::kJobsFinished, {{"outcome", std::string(ToString(outcome))}});
  }
  for (const char* cause : {"failures", "operator"})
    registry.GetCounter(rows::kQuarantines, {{"cause", cause}});
}

Metrics::~Metrics() = default;

void Metrics::Observe(const Note& note) {
  if (const auto* waited = std::get_if<JobWaited>(&note)) {
    job_wait.Observe(std::chrono::duration<double>(waited->wait).count());
  } else if (std::holds_alternative<StaleRefused>(note)) {
    stale.Add();
  } else if (const auto* work = std::get_if<ForeignWork>(&note)) {
    foreign.Add(work->tasks + work->replicas);
  } else if (const auto* stall = std::get_if<Stalled>(&note)) {
    stalled.Add(std::chrono::duration<double>(stall->late).count());
  }
}

void Metrics::JobEnded(JobOutcome outcome, const std::string& tenant, Cost cost) {
  registry.GetCounter(rows::kJobsFinished, {{"outcome", std::string(ToString(outcome))}}).Add();
  Spent(tenant, cost);
}

void Metrics::Spent(const std::string& tenant, Cost cost) {
  if (cost.micros > 0) registry.GetCounter(rows::kSpend, {{"tenant", tenant}}).Add(cost.dollars());
}

void Metrics::Drew(const std::string& tenant, MilliJoule energy, bool modelled) {
  if (energy <= 0) return;
  registry
      .GetCounter(rows::kEnergy,
                  {{"tenant", tenant}, {"source", modelled ? "modelled" : "measured"}})
      .Add(static_cast<double>(energy) / 1e3);
}

void Metrics::Requeued(RequeueReason reason) {
  registry.GetCounter(rows::kJobsRequeued, {{"reason", std::string(ToString(reason))}}).Add();
}

void Metrics::Quarantined(const DeviceQuarantined& record) {
  registry
      .GetCounter(rows::kQuarantines, {{"cause", record.strikes == 0 ? "operator" : "failures"}})
      .Add();
}

void Metrics::Refused(const std::string& reason, int count) {
  registry.GetCounter(rows::kRefused, {{"reason", reason}}).Add(count);
}

void Metrics::HttpAnswered(const std::string& route, int status) {
  registry.GetCounter(rows::kHttpRequests, {{"route", route}, {"code", std::to_string(status)}})
      .Add();
}

void Metrics::Take(const Sample& sample) {
  const ClusterState& state = sample.core.state();
  Families& f = *families_;
  const JobCounts counts = sample.core.Counts();
  std::map<Labels, double> jobs;
  jobs[{{"phase", "pending"}}] = counts.pending;
  jobs[{{"phase", "running"}}] = counts.running;
  jobs[{{"phase", "stopping"}}] = counts.stopping;
  jobs[{{"phase", "finished"}}] = counts.finished;
  f.jobs.Publish(registry, jobs);
  TakeDevices(state);
  TakeQuarantines(state);
  TakeReplicas(sample.core);
  TakePower(sample.core);
  registry.GetGauge(rows::kTerm).Set(static_cast<double>(state.term().value()));
  registry.GetGauge(rows::kGateways).Set(static_cast<double>(sample.gateways));
  registry.GetGauge(rows::kHttpConnections).Set(static_cast<double>(sample.http_connections));
  registry.GetGauge(rows::kHttpAnswers).Set(static_cast<double>(sample.http_answers_bytes));
  for (const auto& [why, count] : sample.http_turned)
    mirror_.Follow(rows::kHttpTurned, {{"reason", why}}, count);
  registry.GetGauge(rows::kJournalWaiting).Set(static_cast<double>(sample.journal_waiting));
  registry.GetGauge(rows::kDegraded).Set(sample.degraded ? 1 : 0);
  registry.GetGauge(rows::kClockOffset)
      .Set(std::chrono::duration<double>(sample.clock_offset).count());
  registry.GetGauge(rows::kTokensStale).Set(sample.tokens_stale ? 1 : 0);
  if (sample.certificate.has_value()) {
    registry.GetGauge(rows::kCertificateExpires)
        .Set(static_cast<double>(sample.certificate->expires));
    registry.GetGauge(rows::kCertificateStale).Set(sample.certificate->stale ? 1 : 0);
  }
  registry.GetGauge(rows::kTokensExpiring).Set(static_cast<double>(sample.tokens_expiring));
  registry.GetGauge(rows::kTokensExpired).Set(static_cast<double>(sample.tokens_expired));
  if (sample.audit != nullptr) {
    mirror_.Follow(rows::kAuditWritten, {}, sample.audit->written);
    mirror_.Follow(rows::kAuditLeftOut, {}, sample.audit->left_out);
    mirror_.Follow(rows::kAuditLost, {}, sample.audit->lost);
    registry.GetGauge(rows::kAuditFailing).Set(sample.audit->failing ? 1 : 0);
  }
  int64_t rate = 0;
  for (const auto& [id, phase] : sample.census.placed()) {
    if (const JobState* job = state.FindJob(id)) rate += job->price.micros_per_hour;
  }
  for (const auto& [id, replica] : state.replicas()) rate += replica.price.micros_per_hour;
  registry.GetGauge(rows::kSpendRate).Set(PriceRate{rate}.dollars_per_hour());
  if (sample.zap != nullptr) {
    f.admitted.Follow(sample.zap->admitted);
    f.refused_unknown_key.Follow(sample.zap->refused_unknown_key);
    f.refused_role.Follow(sample.zap->refused_role);
    f.refused_no_list.Follow(sample.zap->refused_no_list);
    f.refused_mechanism.Follow(sample.zap->refused_mechanism);
  }
  f.mirror.Follow(rows::kLogLeftOut, {}, LogLinesLeftOut());
  if (sample.gate != nullptr) {
    for (const auto& [why, count] : sample.gate->strangers())
      f.mirror.Follow(rows::kStrangers, {{"why", why}}, count);
    for (const auto& [by, count] : sample.gate->throttled())
      f.mirror.Follow(rows::kThrottled, {{"by", by}}, count);
  }
  if (sample.link != nullptr) {
    f.refused_garbage.Follow(sample.link->dropped_garbage + sample.link->dropped_unreadable);
    f.refused_version.Follow(sample.link->dropped_version);
    f.refused_revoked.Follow(sample.link->dropped_revoked);
    f.refused_handshake.Follow(sample.link->handshakes_failed);
    f.accepted.Follow(sample.link->accepted);
    f.disconnected.Follow(sample.link->disconnected);
    f.envelopes_in.Follow(sample.link->envelopes_in);
    f.envelopes_out.Follow(sample.link->envelopes_out);
    f.bytes_in.Follow(sample.link->bytes_in);
    f.bytes_out.Follow(sample.link->bytes_out);
    f.unroutable.Follow(sample.link->dropped_unroutable);
    f.mirror.Follow(rows::kRefused, {{"reason", "too_many"}}, sample.link->dropped_too_many);
    f.mirror.Follow(rows::kRefused, {{"reason", "too_long"}}, sample.link->too_long);
    f.mirror.Follow(rows::kRefused, {{"reason", "connections"}}, sample.link->connections_over);
  }
}

void Metrics::TakeDevices(const ClusterState& state) {
  // Tens of thousands of devices, a few dozen kinds of them: counted by views first.
  using Key = std::tuple<DeviceKind, std::string_view, DeviceState, bool>;
  absl::flat_hash_map<Key, std::pair<uint32_t, uint32_t>> counts;  // there, leased
  std::map<Labels, double> nodes{
      {{{"state", "alive"}}, 0}, {{{"state", "draining"}}, 0}, {{{"state", "lost"}}, 0}};
  MilliCpu cpus = 0, cpus_free = 0;
  for (const NodeState& node : state.nodes()) {
    nodes[{{"state", !node.alive ? "lost" : node.draining ? "draining" : "alive"}}] += 1;
    if (!node.alive) continue;
    cpus += node.info->cpus;
    cpus_free += node.cpus_free;
    for (uint32_t i = 0; i < node.info->devices.size(); ++i) {
      const Device& device = node.info->devices[i];
      auto& [there, leased] = counts[{device.kind, device.model, device.state, device.emulated}];
      ++there;
      if (node.accelerators.Has(i) && !node.devices_free.Has(i)) ++leased;
    }
  }
  std::map<Labels, double> devices, leased;
  for (const auto& [key, count] : counts) {
    const auto& [kind, model, device_state, emulated] = key;
    Labels labels{{"kind", std::string(ToString(kind))},
                  {"model", std::string(model)},
                  {"emulated", emulated ? "true" : "false"}};
    if (kind != DeviceKind::kCpu) leased[labels] += count.second;
    labels["state"] = std::string(ToString(device_state));
    devices[labels] += count.first;
  }
  families_->nodes.Publish(registry, nodes);
  families_->devices.Publish(registry, devices);
  families_->leased.Publish(registry, leased);
  registry.GetGauge(rows::kCpusTotal).Set(static_cast<double>(cpus) / 1000);
  registry.GetGauge(rows::kCpusLeased).Set(static_cast<double>(cpus - cpus_free) / 1000);
}

// Also of nodes that are lost: they come back with them.
void Metrics::TakeQuarantines(const ClusterState& state) {
  std::map<Labels, double> devices, nodes;
  for (const char* word : {"quarantined", "probation"}) {
    devices[{{"state", word}}] = 0;
    nodes[{{"state", word}}] = 0;
  }
  for (const NodeState& node : state.nodes()) {
    for (const auto& [device, quarantine] : node.quarantines)
      (device.empty() ? nodes
                      : devices)[{{"state", quarantine.probation ? "probation" : "quarantined"}}] +=
          1;
  }
  families_->devices_quarantined.Publish(registry, devices);
  families_->nodes_quarantined.Publish(registry, nodes);
}

void Metrics::TakePower(const Core& core) {
  const PowerBook& book = core.power();
  std::map<Labels, double> leased, caps;
  const auto add = [&](const char* scope, const std::string& name, const PowerLine& line) {
    const Labels labels{{"scope", scope}, {"name", name}};
    leased[labels] = static_cast<double>(line.leased) / 1e3;
    if (line.cap) caps[labels] = static_cast<double>(*line.cap) / 1e3;
  };
  add("cluster", "", book.cluster());
  for (const auto& [name, id] : book.racks()) {
    if (!book.nodes_of(id).empty()) add("rack", name, book.rack(id));
  }
  families_->power_leased.Publish(registry, leased);
  families_->power_cap.Publish(registry, caps);
  const PowerSurvey survey(core);
  registry.GetGauge(rows::kPowerMeasured).Set(survey.cluster.watts);
  registry.GetGauge(rows::kPowerUnknown).Set(survey.cluster.unknown);
}

void Metrics::TakeReplicas(const Core& core) {
  std::map<Labels, double> replicas;
  for (const auto& [name, deployment] : core.state().deployments()) {
    // None ready is worth seeing.
    replicas[{{"deployment", name}, {"phase", "ready"}, {"generation", "current"}}] += 0;
  }
  for (const auto& [id, replica] : core.state().replicas()) {
    const bool current =
        core.state().deployments().at(replica.deployment).generation == replica.generation;
    replicas[{{"deployment", replica.deployment},
              {"phase", std::string(ToString(core.PhaseOf(replica)))},
              {"generation", current ? "current" : "older"}}] += 1;
  }
  families_->replicas.Publish(registry, replicas);
}

}  // namespace allot::scheduler
