#include "scheduler/router/explanation_log.h"

#include <algorithm>

namespace allot::router {
namespace {

std::string_view Loser(RouteReason reason, bool within_objective) {
  switch (reason) {
    case RouteReason::kRoundRobin:
      return "not its turn";
    case RouteReason::kLeastOutstanding:
      return "busier";
    case RouteReason::kFastest:
      return "slower";
    case RouteReason::kCheapestWithinSlo:
      return within_objective ? "dearer" : "too slow";
    case RouteReason::kNoneWithinSlo:
      return "slower";
    case RouteReason::kExploring:
      return within_objective ? "better known" : "too slow";
    case RouteReason::kBalanced:
      return within_objective ? "worse balance" : "too slow";
    case RouteReason::kOnlyReplica:
      return "not chosen";
  }
  return "not chosen";
}

std::string Verdict(const Decision& decision, const ConsideredReplica& replica) {
  if (replica.chosen) return "chosen";
  if (std::string why = WhyNot(replica.standing, replica.out_cause); !why.empty()) return why;
  if (decision.reason.has_value())
    return std::string(Loser(*decision.reason, replica.within_objective));
  return replica.within_objective ? "not chosen" : "too slow";
}

std::string OutcomeText(const Decision& decision) {
  switch (decision.outcome) {
    case DecisionOutcome::kForwarded:
      return "forwarded";
    case DecisionOutcome::kQueued:
      return "queued";
    case DecisionOutcome::kCancelled:
      return "cancelled";
    case DecisionOutcome::kRejected:
      break;
  }
  return fmt::format("rejected: {}",
                     ToString(decision.rejected.value_or(RejectReason::kNoReplica)));
}

}  // namespace

std::string WhyNot(Standing standing, OutCause cause) {
  switch (standing) {
    case Standing::kFull:
      return "full";
    case Standing::kNotReady:
      return "not ready";
    case Standing::kNotLinked:
      return "not linked";
    case Standing::kTried:
      return "failed before";
    case Standing::kOut:
      return fmt::format("out: {}", ToString(cause));
    case Standing::kOnTrial:
      return fmt::format("on trial: {}", ToString(cause));
    case Standing::kCandidate:
      break;
  }
  return "";
}

Decision* ExplanationLog::Of(RequestId id) {
  if (decisions_max_ == 0) return nullptr;
  if (const auto found = places_.find(id); found != places_.end()) return &ring_[found->second];
  if (next_ == decisions_max_) next_ = 0;
  if (next_ == ring_.size()) {
    ring_.emplace_back();
  } else {
    places_.erase(ring_[next_].id);
  }
  Decision& decision = ring_[next_];
  places_.emplace(id, next_++);
  decision.id = id;
  decision.considered.clear();
  decision.cost.reset();
  decision.energy.reset();
  return &decision;
}

Decision* ExplanationLog::Find(RequestId id) {
  const auto found = places_.find(id);
  return found == places_.end() ? nullptr : &ring_[found->second];
}

void ExplanationLog::Remember(Time now, const Replica& gone) {
  std::erase_if(gone_, [&](const auto& entry) { return entry.second.at + kept_for_ < now; });
  gone_.insert_or_assign(gone.facts.id, Gone{gone.facts, now});
}

std::optional<RequestExplanation> ExplanationLog::Render(Time now, RequestId id,
                                                         const Fleet& fleet) const {
  const auto found = places_.find(id);
  if (found == places_.end()) return std::nullopt;
  const Decision& decision = ring_[found->second];
  if (decision.decided + kept_for_ < now) return std::nullopt;

  RequestExplanation out;
  out.id = id;
  out.deployment = decision.deployment;
  out.policy = decision.policy;
  out.tenant = decision.tenant;
  out.arrived = decision.arrived;
  out.outcome = OutcomeText(decision);
  out.reason = decision.reason;
  out.objective = decision.objective;
  out.cost = decision.cost;
  out.energy = decision.energy;
  for (const ConsideredReplica& replica : decision.considered) {
    CandidateView view;
    view.replica = replica.id;
    const RouteReplica* facts = nullptr;
    if (const Replica* live = fleet.FindReplica(replica.id); live != nullptr) {
      facts = &live->facts;
    } else if (const auto gone = gone_.find(replica.id); gone != gone_.end()) {
      facts = &gone->second.facts;
    }
    if (facts != nullptr) {
      view.node = facts->node;
      view.device_model = facts->device_model;
      view.kind = facts->kind;
      view.emulated = facts->emulated;
    }
    view.price = replica.price;
    view.power = replica.power;
    view.predicted_energy = EnergyOf(replica.power, replica.predicted) / replica.concurrency;
    view.in_flight = replica.in_flight;
    view.concurrency = replica.concurrency;
    view.predicted = replica.predicted;
    view.samples = replica.samples;
    view.predicted_cost_nanos = replica.cost_nanos;
    view.predicted_cost = Cost{(replica.cost_nanos + 500) / 1000};
    view.within_objective = replica.within_objective;
    view.verdict = Verdict(decision, replica);
    out.candidates.push_back(std::move(view));
  }
  return out;
}

}  // namespace allot::router
