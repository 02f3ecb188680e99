// Who is forwarded, who waits, and who is told when to come back.
#include <algorithm>

#include "common/base/check.h"
#include "scheduler/router/core_impl.h"

namespace allot::router {
namespace {

constexpr Duration kRetryAfterMin = std::chrono::seconds(1);
// Clients in use take a minute or more for no answer at all and come back at once.
constexpr Duration kRetryAfterMax = std::chrono::seconds(59);
constexpr int64_t kMicrosPerKilosecond = 1'000'000'000;

}  // namespace

void Core::Impl::Pump(Deployment& deployment) {
  for (auto next = deployment.queue.begin(); next != deployment.queue.end();) {
    const uint32_t place = (next++)->second;
    // One that has failed somewhere waits for another replica than those behind it may.
    if (TryForward(place, /*first=*/false) == Try::kMustWait && requests_.at(place).tried.empty())
      return;
  }
}

Core::Impl::Try Core::Impl::TryForward(uint32_t place, bool first, bool may_wait) {
  Request& request = requests_.at(place);
  Deployment& deployment = *request.deployment;
  candidates_.Build(now_, deployment, &request);
  const bool late = request.deadline.has_value() && *request.deadline <= now_;
  if (late || (first && candidates_.DeadlineOutOfReach())) {
    EndDeadline(place);
    return Try::kEnded;
  }
  const auto views = candidates_.views();
  if (views.empty()) return Try::kMustWait;
  policies::RouteChoice choice;
  if (deployment.available == 1) {
    deployment.memory.last_index = views[0].index;
  } else {
    choice = policy_->Choose(views, deployment.memory, rng_);
    CHECK(choice.view < views.size());
  }
  const policies::ReplicaView& view = views[choice.view];
  if (may_wait && !view.within_objective && choice.reason != RouteReason::kExploring &&
      policy_->WaitsForObjective() && candidates_.WorthWaiting())
    return Try::kMustWait;
  ForwardTo(place, view, choice.reason);
  return Try::kForwarded;
}

void Core::Impl::ForwardTo(uint32_t place, const policies::ReplicaView& view, RouteReason reason) {
  Request& request = requests_.at(place);
  Deployment& deployment = *request.deployment;
  Write(request, DecisionOutcome::kForwarded, view.index, reason);
  LeaveQueue(request);
  Replica& replica = *deployment.slots[view.index].replica;
  request.replica = &replica;
  request.group = replica.group;
  request.flight = static_cast<uint32_t>(replica.flights.size());
  request.others = view.in_flight;
  request.forwarded = now_;
  request.first_byte.reset();
  request.predicted = view.predicted;
  request.trial = replica.conduct.troubled() && !deployment.panic;
  if (request.trial) replica.conduct.BeginTrial();
  ++request.tries;
  replica.flights.push_back(place);
  fleet_.SetInFlight(replica);
  ++deployment.in_flight;
  requests_.SetTimer(place, request.deadline);

  Forward command;
  command.id = request.id;
  command.node = replica.facts.node;
  command.replica = replica.facts.id;
  command.reason = reason;
  command.predicted = request.predicted;
  command.tries = request.tries;
  command.deployment = deployment.name;
  command.device_model = replica.facts.device_model;
  command.kind = replica.facts.kind;
  command.emulated = replica.facts.emulated;
  command.price = replica.facts.price;
  command.power = replica.facts.power;
  out_->commands.push_back(std::move(command));
}

void Core::Impl::Enqueue(uint32_t place) {
  Request& request = requests_.at(place);
  Deployment& deployment = *request.deployment;
  deployment.queue.emplace(request.key, place);
  // One that comes back from a failed replica gets the whole wait once more.
  Time until = now_ + deployment.queue_timeout;
  if (request.deadline.has_value()) until = std::min(until, *request.deadline);
  requests_.SetTimer(place, until);
  candidates_.Build(now_, deployment, &request);
  Write(request, DecisionOutcome::kQueued, kNobody, std::nullopt);
}

void Core::Impl::LeaveQueue(Request& request) {
  if (request.deployment != nullptr) request.deployment->queue.erase(request.key);
}

Duration Core::Impl::RetryAfter(Deployment& deployment) {
  // What has been away for a while stays away about as long again: the best guess about a wait of
  // which nothing else is known.
  if (deployment.without_since.has_value())
    return std::clamp(now_ - *deployment.without_since, kRetryAfterMin, kRetryAfterMax);
  candidates_.Build(now_, deployment, nullptr);
  const int64_t rate = candidates_.DrainPerKilosecond();
  if (rate <= 0) return kRetryAfterMax;
  const auto ahead = static_cast<int64_t>(deployment.queue.size()) + 1;
  const Duration wait(ahead * kMicrosPerKilosecond / rate);
  return std::clamp(wait, kRetryAfterMin, kRetryAfterMax);
}

void Core::Impl::RejectQueue(Deployment& deployment) {
  while (!deployment.queue.empty())
    EndRejected(deployment.queue.begin()->second, RejectReason::kNoReplica, {},
                fmt::format("deployment {} was removed", deployment.name), /*again=*/false);
}

void Core::Impl::MakePolicy(const RouteTable& table) {
  auto made = policies::MakeRoutingPolicy(
      {table.routing_algorithm, table.explore_ratio, table.value_nanos_per_second});
  // A scheduler newer than this gateway may name an algorithm it does not have. Requests must
  // be answered all the same, and this one needs no knobs.
  if (!made.ok()) made = policies::MakeRoutingPolicy({.algorithm = "least_outstanding"});
  CHECK(made.ok());
  policy_ = *std::move(made);
}

}  // namespace allot::router
