#include "gateway/metrics.h"

#include <algorithm>

#include "common/base/logging.h"

namespace allot::gateway {
namespace {

using metrics::Kind;
using metrics::Labels;
using metrics::Row;
using Outcome = router::RequestEnded::Outcome;

double Seconds(Duration time) { return static_cast<double>(time.count()) / 1e6; }

// Answers of large models take minutes.
std::vector<double> LongBuckets() {
  std::vector<double> buckets = metrics::LatencyBuckets();
  for (const double seconds : {120, 300, 600, 1200, 3600}) buckets.push_back(seconds);
  return buckets;
}

constexpr size_t kTenantsMax = 100;
constexpr char kOther[] = "other";

const Row kRequests{"allotrope_gateway_requests_total",
                    "Requests that ended, by deployment, device and outcome."};
const Row kSeconds{"allotrope_gateway_request_seconds",
                   "Time from arrival to the end of the answer, of answered requests.",
                   Kind::kHistogram, LongBuckets()};
const Row kTtft{"allotrope_gateway_ttft_seconds",
                "Time from arrival to the first byte of the answer.", Kind::kHistogram,
                LongBuckets()};
const Row kCost{"allotrope_gateway_cost_usd_total",
                "Price of the leased devices over the time requests held their share of them."};
const Row kEnergy{"allotrope_gateway_energy_joules_total",
                  "What leased devices draw at most over the time requests held their share of "
                  "them: modelled, not measured. 0 where the power is unknown."};
const Row kObjective{"allotrope_gateway_objective_total",
                     "Requests that ended, by whether the objective of their deployment was kept."};
const Row kDecisions{"allotrope_gateway_route_decisions_total",
                     "Requests forwarded to a replica, by the reason it was chosen."};
const Row kDecisionSeconds{"allotrope_gateway_decision_seconds",
                           "Time the router took to place an arriving request.",
                           Kind::kHistogram,
                           {1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 1e-2}};
const Row kQueue{"allotrope_gateway_queue_length", "Requests that wait for a replica.",
                 Kind::kGauge};
const Row kInFlight{"allotrope_gateway_requests_in_flight", "Requests at a replica.", Kind::kGauge};
const Row kPredicted{"allotrope_gateway_predicted_seconds",
                     "End to end at the objective's percentile, as predicted for the least loaded "
                     "replica of the device model.",
                     Kind::kGauge};
const Row kNodes{"allotrope_gateway_nodes_linked", "Nodes whose agents are linked.", Kind::kGauge};
const Row kUnreached{"allotrope_gateway_nodes_unreached",
                     "Nodes that have replicas and are not linked to this gateway.", Kind::kGauge};
const Row kConnections{"allotrope_gateway_http_connections", "Open HTTP connections.",
                       Kind::kGauge};
const Row kScheduler{"allotrope_gateway_scheduler_connected",
                     "1 while the link to the scheduler is up.", Kind::kGauge};
const Row kRoutes{"allotrope_gateway_routes_version", "Version of the route table in use.",
                  Kind::kGauge};
const Row kTokensStale{
    "allotrope_gateway_tokens_stale",
    "1 while the tokens file cannot be used and the tokens read before stay valid.", Kind::kGauge};
const Row kCertificateExpires{
    "allotrope_gateway_certificate_expires_timestamp_seconds",
    "When the certificate that clients are shown runs out; absent where plain HTTP is spoken.",
    Kind::kGauge};
const Row kCertificateStale{"allotrope_gateway_certificate_stale",
                            "1 while the files of the certificate have changed and cannot be used, "
                            "and the one read before is shown.",
                            Kind::kGauge};
const Row kAuditWritten{"allotrope_gateway_audit_written_total", "Lines of the audit log."};
const Row kAuditLeftOut{"allotrope_gateway_audit_left_out_total",
                        "Refusals without a line: beyond the budget of their who."};
const Row kAuditLost{"allotrope_gateway_audit_lost_total",
                     "Lines of the audit log that the disk did not take."};
const Row kAuditFailing{"allotrope_gateway_audit_failing",
                        "1 while the audit log cannot be written.", Kind::kGauge};
const Row kTokens{"allotrope_gateway_tokens_total",
                  "Tokens of answered requests by what answers report (usage); output tokens of a "
                  "stream that reports none are its events."};
const Row kTenantRequests{"allotrope_gateway_tenant_requests_total",
                          "Requests that ended, by tenant and outcome."};
const Row kTenantCost{"allotrope_gateway_tenant_cost_usd_total",
                      "As cost_usd_total, by tenant of the request."};
const Row kAnswers{"allotrope_gateway_upstream_answers_total",
                   "Answers of model servers, by deployment and status."};
const Row kRetries{
    "allotrope_gateway_retries_total",
    "Requests tried on another replica, by why: failed (no answer), unlinked, error (500, 502), "
    "refused (429, 503)."};
const Row kPutOut{"allotrope_gateway_replica_ejections_total",
                  "Times a replica was put out of routing for a while, by cause."};
const Row kOut{"allotrope_gateway_replicas_out",
               "Replicas that are out of routing, or on trial after that.", Kind::kGauge};
const Row kShadowed{"allotrope_gateway_deployments_shadowed",
                    "1 while an older deployment serves this one's model.", Kind::kGauge};
const Row kRepeats{"allotrope_gateway_repeated_requests_total",
                   "Requests that are the same, byte for byte, as one whose client left before its "
                   "answer: clients that give up too early generate everything anew."};
const Row kSlow{"allotrope_gateway_slow_clients_total",
                "Streams cut off because the client did not read them."};
const Row kRefused{"allotrope_gateway_http_refused_total",
                   "HTTP requests refused before they reached the router, by why."};
const Row kTurned{"allotrope_gateway_http_turned_away_total",
                  "Connections, requests and answers that a budget of the HTTP server ended, by "
                  "which (docs/limits.md)."};
const Row kAnswersBytes{"allotrope_gateway_answers_bytes",
                        "Answers on their way: held, granted to agents, not taken by clients.",
                        Kind::kGauge};
const Row kDrops{"allotrope_gateway_link_dropped_total",
                 "Messages on ZeroMQ links that were dropped, by why."};
const Row kStrangers{"allotrope_gateway_link_strangers_total",
                     "Connections that never said a word as a peer, by what ended them."};
const Row kThrottled{"allotrope_gateway_link_throttled_total",
                     "Times that a connection was not read for a while, by which budget."};
const Row kLogLeftOut{"allotrope_gateway_log_lines_left_out_total",
                      "Lines of log over their budget."};
const Row kZap{"allotrope_gateway_zap_total", "ZeroMQ connections admitted and refused."};
const Row kGaps{"allotrope_gateway_link_gaps_total",
                "Envelopes of agents that were lost on the way."};
const Row kReconnects{"allotrope_gateway_scheduler_reconnects_total",
                      "Times the scheduler was dialled anew."};
const Row kEnvelopes{"allotrope_gateway_link_envelopes_total",
                     "Envelopes on the links of agents, by direction."};
const Row kBytes{"allotrope_gateway_link_bytes_total",
                 "Bytes on the links of agents, by direction."};

const char* NameOf(Outcome outcome) {
  switch (outcome) {
    case Outcome::kOk:
      return "ok";
    case Outcome::kClientError:
      return "client_error";
    case Outcome::kUpstreamError:
      return "upstream_error";
    case Outcome::kRejected:
      return "rejected";
    case Outcome::kCancelled:
      return "cancelled";
    case Outcome::kFailed:
      return "failed";
  }
  return "unknown";
}

const char* WhyRefused(int status) {
  switch (status) {
    case 401:
    case 403:
      return "unauthorized";
    case 404:
      return "not_found";
    case 405:
      return "method";
    case 408:
      return "timeout";
    case 413:
      return "body_too_large";
    case 415:
      return "media_type";
    case 417:
      return "expectation";
    case 431:
      return "head_too_large";
    default:
      return status >= 500 ? "overload" : "bad_request";
  }
}

std::string OrNone(const std::string& text) { return text.empty() ? "none" : text; }

}  // namespace

Metrics::Metrics()
    : decision_(registry_.GetHistogram(kDecisionSeconds)),
      queue_(kQueue),
      in_flight_(kInFlight),
      predicted_(kPredicted),
      out_(kOut),
      shadowed_(kShadowed) {
  registry_.AddProcessMetrics();
  registry_.GetCounter(kSlow);
  for (const int status : {400, 401, 404, 405, 408, 413, 415, 417, 431, 503})
    registry_.GetCounter(kRefused, {{"reason", WhyRefused(status)}});
}

Metrics::~Metrics() = default;

void Metrics::Decided(Duration took) { decision_.Observe(Seconds(took)); }
void Metrics::SlowClient() { registry_.GetCounter(kSlow).Add(); }
void Metrics::Refused(int status) {
  registry_.GetCounter(kRefused, {{"reason", WhyRefused(status)}}).Add();
}

void Metrics::PutOut(const router::ReplicaPutOut& out) {
  registry_
      .GetCounter(kPutOut,
                  {{"deployment", out.deployment}, {"cause", std::string(ToString(out.cause))}})
      .Add();
}

void Metrics::Retried(const router::TriedElsewhere& retry) {
  registry_
      .GetCounter(kRetries, {{"deployment", retry.deployment}, {"why", std::string(retry.why)}})
      .Add();
}

void Metrics::Repeated(const std::string& deployment) {
  registry_.GetCounter(kRepeats, {{"deployment", OrNone(deployment)}}).Add();
}

Metrics::TenantHandles& Metrics::HandlesOfTenant(const std::string& tenant) {
  if (const auto known = tenants_.find(tenant); known != tenants_.end()) return known->second;
  const bool named = tenants_.size() < kTenantsMax;
  TenantHandles& handles = tenants_[named ? tenant : kOther];
  if (handles.cost == nullptr) {
    handles.label = named ? tenant : kOther;
    handles.cost = &registry_.GetCounter(kTenantCost, {{"tenant", handles.label}});
  }
  return handles;
}

void Metrics::EndedOfTenant(const router::RequestEnded& ended) {
  TenantHandles& handles = HandlesOfTenant(ended.tenant);
  metrics::Counter*& counter = handles.outcomes[ended.outcome];
  if (counter == nullptr)
    counter = &registry_.GetCounter(
        kTenantRequests, {{"tenant", handles.label}, {"outcome", NameOf(ended.outcome)}});
  counter->Add();
  if (ended.cost.micros > 0) handles.cost->Add(ended.cost.dollars());
  if (ended.outcome != Outcome::kOk) return;
  auto& [prompt, output] = handles.tokens[ended.deployment];
  if (prompt == nullptr) {
    const auto of = [&](const char* kind) {
      return &registry_.GetCounter(
          kTokens, {{"deployment", ended.deployment}, {"tenant", handles.label}, {"kind", kind}});
    };
    prompt = of("prompt");
    output = of("output");
  }
  prompt->Add(ended.prompt_tokens);
  output->Add(ended.output_tokens);
}

void Metrics::Routed(const router::Forward& forward) {
  metrics::Counter*& counter = decisions_[{forward.deployment, forward.reason}];
  if (counter == nullptr)
    counter = &registry_.GetCounter(
        kDecisions,
        {{"deployment", forward.deployment}, {"reason", std::string(ToString(forward.reason))}});
  counter->Add();
}

Metrics::Handles& Metrics::HandlesOf(const router::RequestEnded& ended) {
  const auto [at, fresh] =
      handles_.try_emplace({ended.deployment, ended.device_model, ended.emulated});
  Handles& handles = at->second;
  if (!fresh) return handles;
  const bool placed = !ended.device_model.empty();
  handles.labels = {{"deployment", OrNone(ended.deployment)},
                    {"device_model", OrNone(ended.device_model)},
                    {"device_kind", placed ? std::string(ToString(ended.kind)) : "none"},
                    {"emulated", ended.emulated ? "true" : "false"}};
  handles.cost = &registry_.GetCounter(kCost, handles.labels);
  handles.energy = &registry_.GetCounter(kEnergy, handles.labels);
  const Labels deployment = {{"deployment", OrNone(ended.deployment)}};
  const auto met = [&](const char* answer) {
    Labels labels = deployment;
    labels["met"] = answer;
    return &registry_.GetCounter(kObjective, labels);
  };
  handles.met = met("true");
  handles.missed = met("false");
  if (placed) {
    handles.seconds = &registry_.GetHistogram(kSeconds, handles.labels);
    handles.ttft = &registry_.GetHistogram(kTtft, handles.labels);
  }
  return handles;
}

void Metrics::Ended(const router::RequestEnded& ended) {
  Handles& handles = HandlesOf(ended);
  metrics::Counter*& counter = handles.outcomes[ended.outcome];
  if (counter == nullptr) {
    Labels labels = handles.labels;
    labels["outcome"] = NameOf(ended.outcome);
    counter = &registry_.GetCounter(kRequests, labels);
  }
  counter->Add();
  EndedOfTenant(ended);
  if (ended.http_status != 0) {
    metrics::Counter*& answers = answers_[{ended.deployment, ended.http_status}];
    if (answers == nullptr)
      answers = &registry_.GetCounter(kAnswers, {{"deployment", ended.deployment},
                                                 {"status", std::to_string(ended.http_status)}});
    answers->Add();
  }
  if (ended.cost.micros > 0) handles.cost->Add(ended.cost.dollars());
  if (ended.energy > 0) handles.energy->Add(static_cast<double>(ended.energy) / 1e3);
  if (ended.deployment.empty()) return;  // Nothing was promised.
  // A client that left before it was late was neither served nor let down, nor was one that asked
  // for what it could not have.
  const bool judged = ended.outcome != Outcome::kClientError &&
                      (ended.outcome != Outcome::kCancelled || !ended.within_objective);
  if (judged) (ended.within_objective ? handles.met : handles.missed)->Add();
  if (handles.seconds == nullptr || ended.outcome != Outcome::kOk) return;
  handles.seconds->Observe(Seconds(ended.end_to_end));
  if (ended.ttft > Duration::zero()) handles.ttft->Observe(Seconds(ended.ttft));
}

std::string Metrics::Text(const router::Core& core, const Sample& sample) {
  std::map<Labels, double> queue, in_flight, predicted, out, shadowed;
  for (const RouteDeployment& deployment : core.routes().deployments) {
    const Labels labels = {{"deployment", deployment.name}};
    queue[labels] = core.Queued(deployment.name);
    in_flight[labels] = core.RequestsInFlight(deployment.name);
    if (!core.ShadowedBy(deployment.name).empty()) shadowed[labels] = 1;
    double& out_of_it = out[labels];
    for (const router::CandidateView& view : core.Predictions(deployment.name)) {
      if (!view.out_why.empty()) ++out_of_it;
      if (view.samples == 0) continue;  // A guess is no measurement.
      const Labels of_model = {{"deployment", deployment.name},
                               {"device_model", view.device_model},
                               {"device_kind", std::string(ToString(view.kind))}};
      const auto [at, fresh] = predicted.try_emplace(of_model, Seconds(view.predicted));
      if (!fresh) at->second = std::min(at->second, Seconds(view.predicted));
    }
  }
  queue_.Publish(registry_, queue);
  in_flight_.Publish(registry_, in_flight);
  predicted_.Publish(registry_, predicted);
  out_.Publish(registry_, out);
  shadowed_.Publish(registry_, shadowed);
  registry_.GetGauge(kNodes).Set(static_cast<double>(sample.nodes_linked));
  registry_.GetGauge(kUnreached).Set(static_cast<double>(sample.nodes_unreached));
  registry_.GetGauge(kConnections).Set(static_cast<double>(sample.http_connections));
  registry_.GetGauge(kAnswersBytes).Set(static_cast<double>(sample.answers_bytes));
  for (const auto& [why, count] : sample.http_turned)
    mirror_.Follow(kTurned, {{"reason", why}}, count);
  registry_.GetGauge(kScheduler).Set(sample.scheduler_connected ? 1 : 0);
  registry_.GetGauge(kTokensStale).Set(sample.tokens_stale ? 1 : 0);
  if (sample.certificate.has_value()) {
    registry_.GetGauge(kCertificateExpires).Set(static_cast<double>(sample.certificate->expires));
    registry_.GetGauge(kCertificateStale).Set(sample.certificate->stale ? 1 : 0);
  }
  if (sample.audit != nullptr) {
    mirror_.Follow(kAuditWritten, {}, sample.audit->written);
    mirror_.Follow(kAuditLeftOut, {}, sample.audit->left_out);
    mirror_.Follow(kAuditLost, {}, sample.audit->lost);
    registry_.GetGauge(kAuditFailing).Set(sample.audit->failing ? 1 : 0);
  }
  registry_.GetGauge(kRoutes).Set(static_cast<double>(core.routes().version));
  for (const auto& [why, count] : sample.link_drops)
    mirror_.Follow(kDrops, {{"reason", why}}, count);
  for (const auto& [why, count] : sample.strangers)
    mirror_.Follow(kStrangers, {{"why", why}}, count);
  for (const auto& [by, count] : sample.throttled) mirror_.Follow(kThrottled, {{"by", by}}, count);
  mirror_.Follow(kLogLeftOut, {}, LogLinesLeftOut());
  for (const auto& [what, count] : sample.zap) mirror_.Follow(kZap, {{"outcome", what}}, count);
  mirror_.Follow(kEnvelopes, {{"direction", "in"}}, sample.envelopes_in);
  mirror_.Follow(kEnvelopes, {{"direction", "out"}}, sample.envelopes_out);
  mirror_.Follow(kBytes, {{"direction", "in"}}, sample.bytes_in);
  mirror_.Follow(kBytes, {{"direction", "out"}}, sample.bytes_out);
  mirror_.Follow(kGaps, {}, sample.gaps);
  mirror_.Follow(kReconnects, {}, sample.scheduler_reconnects);
  return registry_.Text();
}

}  // namespace allot::gateway
