// How requests end: what they are charged, what is said of them, and what is written down.
#include <utility>

#include "scheduler/router/core_impl.h"

namespace allot::router {

void Core::Impl::Release(uint32_t place) {
  Request& request = requests_.at(place);
  Replica& replica = *request.replica;
  const Duration held = now_ - request.forwarded;
  replica.group->cost_nanos_left += HeldCostNanos(replica.facts, held);
  replica.group->energy_nanos_left += HeldEnergyNanos(replica.facts, held);
  requests_.at(replica.flights.back()).flight = request.flight;
  replica.flights[request.flight] = replica.flights.back();
  replica.flights.pop_back();
  fleet_.SetInFlight(replica);
  --request.deployment->in_flight;
  if (request.trial) replica.conduct.AbandonTrial();
  request.replica = nullptr;
}

void Core::Impl::EndDeadline(uint32_t place) {
  EndRejected(place, RejectReason::kDeadline, {},
              *requests_.at(place).deadline <= now_
                  ? "the deadline has passed"
                  : "no replica has been seen to answer within the deadline",
              /*again=*/false);
}

void Core::Impl::EndRejected(uint32_t place, RejectReason why, Duration retry_after,
                             std::string message, bool again) {
  Request& request = requests_.at(place);
  out_->commands.push_back(Reject{request.id, why, retry_after, std::move(message), again});
  const bool failed = why == RejectReason::kReplicaFailed;
  if (!failed && request.replica == nullptr) {
    if (request.deployment != nullptr) candidates_.Build(now_, *request.deployment, &request);
    Write(request, DecisionOutcome::kRejected, kNobody, std::nullopt);
  }
  if (Decision* decision = log_.Of(request.id); decision != nullptr) {
    decision->outcome = DecisionOutcome::kRejected;
    decision->rejected = why;
  }
  End(place, failed ? Outcome::kFailed : Outcome::kRejected, 0);
}

void Core::Impl::End(uint32_t place, Outcome outcome, uint32_t output_tokens) {
  Request& request = requests_.at(place);
  RequestEnded ended;
  ended.id = request.id;
  ended.outcome = outcome;
  ended.tenant = request.tenant;
  ended.http_status = request.http_status;
  if (ended.http_status != 0) ended.prompt_tokens = request.prompt_tokens;
  ended.output_tokens = output_tokens;
  ended.end_to_end = now_ - request.arrived;
  ended.queued = (request.tries == 0 ? now_ : request.forwarded) - request.arrived;
  if (request.first_byte.has_value()) ended.ttft = *request.first_byte - request.arrived;
  if (request.deployment != nullptr) {
    ended.deployment = request.deployment->name;
    ended.within_objective = KeptObjective(request, ended, output_tokens);
  } else {
    ended.within_objective = false;
  }
  if (request.replica != nullptr) Release(place);
  if (DeviceGroup* group = request.group; group != nullptr) {
    ended.device_model = group->device_model;
    ended.kind = group->kind;
    ended.emulated = group->emulated;
    ended.cost.micros = group->cost_nanos_left / 1000;
    group->cost_nanos_left %= 1000;
    ended.energy = group->energy_nanos_left / kNanosPerMilliJoule;
    group->energy_nanos_left %= kNanosPerMilliJoule;
    if (Decision* decision = log_.Find(request.id); decision != nullptr) {
      decision->cost = ended.cost;
      decision->energy = ended.energy;
    }
  }
  LeaveQueue(request);
  requests_.Remove(place);
  out_->ended.push_back(std::move(ended));
}

bool Core::Impl::KeptObjective(const Request& request, const RequestEnded& ended,
                               uint32_t output_tokens) {
  if (ended.outcome != Outcome::kOk && ended.outcome != Outcome::kCancelled &&
      ended.outcome != Outcome::kClientError)
    return false;
  const Objective& objective = request.deployment->objective;
  if (objective.end_to_end.has_value() && ended.end_to_end > *objective.end_to_end) return false;
  if (!request.started()) return true;
  if (objective.ttft.has_value() && ended.ttft > *objective.ttft) return false;
  return !objective.per_token.has_value() || output_tokens < 2 ||
         ended.end_to_end - ended.ttft <= *objective.per_token * (output_tokens - 1);
}

void Core::Impl::Write(const Request& request, DecisionOutcome outcome, int64_t chosen,
                       std::optional<RouteReason> reason) {
  Decision* decision = log_.Of(request.id);
  if (decision == nullptr) return;
  decision->policy = fleet_.table().policy_name;
  decision->tenant = request.tenant;
  decision->arrived = request.arrived;
  decision->decided = now_;
  decision->outcome = outcome;
  decision->reason = reason;
  if (request.deployment == nullptr) {
    decision->deployment.clear();
    decision->objective = Objective();
    return;
  }
  decision->deployment = request.deployment->name;
  decision->objective = request.deployment->objective;
  candidates_.Describe(chosen, &decision->considered);
}

}  // namespace allot::router
