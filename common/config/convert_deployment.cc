#include <cmath>

#include "common/config/checks.h"

namespace allot::config {
namespace {

Status TakeHealth(const HealthCheck& from, allot::HealthCheck* to) {
  if (!from.path().empty()) to->path = from.path();
  if (!to->path.starts_with('/') || to->path.find_first_of(" \t\r\n") != std::string::npos) {
    return InvalidArgument("health.path is \"{}\"; give a path like /health", to->path);
  }
  RETURN_IF_ERROR(TakeDuration("health.interval", from.interval(), &to->interval));
  RETURN_IF_ERROR(TakeDuration("health.timeout", from.timeout(), &to->timeout));
  RETURN_IF_ERROR(TakeDuration("health.start_timeout", from.start_timeout(), &to->start_timeout));
  RETURN_IF_ERROR(TakeDuration("health.restart_after", from.restart_after(), &to->restart_after));
  if (from.failures_max() != 0) to->failures_max = from.failures_max();
  return absl::OkStatus();
}

Status TakeObjective(const Objective& from, allot::Objective* to) {
  const auto take = [](std::string_view path, const std::string& text,
                       std::optional<Duration>* out) -> Status {
    if (text.empty()) return absl::OkStatus();
    return TakeDuration(path, text, &out->emplace());
  };
  RETURN_IF_ERROR(take("objective.ttft", from.ttft(), &to->ttft));
  RETURN_IF_ERROR(take("objective.per_token", from.per_token(), &to->per_token));
  RETURN_IF_ERROR(take("objective.end_to_end", from.end_to_end(), &to->end_to_end));
  if (from.percentile() != 0) to->percentile = from.percentile();
  if (to->ttft && to->end_to_end && *to->ttft > *to->end_to_end) {
    return InvalidArgument("objective.ttft ({}) is longer than objective.end_to_end ({})",
                           FormatDuration(*to->ttft), FormatDuration(*to->end_to_end));
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<DeploymentSpec> ToDeploymentSpec(const Deployment& deployment) {
  constexpr uint64_t kReplicasMax = 10'000;
  DeploymentSpec spec;
  spec.name = deployment.name();
  if (!deployment.tenant().empty()) spec.tenant = deployment.tenant();
  spec.model = deployment.model().empty() ? deployment.name() : deployment.model();
  spec.command = {deployment.command().begin(), deployment.command().end()};
  spec.environment = {deployment.environment().begin(), deployment.environment().end()};
  spec.work_dir = deployment.work_dir();
  RETURN_IF_ERROR(TakeResources(deployment.resources(), &spec.resources));
  RETURN_IF_ERROR(TakeHealth(deployment.health(), &spec.health));
  RETURN_IF_ERROR(TakeObjective(deployment.objective(), &spec.objective));

  uint64_t replicas = 0;
  for (int i = 0; i < deployment.replicas_size(); ++i) {
    const config::ReplicaGroup& from = deployment.replicas(i);
    allot::ReplicaGroup& to = spec.groups.emplace_back();
    ASSIGN_OR_RETURN(to.device,
                     TakeDeviceRequest(fmt::format("replicas[{}].device", i), from.device()));
    if (from.has_count()) to.count = from.count();
    if (from.concurrency() != 0) to.concurrency = from.concurrency();
    replicas += to.count;
  }
  if (spec.groups.empty()) {
    return InvalidArgument("replicas is missing; give at least one group with its device");
  }
  if (replicas > kReplicasMax) {
    return InvalidArgument("replicas: {} together; a deployment has {} at most", replicas,
                           kReplicasMax);
  }
  if (deployment.has_price_cap_usd_per_hour()) {
    spec.price_cap = PriceRate{Cost::FromDollars(deployment.price_cap_usd_per_hour()).micros};
  }
  if (deployment.queue().has_max()) spec.queue_max = deployment.queue().max();
  RETURN_IF_ERROR(TakeDuration("queue.timeout", deployment.queue().timeout(), &spec.queue_timeout));
  RETURN_IF_ERROR(TakeDuration("grace", deployment.grace(), &spec.grace));
  RETURN_IF_ERROR(TakeDuration("drain", deployment.drain(), &spec.drain));

  RETURN_IF_ERROR(CheckCommand(spec.command));
  RETURN_IF_ERROR(CheckEnvironment(spec.environment, spec.command));
  RETURN_IF_ERROR(CheckAbsolute("work_dir", spec.work_dir));
  return spec;
}

}  // namespace allot::config
