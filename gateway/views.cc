#include "gateway/views.h"

#include <chrono>

#include "common/json/json.h"

namespace allot::gateway {
namespace {

double Seconds(Duration time) { return static_cast<double>(time.count()) / 1e6; }

json::object ToJson(const Objective& objective) {
  json::object out;
  if (objective.ttft.has_value()) out["ttft_seconds"] = Seconds(*objective.ttft);
  if (objective.per_token.has_value()) out["per_token_seconds"] = Seconds(*objective.per_token);
  if (objective.end_to_end.has_value()) out["end_to_end_seconds"] = Seconds(*objective.end_to_end);
  if (!out.empty()) out["percentile"] = objective.percentile;
  return out;
}

json::object ToJson(const router::CandidateView& view) {
  json::object out;
  out["replica"] = ToString(view.replica);
  // Absent is unknown: the replica left so long ago that its name is forgotten.
  if (!view.node.empty()) {
    out["node"] = view.node;
    out["device_model"] = view.device_model;
    out["kind"] = ToString(view.kind);
    out["emulated"] = view.emulated;
  }
  out["price_usd_per_hour"] = view.price.dollars_per_hour();
  out["in_flight"] = view.in_flight;
  out["concurrency"] = view.concurrency;
  out["predicted_seconds"] = Seconds(view.predicted);
  out["samples"] = view.samples;
  out["predicted_cost_usd"] = static_cast<double>(view.predicted_cost_nanos) / 1e9;
  if (view.power > 0) {
    out["power_watts"] = static_cast<double>(view.power) / 1e3;
    out["predicted_energy_joules"] = static_cast<double>(view.predicted_energy) / 1e3;
  }
  out["within_objective"] = view.within_objective;
  out["verdict"] = view.verdict;
  if (!view.out_why.empty()) {
    out["out_why"] = view.out_why;
    out["out_seconds"] = Seconds(view.out_for);
  }
  return out;
}

json::array ToJson(const std::vector<router::CandidateView>& views) {
  json::array out;
  for (const router::CandidateView& view : views) out.push_back(ToJson(view));
  return out;
}

bool Sees(const auth::Principal& asker, auth::Kind kind, const RouteDeployment& deployment) {
  return auth::Sees(asker, {kind, deployment.tenant, "", deployment.name});
}

// A model serves everybody; which deployment it is of, and whose, is for those who see that.
json::object ModelOf(const RouteDeployment& deployment, const auth::Principal& asker) {
  json::object out = {{"id", deployment.model},
                      {"object", "model"},
                      {"created", ToMicros(deployment.created) / 1'000'000},
                      {"owned_by", "allotrope"}};
  if (!Sees(asker, auth::Kind::kDeployment, deployment)) return out;
  if (!deployment.tenant.empty()) out["owned_by"] = deployment.tenant;
  out["deployment"] = deployment.name;
  return out;
}

}  // namespace

std::string Rfc3339(Time time) {
  const int64_t micros = ToMicros(time);
  const std::chrono::sys_seconds seconds{std::chrono::seconds(micros / 1'000'000)};
  const std::chrono::sys_days day = std::chrono::floor<std::chrono::days>(seconds);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(seconds - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", int(date.year()),
                     unsigned(date.month()), unsigned(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count(), micros % 1'000'000);
}

const RouteDeployment* FindDeployment(const router::Core& core, std::string_view name) {
  for (const RouteDeployment& deployment : core.routes().deployments)
    if (deployment.name == name) return &deployment;
  return nullptr;
}

Status MaySee(const router::Core& core, const auth::Principal& asker,
              const router::RequestExplanation& explained) {
  // Of a deployment that is gone nobody knows any more whose it was.
  constexpr std::string_view kNobodys = "-";
  const RouteDeployment* const deployment = FindDeployment(core, explained.deployment);
  std::string_view owner = deployment != nullptr ? deployment->tenant : kNobodys;
  if (explained.tenant == asker.tenant) owner = explained.tenant;  // It asked for that itself.
  return auth::Decide(asker, auth::Action::kSee,
                      {auth::Kind::kRequest, owner, "such request", explained.deployment});
}

std::string ModelsJson(const router::Core& core, const auth::Principal& asker) {
  json::array models;
  for (const RouteDeployment& deployment : core.routes().deployments)
    if (core.ShadowedBy(deployment.name).empty() && Sees(asker, auth::Kind::kModel, deployment))
      models.push_back(ModelOf(deployment, asker));
  return json::serialize(json::object{{"object", "list"}, {"data", std::move(models)}});
}

std::optional<std::string> ModelJson(const router::Core& core, const std::string& model,
                                     const auth::Principal& asker) {
  const RouteDeployment* const deployment = FindDeployment(core, core.Serving(model));
  if (deployment == nullptr || !Sees(asker, auth::Kind::kModel, *deployment)) return std::nullopt;
  return json::serialize(ModelOf(*deployment, asker));
}

std::string ExplanationJson(const router::RequestExplanation& explained) {
  json::object request;
  request["id"] = ToString(explained.id);
  request["deployment"] = explained.deployment;
  request["policy"] = explained.policy;
  request["arrived"] = Rfc3339(explained.arrived);
  request["outcome"] = explained.outcome;
  if (explained.reason.has_value()) request["reason"] = ToString(*explained.reason);
  request["objective"] = ToJson(explained.objective);
  if (explained.cost.has_value()) request["cost_usd"] = explained.cost->dollars();
  if (explained.energy.value_or(0) > 0) {
    request["energy_joules"] = static_cast<double>(*explained.energy) / 1e3;
    request["energy_source"] = "modelled";
  }
  request["candidates"] = ToJson(explained.candidates);
  return json::serialize(json::object{{"version", 1}, {"request", std::move(request)}});
}

std::string DeploymentsJson(const router::Core& core, const auth::Principal& asker) {
  json::array deployments;
  for (const RouteDeployment& deployment : core.routes().deployments) {
    if (!Sees(asker, auth::Kind::kDeployment, deployment)) continue;
    json::object out = {{"name", deployment.name},
                        {"model", deployment.model},
                        {"queued", core.Queued(deployment.name)},
                        {"in_flight", core.RequestsInFlight(deployment.name)},
                        {"predictions", ToJson(core.Predictions(deployment.name))}};
    if (const std::string by = core.ShadowedBy(deployment.name); !by.empty()) {
      const RouteDeployment* const other = FindDeployment(core, by);
      const bool seen = other != nullptr && Sees(asker, auth::Kind::kDeployment, *other);
      out["shadowed_by"] = seen ? by : "another tenant's deployment";
    }
    deployments.push_back(std::move(out));
  }
  return json::serialize(json::object{{"version", 1}, {"deployments", std::move(deployments)}});
}

}  // namespace allot::gateway
