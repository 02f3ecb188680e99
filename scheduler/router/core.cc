#include "scheduler/router/core.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "common/base/check.h"
#include "policies/api/registry.h"
#include "scheduler/router/candidates.h"
#include "scheduler/router/explanation_log.h"
#include "scheduler/router/fleet.h"
#include "scheduler/router/request_table.h"

namespace allot::router {
namespace {

constexpr Duration kRetryAfterMin = std::chrono::seconds(1);
// Clients in use take a minute or more for no answer at all and come back at once.
constexpr Duration kRetryAfterMax = std::chrono::seconds(59);
// A request that two replicas broke with is not given to a third: it may be what breaks them.
constexpr uint32_t kBrokeMax = 2;
// Tries elsewhere that a deployment has in hand at most, and what it earns with each request: where
// everything fails, trying again adds a fifth to the load and does not multiply it.
constexpr double kRetriesMax = 100, kRetriesEarned = 0.2;
// A replica is slow where its answers take three times as long as most of its peers'.
constexpr int64_t kSlowFactor = 3;
constexpr Duration kSlowMin = std::chrono::milliseconds(10);
// Given up without a byte of an answer after so many times what was predicted: it hangs.
constexpr int64_t kHangsFactor = 4;
constexpr Duration kHangsMin = std::chrono::seconds(1);

using Outcome = RequestEnded::Outcome;

// What a status of the model server says of the replica.
Outcome OutcomeOf(int32_t status) {
  if (status < 400) return Outcome::kOk;
  // Not implemented: it is what was asked for that is wrong.
  if ((status < 500 && status != 429) || status == 501) return Outcome::kClientError;
  return Outcome::kUpstreamError;
}

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

  std::optional<Time> NextWakeup() const {
    const std::optional<Time> timer = requests_.NextTimer();
    if (out_until_.empty()) return timer;
    return std::min(timer.value_or(kTimeMax), out_until_.begin()->first);
  }
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
    fleet_.Take(now_, e.table);
    for (auto& [name, deployment] : fleet_.deployments()) {
      if (!deployment->listed) RejectQueue(*deployment);
      Pump(*deployment);
    }
    fleet_.Sweep([this](const Replica& gone) { log_.Remember(now_, gone); });
  }

  void On(const NodeLinked& e) {
    if (!fleet_.SetLinked(now_, e.node, true)) return;
    for (auto& [name, deployment] : fleet_.deployments()) Pump(*deployment);
  }

