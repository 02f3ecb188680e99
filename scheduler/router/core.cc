#include "scheduler/router/core.h"

#include <algorithm>
#include <tuple>

#include "common/base/check.h"
#include "policies/api/registry.h"
#include "scheduler/router/candidates.h"
#include "scheduler/router/explanation_log.h"
#include "scheduler/router/fleet.h"
#include "scheduler/router/request_table.h"

namespace allot::router {
namespace {

constexpr Duration kRetryAfterMin = std::chrono::seconds(1);
constexpr Duration kRetryAfterMax = std::chrono::seconds(60);
// A replica takes seconds to start or to be found healthy again.
constexpr Duration kRetryAfterNoReplica = std::chrono::seconds(5);

using Outcome = RequestEnded::Outcome;

}  // namespace

class Core::Impl {
 public:
  explicit Impl(CoreOptions options)
      : options_(options),
        rng_(options.seed),
        log_(options.explained_requests_max, options.explained_for) {
    MakePolicy(RouteTable());
  }

  void Step(Time now, const Event& event, Effects& out) {
    CHECK(now >= now_);
    now_ = now;
    out_ = &out;
    std::visit([this](const auto& e) { On(e); }, event);
    FireTimers();
    out_ = nullptr;
  }

  std::optional<Time> NextWakeup() const { return requests_.NextTimer(); }
  const Fleet& fleet() const { return fleet_; }
  MilliJoule EnergySoFar(Time now, RequestId id) {
    const auto place = requests_.Find(id);
    if (!place.has_value() || requests_.at(*place).replica == nullptr) return 0;
    const Request& request = requests_.at(*place);
    return HeldEnergyNanos(request.replica->facts, now - request.forwarded) / kNanosPerMilliJoule;
  }
  std::optional<RequestExplanation> Explain(RequestId id) const {
    return log_.Render(now_, id, fleet_);
  }
  std::vector<CandidateView> Predictions(const std::string& name) {
    std::vector<CandidateView> views;
    Deployment* deployment = fleet_.FindDeployment(name);
    if (deployment == nullptr) return views;
    candidates_.Build(now_, *deployment, nullptr);
    for (const Slot& slot : deployment->slots) views.push_back(candidates_.Show(slot));
    return views;
  }

 private:
  // What became of an attempt to forward a request.
  enum class Try : uint8_t { kForwarded, kMustWait, kEnded };

  // ---- events -----------------------------------------------------------------------------

  void On(const RoutesReceived& e) {
    const RouteTable& old = fleet_.table();
    if (e.table == nullptr ||
        std::tie(e.table->term, e.table->version) < std::tie(old.term, old.version))
      return;  // Overtaken by a newer one.
    MakePolicy(*e.table);
    fleet_.Take(e.table);
    for (auto& [name, deployment] : fleet_.deployments()) {
      if (!deployment->listed) RejectQueue(*deployment);
      Pump(*deployment);
    }
    fleet_.Sweep([this](const Replica& gone) { log_.Remember(now_, gone); });
  }

  void On(const NodeLinked& e) {
    if (!fleet_.SetLinked(e.node, true)) return;
    for (auto& [name, deployment] : fleet_.deployments()) Pump(*deployment);
  }

  // The node is cut off, not the device slow: its estimates learn nothing from this.
  void On(const NodeUnlinked& e) {
    if (!fleet_.SetLinked(e.node, false)) return;
    std::vector<RequestId> cut;
    for (const Replica* replica : fleet_.BusyOn(e.node))
      for (uint32_t place : replica->flights) cut.push_back(requests_.at(place).id);
    std::sort(cut.begin(), cut.end());
    for (RequestId id : cut) {
      const uint32_t place = *requests_.Find(id);
      FailTry(place, requests_.at(place).started(),
              fmt::format("the link to node {} broke", e.node));
    }
    for (auto& [name, deployment] : fleet_.deployments()) Pump(*deployment);
  }

