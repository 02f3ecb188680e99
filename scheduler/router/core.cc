#include "scheduler/router/core.h"

#include <algorithm>
#include <tuple>

#include "common/base/check.h"
#include "scheduler/router/core_impl.h"

namespace allot::router {
namespace {

// Tries elsewhere that a deployment has in hand at most, and what it earns with each request: where
// everything fails, trying again adds a fifth to the load and does not multiply it.
constexpr double kRetriesMax = 100, kRetriesEarned = 0.2;

// What a status of the model server says of the replica.
RequestEnded::Outcome OutcomeOf(int32_t status) {
  using Outcome = RequestEnded::Outcome;
  if (status < 400) return Outcome::kOk;
  // Not implemented: it is what was asked for that is wrong.
  if ((status < 500 && status != 429) || status == 501) return Outcome::kClientError;
  return Outcome::kUpstreamError;
}

}  // namespace

Core::Impl::Impl(CoreOptions options)
    : options_(options),
      rng_(options.seed),
      log_(options.explained_requests_max, options.explained_for) {}

void Core::Impl::Step(Time now, const Event& event, Effects& out) {
  CHECK(now >= now_);
  now_ = now;
  out_ = &out;
  std::visit([this](const auto& e) { On(e); }, event);
  FireTimers();
}

std::optional<Time> Core::Impl::NextWakeup() const {
  const std::optional<Time> timer = requests_.NextTimer();
  if (out_until_.empty()) return timer;
  return std::min(timer.value_or(kTimeMax), out_until_.begin()->first);
}

MilliJoule Core::Impl::EnergySoFar(Time now, RequestId id) {
  const auto place = requests_.Find(id);
  if (!place.has_value() || requests_.at(*place).replica == nullptr) return 0;
  const Request& request = requests_.at(*place);
  return HeldEnergyNanos(request.replica->facts, now - request.forwarded) / kNanosPerMilliJoule;
}

std::optional<RequestExplanation> Core::Impl::Explain(RequestId id) const {
  return log_.Render(now_, id, fleet_);
}

std::vector<CandidateView> Core::Impl::Predictions(const std::string& name) {
  std::vector<CandidateView> views;
  Deployment* deployment = fleet_.FindDeployment(name);
  if (deployment == nullptr) return views;
  candidates_.Build(now_, *deployment, nullptr);
  for (const Slot& slot : deployment->slots) views.push_back(candidates_.Show(slot));
  return views;
}

// ---- events ---------------------------------------------------------------------------------

void Core::Impl::On(const RoutesReceived& e) {
  const RouteTable& old = fleet_.table();
  if (e.table == nullptr) return;
  if (e.table->incarnation == old.incarnation &&
      std::tie(e.table->term, e.table->version) < std::tie(old.term, old.version))
    return;  // Overtaken by a newer one.
  MakePolicy(*e.table);
  fleet_.Take(now_, e.table);
  for (auto& [name, deployment] : fleet_.deployments()) {
    if (!deployment->listed) RejectQueue(*deployment);
    Pump(*deployment);
  }
  fleet_.Sweep([this](const Replica& gone) { log_.Remember(now_, gone); });
}

void Core::Impl::On(const NodeLinked& e) {
  fleet_.SetLinked(now_, e.node, true);
  for (auto& [name, deployment] : fleet_.deployments()) Pump(*deployment);
}

// The node is cut off, not the device slow: its estimates learn nothing from this.
void Core::Impl::On(const NodeUnlinked& e) {
  fleet_.SetLinked(now_, e.node, false);
  std::vector<RequestId> cut;
  for (const Replica* replica : fleet_.BusyOn(e.node))
    for (uint32_t place : replica->flights) cut.push_back(requests_.at(place).id);
  std::sort(cut.begin(), cut.end());
  for (RequestId id : cut) {
    const uint32_t place = *requests_.Find(id);
    FailTry(place, requests_.at(place).started(), fmt::format("the link to node {} broke", e.node),
            RequestFailed::Fault::kWay);
  }
  for (auto& [name, deployment] : fleet_.deployments()) Pump(*deployment);
}

void Core::Impl::On(const RequestArrived& e) {
  const uint32_t place = requests_.Add(e.id);
  Request& request = requests_.at(place);
  request.deployment = fleet_.FindModel(e.model);
  request.arrived = now_;
  request.key = {e.priority, ++last_sequence_};
  request.deadline = e.deadline;
  request.stream = e.stream;
  request.prompt_tokens = e.prompt_tokens;
  request.tenant = e.tenant;
  if (request.deployment == nullptr)
    return EndRejected(place, RejectReason::kUnknownModel, {},
                       fmt::format("no deployment serves the model \"{}\"", e.model),
                       /*again=*/false);
  Deployment& deployment = *request.deployment;
  deployment.retries_left = std::min(deployment.retries_left + kRetriesEarned, kRetriesMax);
  if (deployment.available == 0)
    return EndRejected(place, RejectReason::kNoReplica, RetryAfter(deployment),
                       fmt::format("no replica of deployment {} is ready", deployment.name));
  if (deployment.queue.empty()) {
    if (TryForward(place, /*first=*/true) != Try::kMustWait) return;
  } else if (request.deadline.has_value()) {
    candidates_.Build(now_, deployment, &request);
    if (candidates_.DeadlineOutOfReach()) return EndDeadline(place);
  }
  if (deployment.queue.size() >= deployment.queue_max)
    return EndRejected(place, RejectReason::kQueueFull, RetryAfter(deployment),
                       fmt::format("{} requests wait for deployment {} already",
                                   deployment.queue.size(), deployment.name));
  Enqueue(place);
}

void Core::Impl::On(const FirstByteReceived& e) {
  const auto place = requests_.Find(e.id);
  if (!place.has_value()) return;
  Request& request = requests_.at(*place);
  if (request.replica == nullptr || request.first_byte.has_value()) return;
  request.first_byte = now_;
  request.stream = request.stream || e.streamed;
  // A stream that has begun is not cut off: what the client has would be wasted.
  if (request.started()) requests_.SetTimer(*place, std::nullopt);
}

void Core::Impl::On(const RequestCompleted& e) {
  const auto place = requests_.Find(e.id);
  if (!place.has_value() || requests_.at(*place).replica == nullptr) return;
  Request& request = requests_.at(*place);
  const Outcome outcome = e.failed ? Outcome::kUpstreamError : OutcomeOf(e.http_status);
  const bool refused = IsRefusal(e.http_status);
  if (refused) {
    NoteRefusal(request, e.retry_after);
  } else if (outcome == Outcome::kUpstreamError || (outcome == Outcome::kOk && e.nothing)) {
    NoteFailure(request);  // Quick or not, it teaches nothing of how long answers take.
  } else if (outcome == Outcome::kOk) {
    Learn(request, e.output_tokens);
  } else {
    NoteDecline(request);
  }
  Deployment& deployment = *request.deployment;
  if (e.held && (e.failed || WorthTryingElsewhere(e.http_status))) {
    if (!refused) ++request.broke;
    if (WhyNotElsewhere(*place, /*started=*/false).empty()) {
      TryElsewhere(*place, refused ? "refused" : "error");
      return Pump(deployment);
    }
  }
  if (e.held)
    out_->commands.emplace_back(std::in_place_type<Deliver>,
                                Deliver{request.id, request.broke >= kBrokeMax});
  request.http_status = e.http_status;
  request.prompt_tokens = e.prompt_tokens;
  End(*place, outcome, e.output_tokens);
  Pump(deployment);
}

void Core::Impl::On(const RequestFailed& e) {
  const auto place = requests_.Find(e.id);
  if (!place.has_value() || requests_.at(*place).replica == nullptr) return;
  Deployment& deployment = *requests_.at(*place).deployment;
  FailTry(*place, e.started, e.message, e.fault);
  Pump(deployment);
}

void Core::Impl::On(const ClientGone& e) {
  const auto place = requests_.Find(e.id);
  if (!place.has_value()) return;
  Request& request = requests_.at(*place);
  Deployment& deployment = *request.deployment;
  if (request.replica != nullptr) {
    LearnIfOverdue(request);
    out_->commands.push_back(
        CancelForward{request.id, request.replica->facts.node, request.replica->facts.id});
  } else if (Decision* decision = log_.Of(request.id); decision != nullptr) {
    decision->outcome = DecisionOutcome::kCancelled;
  }
  End(*place, Outcome::kCancelled, 0);
  Pump(deployment);
}

void Core::Impl::FireTimers() {
  while (!out_until_.empty() && out_until_.begin()->first <= now_) {
    const ReplicaId id = out_until_.begin()->second;
    out_until_.erase(out_until_.begin());
    const Replica* replica = fleet_.FindReplica(id);
    if (replica != nullptr) Pump(*replica->deployment);
  }
  while (const auto place = requests_.Due(now_)) {  // Each ends, and its timer with it.
    Request& request = requests_.at(*place);
    Deployment& deployment = *request.deployment;
    if (request.deadline.has_value() && *request.deadline <= now_) {
      if (request.replica != nullptr) {
        LearnIfOverdue(request);
        out_->commands.push_back(
            CancelForward{request.id, request.replica->facts.node, request.replica->facts.id});
      }
      EndDeadline(*place);
    } else {
      EndRejected(*place, RejectReason::kQueueTimeout, RetryAfter(deployment),
                  fmt::format("no replica of deployment {} came free within {}", deployment.name,
                              FormatDuration(deployment.queue_timeout)));
    }
    Pump(deployment);
  }
}

// ---- the outside ----------------------------------------------------------------------------

Core::Core(CoreOptions options) : impl_(std::make_unique<Impl>(options)) {}
Core::~Core() = default;

void Core::Step(Time now, const Event& event, Effects& out) { impl_->Step(now, event, out); }
std::optional<Time> Core::NextWakeup() const { return impl_->NextWakeup(); }
const RouteTable& Core::routes() const { return impl_->fleet().table(); }
std::optional<RequestExplanation> Core::Explain(RequestId id) const { return impl_->Explain(id); }

std::string Core::Serving(const std::string& model) const {
  const Deployment* found = impl_->fleet().FindModel(model);
  return found == nullptr ? "" : found->name;
}

std::string Core::ShadowedBy(const std::string& deployment) const {
  const Deployment* found = impl_->fleet().FindDeployment(deployment);
  return found == nullptr ? "" : found->shadowed_by;
}

uint32_t Core::InFlight(ReplicaId replica) const {
  const Replica* found = impl_->fleet().FindReplica(replica);
  return found == nullptr ? 0 : static_cast<uint32_t>(found->flights.size());
}

uint32_t Core::Queued(const std::string& deployment) const {
  const Deployment* found = impl_->fleet().FindDeployment(deployment);
  return found == nullptr ? 0 : static_cast<uint32_t>(found->queue.size());
}

uint32_t Core::RequestsInFlight(const std::string& deployment) const {
  const Deployment* found = impl_->fleet().FindDeployment(deployment);
  return found == nullptr ? 0 : found->in_flight;
}

MilliJoule Core::EnergySoFar(Time now, RequestId id) const { return impl_->EnergySoFar(now, id); }

std::vector<CandidateView> Core::Predictions(const std::string& deployment) const {
  return impl_->Predictions(deployment);
}

}  // namespace allot::router