  // The node is cut off, not the device slow: its estimates learn nothing from this.
  void On(const NodeUnlinked& e) {
    if (!fleet_.SetLinked(now_, e.node, false)) return;
    std::vector<RequestId> cut;
    for (const Replica* replica : fleet_.BusyOn(e.node))
      for (uint32_t place : replica->flights) cut.push_back(requests_.at(place).id);
    std::sort(cut.begin(), cut.end());
    for (RequestId id : cut) {
      const uint32_t place = *requests_.Find(id);
      FailTry(place, requests_.at(place).started(),
              fmt::format("the link to node {} broke", e.node), RequestFailed::Fault::kWay);
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

  void On(const FirstByteReceived& e) {
    const auto place = requests_.Find(e.id);
    if (!place.has_value()) return;
    Request& request = requests_.at(*place);
    if (request.replica == nullptr || request.first_byte.has_value()) return;
    request.first_byte = now_;
    request.stream = request.stream || e.streamed;
    // A stream that has begun is not cut off: what the client has would be wasted.
    if (request.started()) requests_.SetTimer(*place, std::nullopt);
  }

  void On(const RequestCompleted& e) {
    const auto place = requests_.Find(e.id);
    if (!place.has_value() || requests_.at(*place).replica == nullptr) return;
    Request& request = requests_.at(*place);
    const Outcome outcome = OutcomeOf(e.http_status);
    const bool refused = IsRefusal(e.http_status);
    if (refused) {
      NoteRefusal(request, e.retry_after);
    } else if (outcome == Outcome::kUpstreamError || (outcome == Outcome::kOk && e.nothing)) {
      NoteFailure(request);  // Quick or not, it teaches nothing of how long answers take.
    } else if (outcome == Outcome::kOk) {
      Learn(request, e.output_tokens);
    }  // The client's own errors say nothing of the replica.
    Deployment& deployment = *request.deployment;
    if (e.held && WorthTryingElsewhere(e.http_status)) {
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

  void On(const RequestFailed& e) {
    const auto place = requests_.Find(e.id);
    if (!place.has_value() || requests_.at(*place).replica == nullptr) return;
    Deployment& deployment = *requests_.at(*place).deployment;
    FailTry(*place, e.started, e.message, e.fault);
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
    while (!out_until_.empty() && out_until_.begin()->first <= now_) {
      const ReplicaId id = out_until_.begin()->second;
      out_until_.erase(out_until_.begin());
      const Replica* replica = fleet_.FindReplica(id);
      if (replica != nullptr) Pump(*replica->deployment);
    }
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
    for (auto next = deployment.queue.begin(); next != deployment.queue.end();) {
      const uint32_t place = (next++)->second;
      // One that has failed somewhere waits for another replica than those behind it may.
      if (TryForward(place, /*first=*/false) == Try::kMustWait && requests_.at(place).tried.empty())
        return;
    }
  }

  // `first`: the deadline is checked against what the replicas have been seen to do.
  Try TryForward(uint32_t place, bool first, bool may_wait = true) {
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

  // ---- other replicas ---------------------------------------------------------------------

  void FailTry(uint32_t place, bool started, const std::string& why, RequestFailed::Fault fault) {
    using Fault = RequestFailed::Fault;
    Request& request = requests_.at(place);
    const ReplicaId failed = request.replica->facts.id;
    if (fault == Fault::kReplica) {
      NoteFailure(request);
      ++request.broke;
    }
    const std::string then = fault == Fault::kRequest ? "it would end alike on any other"
                                                      : WhyNotElsewhere(place, started, fault);
    if (then.empty()) return TryElsewhere(place, fault == Fault::kWay ? "unlinked" : "failed");
    const bool again = fault != Fault::kRequest && request.broke < kBrokeMax;
    Release(place);
    EndRejected(place, RejectReason::kReplicaFailed, {},
                fmt::format("{} failed: {}; {}", ToString(failed), why, then), again);
  }

  // The replica that has it counts as tried from now on. Empty: it may go to another.
  // The way there costs nothing of what is in hand for other tries: a node that is cut off has no
  // load any more.
  std::string WhyNotElsewhere(uint32_t place, bool started,
                              RequestFailed::Fault fault = RequestFailed::Fault::kReplica) {
    Request& request = requests_.at(place);
    Deployment& deployment = *request.deployment;
    request.tried.push_back(request.replica->facts.id);
    if (started) return "part of the answer had been sent";
    if (request.broke >= kBrokeMax) return fmt::format("{} replicas failed with it", kBrokeMax);
    if (request.tries >= options_.tries_max) return fmt::format("tried {} replicas", request.tries);
    if (fault == RequestFailed::Fault::kWay) {
      deployment.retries_left += 1;
    } else if (deployment.retries_left < 1) {
      return "too many requests are tried again already";
    }
    candidates_.Build(now_, deployment, &request);
    if (!candidates_.AnyUntried()) return "no other replica is ready";
    if (candidates_.views().empty() && deployment.queue.size() >= deployment.queue_max)
      return "the others are busy and the queue is full";
    return "";
  }

  void TryElsewhere(uint32_t place, std::string_view why) {
    Deployment& deployment = *requests_.at(place).deployment;
    Release(place);
    deployment.retries_left -= 1;
    out_->retries.push_back({deployment.name, why});
    const bool may_wait = deployment.queue.size() < deployment.queue_max;
    if (TryForward(place, /*first=*/false, may_wait) != Try::kMustWait) return;
    if (may_wait) return Enqueue(place);
    // Its end has changed who may serve, and nobody it has not tried is left with room.
    EndRejected(place, RejectReason::kReplicaFailed, {},
                "the replica failed; the others are busy and the queue is full");
  }

  Duration RetryAfter(Deployment& deployment) {
    // What has been away for a while stays away about as long again: the best guess about a wait of
    // which nothing else is known.
    if (deployment.without_since.has_value())
      return std::clamp(now_ - *deployment.without_since, kRetryAfterMin, kRetryAfterMax);
    candidates_.Build(now_, deployment, nullptr);
    const int64_t rate = candidates_.DrainPerKilosecond();
    if (rate <= 0) return kRetryAfterMax;
    const auto ahead = static_cast<int64_t>(deployment.queue.size()) + 1;
    const Duration wait(ahead * 1'000'000'000 / rate);
    return std::clamp(wait, kRetryAfterMin, kRetryAfterMax);
  }

  void RejectQueue(Deployment& deployment) {
    while (!deployment.queue.empty())
      EndRejected(deployment.queue.begin()->second, RejectReason::kNoReplica, {},
                  fmt::format("deployment {} was removed", deployment.name), /*again=*/false);
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
    if (std::exchange(request.trial, false)) replica.conduct.AbandonTrial();
    request.replica = nullptr;
    requests_.SetTimer(place, std::nullopt);
  }

  void EndDeadline(uint32_t place) {
    EndRejected(place, RejectReason::kDeadline, {},
                *requests_.at(place).deadline <= now_
                    ? "the deadline has passed"
                    : "no replica has been seen to answer within the deadline",
                /*again=*/false);
  }

  void EndRejected(uint32_t place, RejectReason why, Duration retry_after, std::string message,
                   bool again = true) {
    Request& request = requests_.at(place);
    out_->commands.push_back(Reject{request.id, why, retry_after, std::move(message), again});
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

  static bool KeptObjective(const Request& request, const RequestEnded& ended,
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

  // ---- learning ---------------------------------------------------------------------------

  // Others may have come after it: the fuller of its two ends tells what it shared with.
  static Load LoadMet(const Request& request) {
    const Replica& replica = *request.replica;
    const auto others_now = static_cast<uint32_t>(replica.flights.size()) - 1;
    return LoadOf(std::max(request.others, others_now), replica.facts.concurrency);
  }

  void Learn(const Request& request, uint32_t output_tokens) {
    Replica& replica = *request.replica;
    const Duration took = now_ - request.forwarded;
    const Pace pace = PaceOf(took, request.prompt_tokens, output_tokens);
    replica.paces.Add(replica.facts.id, pace);
    request.group->paces.Add(replica.facts.id, pace);
    if (Dawdles(request, pace, took))
      return Note(replica, [&](Conduct& c) { c.Dawdled(now_, request.forwarded, request.trial); });
    replica.conduct.Succeeded(request.forwarded);
    LatencyEstimate::Observation observation;
    observation.end_to_end = took;
    observation.load = LoadMet(request);
    if (request.started()) {
      observation.ttft = *request.first_byte - request.forwarded;
      if (output_tokens >= 2)
        observation.per_token = (now_ - *request.first_byte) / (output_tokens - 1);
    }
    request.group->estimate.Observe(now_, observation);
  }

  // Most of its answers take far longer than most of its peers', this one included: long requests
  // that fall to it by chance do not make it slow.
  bool Dawdles(const Request& request, Pace pace, Duration took) const {
    const Replica& replica = *request.replica;
    if (took < kSlowMin) return false;
    const auto others = request.group->paces.Quantile(3, pace.sized, replica.facts.id);
    if (!others.has_value() || pace.micros <= kSlowFactor * *others) return false;
    // Quick where it answers at all is no measure.
    const Conduct::Share own_share = replica.conduct.share(), best = BestPeerOf(replica);
    if (best.failures * own_share.outcomes > own_share.failures * best.outcomes) return false;
    if (request.trial) return true;
    const auto own = replica.paces.Quantile(1, pace.sized, ReplicaId());
    return own.has_value() && *own > kSlowFactor * *others;
  }

  // ---- conduct ----------------------------------------------------------------------------

  template <typename Change>
  void Note(Replica& replica, Change change) {
    const Time before = replica.conduct.until();
    change(replica.conduct);
    const Time until = replica.conduct.until();
    if (until == before) return;
    replica.paces.Clear();
    out_until_.emplace(until, replica.facts.id);
    out_->put_out.push_back({replica.deployment->name, replica.facts.id, replica.facts.node,
                             replica.conduct.cause(), until - now_});
  }

  void NoteFailure(const Request& request) {
    const Conduct::Share peer = BestPeerOf(*request.replica);
    Note(*request.replica,
         [&](Conduct& c) { c.Failed(now_, request.forwarded, request.trial, peer); });
  }

  void NoteRefusal(const Request& request, std::optional<Duration> retry_after) {
    if (request.deployment->available < 2) return;  // Nowhere else to go meanwhile.
    Note(*request.replica,
         [&](Conduct& c) { c.Refused(now_, request.forwarded, request.trial, retry_after); });
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

  // Given up before the end: that it took longer than this is all one knows, and it is news only
  // if it should have been over. Where not even a first byte has come long after that, the replica
  // hangs.
  void LearnIfOverdue(const Request& request) {
    const Duration time = now_ - request.forwarded;
    if (time <= request.predicted) return;
    if (!request.first_byte.has_value() && request.group->estimate.Predict(now_).samples > 0 &&
        time > std::max(kHangsFactor * request.predicted, kHangsMin))
      return NoteFailure(request);
    LearnAtLeast(request, time);
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
  std::set<std::pair<Time, ReplicaId>> out_until_;  // when somebody may wait for them again
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