  void On(const RequestArrived& e) {
    const uint32_t place = requests_.Add(e.id);
    Request& request = requests_.at(place);
    request.deployment = fleet_.FindModel(e.model);
    request.arrived = now_;
    request.key = {e.priority, ++last_sequence_};
    request.deadline = e.deadline;
    request.stream = e.stream;
    if (request.deployment == nullptr)
      return EndRejected(place, RejectReason::kUnknownModel, {},
                         fmt::format("no deployment serves the model \"{}\"", e.model));
    Deployment& deployment = *request.deployment;
    if (deployment.available == 0)
      return EndRejected(place, RejectReason::kNoReplica, kRetryAfterNoReplica,
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

  void On(const FirstByteReceived& e) {
    const auto place = requests_.Find(e.id);
    if (!place.has_value()) return;
    Request& request = requests_.at(*place);
    if (request.replica == nullptr || request.first_byte.has_value()) return;
    request.first_byte = now_;
    // A stream that has begun is not cut off: what the client has would be wasted.
    if (request.started()) requests_.SetTimer(*place, std::nullopt);
  }

  void On(const RequestCompleted& e) {
    const auto place = requests_.Find(e.id);
    if (!place.has_value() || requests_.at(*place).replica == nullptr) return;
    Request& request = requests_.at(*place);
    const bool refused = e.http_status == 429 || e.http_status >= 500;
    if (refused) {
      LearnSlow(request);
    } else if (e.http_status < 400) {  // The client's own errors are quick and teach nothing.
      Learn(request, e.output_tokens);
    }
    Deployment& deployment = *request.deployment;
    End(*place, refused ? Outcome::kUpstreamError : Outcome::kOk, e.output_tokens);
    Pump(deployment);
  }

  void On(const RequestFailed& e) {
    const auto place = requests_.Find(e.id);
    if (!place.has_value() || requests_.at(*place).replica == nullptr) return;
    Deployment& deployment = *requests_.at(*place).deployment;
    LearnSlow(requests_.at(*place));
    FailTry(*place, e.started, e.message);
    Pump(deployment);
  }

  void On(const ClientGone& e) {
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

  void On(const ClockTicked&) {}  // FireTimers follows every event.

  void FireTimers() {
    while (const auto place = requests_.TakeDue(now_)) {
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

  // ---- admission --------------------------------------------------------------------------

  void Pump(Deployment& deployment) {
    while (!deployment.queue.empty())
      if (TryForward(deployment.queue.begin()->second, /*first=*/false) == Try::kMustWait) return;
  }

  // `first`: the deadline is checked against what the replicas have been seen to do.
  Try TryForward(uint32_t place, bool first) {
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
    if (!view.within_objective && choice.reason != RouteReason::kExploring &&
        policy_->WaitsForObjective() && candidates_.WorthWaiting())
      return Try::kMustWait;
    ForwardTo(place, view, choice.reason);
    return Try::kForwarded;
  }

  void ForwardTo(uint32_t place, const policies::ReplicaView& view, RouteReason reason) {
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
    request.expected = view.expected;
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

  void Enqueue(uint32_t place) {
    Request& request = requests_.at(place);
    Deployment& deployment = *request.deployment;
    deployment.queue.emplace(request.key, place);
    request.queued = true;
    Time until = request.arrived + deployment.queue_timeout;
    // One that comes back from a failed replica gets the whole wait once more.
    if (request.tries > 0) until = now_ + deployment.queue_timeout;
    if (request.deadline.has_value()) until = std::min(until, *request.deadline);
    requests_.SetTimer(place, until);
    candidates_.Build(now_, deployment, &request);
    Write(request, DecisionOutcome::kQueued, -1, std::nullopt);
  }

  void LeaveQueue(Request& request) {
    if (!request.queued) return;
    request.deployment->queue.erase(request.key);
    request.queued = false;
  }

  // The replica did not answer. Elsewhere, if nothing has gone to the client and tries are left.
  void FailTry(uint32_t place, bool started, const std::string& why) {
    Request& request = requests_.at(place);
    Deployment& deployment = *request.deployment;
    const ReplicaId failed = request.replica->facts.id;
    Release(place);
    request.tried.push_back(failed);
    const auto give_up = [&](std::string_view then) {
      EndRejected(place, RejectReason::kReplicaFailed, {},
                  fmt::format("{} failed: {}; {}", ToString(failed), why, then));
    };
    if (started) return give_up("part of the answer had been sent");
    if (request.tries >= options_.tries_max)
      return give_up(fmt::format("tried {} replicas", request.tries));
    candidates_.Build(now_, deployment, &request);
    if (!candidates_.AnyUntried()) return give_up("no other replica is ready");
    if (TryForward(place, /*first=*/false) != Try::kMustWait) return;
    if (deployment.queue.size() >= deployment.queue_max)
      return give_up("the others are busy and the queue is full");
    Enqueue(place);
  }

  Duration RetryAfter(Deployment& deployment) {
    candidates_.Build(now_, deployment, nullptr);
    const int64_t rate = candidates_.DrainPerKilosecond();
    if (rate <= 0) return kRetryAfterMax;
    const auto ahead = static_cast<int64_t>(deployment.queue.size()) + 1;
    const Duration wait(ahead * 1'000'000'000 / rate);
    return std::clamp(wait, kRetryAfterMin, kRetryAfterMax);
  }

  void RejectQueue(Deployment& deployment) {
    while (!deployment.queue.empty())
      EndRejected(deployment.queue.begin()->second, RejectReason::kNoReplica, kRetryAfterNoReplica,
                  fmt::format("deployment {} was removed", deployment.name));
  }

  // ---- ends -------------------------------------------------------------------------------

  // Takes the request off its replica and charges for the time it was held.
  void Release(uint32_t place) {
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
    request.replica = nullptr;
    requests_.SetTimer(place, std::nullopt);
  }

  void EndDeadline(uint32_t place) {
    EndRejected(place, RejectReason::kDeadline, {},
                *requests_.at(place).deadline <= now_
                    ? "the deadline has passed"
                    : "no replica has been seen to answer within the deadline");
  }

  void EndRejected(uint32_t place, RejectReason why, Duration retry_after, std::string message) {
    Request& request = requests_.at(place);
    out_->commands.push_back(Reject{request.id, why, retry_after, std::move(message)});
    const bool failed = why == RejectReason::kReplicaFailed;
    if (!failed && request.replica == nullptr) {
      if (request.deployment != nullptr) candidates_.Build(now_, *request.deployment, &request);
      Write(request, DecisionOutcome::kRejected, -1, std::nullopt);
    }
    if (Decision* decision = log_.Of(request.id); decision != nullptr) {
      decision->outcome = DecisionOutcome::kRejected;
      decision->rejected = why;
    }
    End(place, failed ? Outcome::kFailed : Outcome::kRejected, 0);
  }

  void End(uint32_t place, Outcome outcome, uint32_t output_tokens) {
    Request& request = requests_.at(place);
    RequestEnded ended;
    ended.id = request.id;
    ended.outcome = outcome;
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

  static bool KeptObjective(const Request& request, const RequestEnded& ended,
                            uint32_t output_tokens) {
    if (ended.outcome != Outcome::kOk && ended.outcome != Outcome::kCancelled) return false;
    const Objective& objective = request.deployment->objective;
    if (objective.end_to_end.has_value() && ended.end_to_end > *objective.end_to_end) return false;
    if (!request.started()) return true;
    if (objective.ttft.has_value() && ended.ttft > *objective.ttft) return false;
    return !objective.per_token.has_value() || output_tokens < 2 ||
           ended.end_to_end - ended.ttft <= *objective.per_token * (output_tokens - 1);
  }

  // ---- learning ---------------------------------------------------------------------------

  // Others may have come after it: the fuller of its two ends tells what it shared with.
  static Load LoadMet(const Request& request) {
    const Replica& replica = *request.replica;
    const auto others_now = static_cast<uint32_t>(replica.flights.size()) - 1;
    return LoadOf(std::max(request.others, others_now), replica.facts.concurrency);
  }

  void Learn(const Request& request, uint32_t output_tokens) {
    LatencyEstimate::Observation observation;
    observation.end_to_end = now_ - request.forwarded;
    observation.load = LoadMet(request);
    if (request.started()) {
      observation.ttft = *request.first_byte - request.forwarded;
      if (output_tokens >= 2)
        observation.per_token = (now_ - *request.first_byte) / (output_tokens - 1);
    }
    request.replica->group->estimate.Observe(now_, observation);
  }

  void LearnAtLeast(const Request& request, Duration time) {
    LatencyEstimate::Observation observation;
    observation.end_to_end = time;
    observation.load = LoadMet(request);
    observation.censored = true;
    // A stream that never began did not keep a promise about its first token either.
    if (request.stream && !request.first_byte.has_value()) observation.ttft = time;
    request.replica->group->estimate.Observe(now_, observation);
  }

  // Taken to be twice what was promised, or else usual, but at least what it took. Not twice what
  // was predicted: failures would then feed on one another.
  void LearnSlow(const Request& request) {
    const Objective& objective = request.deployment->objective;
    const Duration usual = objective.end_to_end.value_or(request.expected);
    LearnAtLeast(request, std::max(now_ - request.forwarded, 2 * usual));
  }

  // Given up before the end: that it took longer than this is all one knows, and it is news only
  // if it should have been over.
  void LearnIfOverdue(const Request& request) {
    const Duration time = now_ - request.forwarded;
    if (time > request.predicted) LearnAtLeast(request, time);
  }

  // ---- explanation ------------------------------------------------------------------------

  // Of the replicas as last rated by candidates_.
  void Write(const Request& request, DecisionOutcome outcome, int64_t chosen,
             std::optional<RouteReason> reason) {
    Decision* decision = log_.Of(request.id);
    if (decision == nullptr) return;
    decision->policy = fleet_.table().policy_name;
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

  void MakePolicy(const RouteTable& table) {
    policies::RoutingParameters wanted{table.routing_algorithm, table.explore_ratio,
                                       table.value_nanos_per_second};
    if (policy_ != nullptr && wanted.algorithm == parameters_.algorithm &&
        wanted.explore_ratio == parameters_.explore_ratio &&
        wanted.value_nanos_per_second == parameters_.value_nanos_per_second)
      return;
    parameters_ = std::move(wanted);
    auto made = policies::MakeRoutingPolicy(parameters_);
    // A scheduler newer than this gateway may name an algorithm it does not have. Requests must
    // be answered all the same, and this one needs no knobs.
    if (!made.ok()) made = policies::MakeRoutingPolicy({"least_outstanding", 0, 0});
    CHECK(made.ok());
    policy_ = *std::move(made);
  }

  CoreOptions options_;
  Rng rng_;
  Time now_;
  Effects* out_ = nullptr;  // of the step under way
  Fleet fleet_;
  RequestTable requests_;
  ExplanationLog log_;
  Candidates candidates_;
  uint64_t last_sequence_ = 0;
  policies::RoutingParameters parameters_;
  std::unique_ptr<policies::RoutingPolicy> policy_;
};

Core::Core(CoreOptions options) : impl_(std::make_unique<Impl>(options)) {}
Core::~Core() = default;

void Core::Step(Time now, const Event& event, Effects& out) { impl_->Step(now, event, out); }
std::optional<Time> Core::NextWakeup() const { return impl_->NextWakeup(); }
const RouteTable& Core::routes() const { return impl_->fleet().table(); }
std::optional<RequestExplanation> Core::Explain(RequestId id) const { return impl_->Explain(id); }

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
