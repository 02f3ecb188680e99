// Fleets that fail, refuse, dawdle and change under load, each made of one seed; all that the
// router says of them is what it said before, to the byte.
//
// What it should say is told by the scenarios and the other tests; a change that was meant to
// change nothing is caught here whatever it is.
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>

#include "common/base/rng.h"
#include "gtest/gtest.h"
#include "scheduler/router/core.h"

namespace allot::router {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Fleets {
 public:
  explicit Fleets(uint64_t seed)
      : rng_(seed),
        core_(
            CoreOptions{.seed = seed, .explained_requests_max = 50, .explained_for = seconds(20)}) {
    table_.term = Term(1);
    table_.policy_name = "p";
    for (const char* name : {"a", "b", "c"}) table_.deployments.emplace_back().name = name;
    for (int i = 0; i < 12; ++i) {
      habits_[ReplicaId(1 + i)] = {};
      AddReplica(1 + i);
    }
    for (RouteDeployment& deployment : table_.deployments) Promise(deployment);
    Choose();
    Route();
    for (int i = 0; i < kNodes; ++i) Link(i, true);
  }

  // FNV-1a of all that was said.
  uint64_t Run(int events) {
    for (int i = 0; i < events; ++i) Next();
    return hash_;
  }

 private:
  static constexpr int kNodes = 4;
  // How a replica answers, for a while.
  enum class Mood { kWell, kFails, kRefuses, kDawdles, kHangs, kEmpty, kOften };
  struct Habit {
    Mood mood = Mood::kWell;
    Time until;
  };
  struct Flight {
    ReplicaId replica;
    Time due, first;
    bool began = false;
    Time next() const { return began ? due : first; }
  };

  static std::string NodeOf(uint64_t i) { return fmt::format("n{}", i % kNodes); }

  void AddReplica(uint64_t id) {
    const char* const models[] = {"intel/xeon", "nvidia/h100", "groq/lpu"};
    RouteReplica replica;
    replica.id = ReplicaId(id);
    replica.node = NodeOf(rng_.Below(kNodes));
    replica.device_model = models[rng_.Below(3)];
    replica.kind = replica.device_model == "intel/xeon" ? DeviceKind::kCpu : DeviceKind::kGpu;
    replica.emulated = rng_.OneIn(6);
    replica.device_count = rng_.OneIn(4) ? 2 : 1;
    replica.concurrency = static_cast<uint32_t>(rng_.Below(9));
    replica.price = PriceRate{static_cast<int64_t>(rng_.Below(9'000'000))};
    replica.power = rng_.OneIn(3) ? 0 : static_cast<MilliWatt>(rng_.Below(900'000));
    replica.ready = !rng_.OneIn(8);
    replica.unheard = !replica.ready && rng_.OneIn(2);
    table_.deployments[id % table_.deployments.size()].replicas.push_back(replica);
  }
  void Promise(RouteDeployment& deployment) {
    deployment.model = deployment.name == "c" && rng_.OneIn(2) ? "a" : deployment.name;
    deployment.created = FromMicros(static_cast<int64_t>(rng_.Below(3)));
    deployment.queue_max = static_cast<uint32_t>(rng_.Below(12));
    deployment.queue_timeout = milliseconds(1 + rng_.Below(3'000));
    Objective& objective = deployment.objective;
    objective = Objective();
    if (rng_.OneIn(2)) objective.end_to_end = milliseconds(1 + rng_.Below(600));
    if (rng_.OneIn(2)) objective.ttft = milliseconds(1 + rng_.Below(200));
    if (rng_.OneIn(2)) objective.per_token = milliseconds(1 + rng_.Below(20));
    objective.percentile = rng_.OneIn(3) ? 0.5 : 0.95;
  }
  void Choose() {
    const char* const algorithms[] = {"round_robin",         "least_outstanding", "fastest",
                                      "cheapest_within_slo", "balanced",          "yet unknown"};
    table_.routing_algorithm = algorithms[rng_.Below(6)];
    table_.explore_ratio = rng_.OneIn(2) ? 0 : 0.05;
    table_.history = seconds(1 + rng_.Below(30));
    table_.value_nanos_per_second = static_cast<int64_t>(rng_.Below(3)) * 1'000'000;
  }
  void Change() {
    RouteDeployment& deployment = table_.deployments[rng_.Below(table_.deployments.size())];
    switch (rng_.Below(5)) {
      case 0:
        return Promise(deployment);
      case 1:
        return Choose();
      case 2:
        if (!deployment.replicas.empty()) deployment.replicas.pop_back();
        return;
      case 3:
        for (RouteReplica& replica : deployment.replicas) {
          replica.ready = rng_.OneIn(2) || replica.ready;
          replica.unheard = false;
        }
        return;
      default:
        habits_[ReplicaId(++last_replica_)] = {};
        return AddReplica(last_replica_);
    }
  }
  void Route() {
    ++table_.version;
    Step(RoutesReceived{std::make_shared<RouteTable>(table_)});
  }
  void Link(int node, bool linked) {
    if (linked) return Step(NodeLinked{NodeOf(node)});
    Step(NodeUnlinked{NodeOf(node)});
  }

  Habit& HabitOf(ReplicaId id) {
    Habit& habit = habits_[id];
    if (habit.until <= now_) {
      habit.mood = rng_.OneIn(3) ? static_cast<Mood>(rng_.Below(7)) : Mood::kWell;
      habit.until = now_ + milliseconds(rng_.Below(8'000));
    }
    return habit;
  }

  // The earliest of: a request, an answer, the core's own wish.
  void Next() {
    auto flight = flights_.end();
    for (auto it = flights_.begin(); it != flights_.end(); ++it)
      if (flight == flights_.end() || it->second.next() < flight->second.next()) flight = it;
    const Time ends = flight == flights_.end() ? kTimeMax : flight->second.next();
    const Time wakes = core_.NextWakeup().value_or(kTimeMax);
    if (wakes <= ends && wakes <= arrives_) {
      now_ = std::max(now_, wakes);
      return Step(ClockTicked{});
    }
    if (ends <= arrives_) {
      now_ = std::max(now_, ends);
      return Answer(flight->first, flight->second);
    }
    now_ = std::max(now_, arrives_);
    // Rushes and lulls.
    arrives_ =
        now_ + Duration(rng_.Below(now_.time_since_epoch() / seconds(5) % 3 == 0 ? 8'000 : 40'000));
    if (rng_.OneIn(150)) arrives_ += seconds(rng_.Below(90));
    if (rng_.OneIn(60)) {
      Change();
      Route();
    }
    if (rng_.OneIn(80)) {
      const bool linked = !rng_.OneIn(3);
      Link(static_cast<int>(rng_.Below(kNodes)), linked);
    }
    if (rng_.OneIn(12) && !open_.empty()) {
      auto gone = open_.begin();
      std::advance(gone, rng_.Below(open_.size()));
      return Step(ClientGone{*gone});
    }
    RequestArrived arrived;
    arrived.id = RequestId(++last_request_);
    arrived.model = std::string(1, static_cast<char>('a' + rng_.Below(3)));
    arrived.tenant = rng_.OneIn(2) ? "red" : "blue";
    arrived.priority = static_cast<int32_t>(rng_.Below(2));
    arrived.stream = rng_.OneIn(2);
    arrived.prompt_tokens = static_cast<uint32_t>(rng_.Below(2'000));
    if (rng_.OneIn(4)) arrived.deadline = now_ + Duration(rng_.Below(400'000));
    open_.insert(arrived.id);
    Step(arrived);
  }

  void Answer(RequestId id, Flight& flight) {
    if (!flight.began && HabitOf(flight.replica).mood != Mood::kFails) {
      flight.began = true;
      return Step(FirstByteReceived{id, rng_.OneIn(8)});
    }
    const Flight was = flight;
    flights_.erase(id);
    RequestCompleted done{id};
    done.prompt_tokens = static_cast<uint32_t>(rng_.Below(2'000));
    done.output_tokens = static_cast<uint32_t>(rng_.Below(30));
    Mood mood = HabitOf(was.replica).mood;
    if (mood == Mood::kOften) mood = rng_.OneIn(3) ? Mood::kFails : Mood::kWell;
    if (mood == Mood::kHangs) return Step(ClientGone{id});
    if (mood == Mood::kFails && rng_.OneIn(2)) {
      RequestFailed failed{id, was.began, "it broke"};
      failed.fault = static_cast<RequestFailed::Fault>(rng_.Below(3));
      return Step(failed);
    }
    if (mood == Mood::kFails) done.http_status = rng_.OneIn(2) ? 500 : 502;
    if (mood == Mood::kRefuses) done.http_status = rng_.OneIn(2) ? 429 : 503;
    if (mood == Mood::kRefuses && rng_.OneIn(2)) done.retry_after = milliseconds(rng_.Below(4'000));
    if (mood == Mood::kWell && rng_.OneIn(30)) done.http_status = rng_.OneIn(2) ? 404 : 504;
    done.nothing = mood == Mood::kEmpty && rng_.OneIn(2);
    done.held = done.http_status >= 400 && !rng_.OneIn(5);
    Step(done);
  }

  void Step(const Event& event) {
    effects_.Clear();
    core_.Step(now_, event, effects_);
    for (const Command& command : effects_.commands) Hear(command);
    for (const RequestEnded& e : effects_.ended) Hear(e);
    for (const ReplicaPutOut& out : effects_.put_out)
      Say(out.deployment, out.replica.value(), out.node, ToString(out.cause), out.time.count());
    for (const TriedElsewhere& retry : effects_.retries) Say(retry.deployment, retry.why);
    if (const auto wake = core_.NextWakeup()) Say(ToMicros(*wake));
    if (++steps_ % 8 != 0) return;
    for (const RouteDeployment& deployment : table_.deployments) {
      Say(core_.Queued(deployment.name), core_.RequestsInFlight(deployment.name),
          core_.ShadowedBy(deployment.name), core_.Serving(deployment.model));
      for (const CandidateView& view : core_.Predictions(deployment.name)) Hear(view);
    }
    const RequestId some(1 + rng_.Below(last_request_ + 1));
    Say(core_.EnergySoFar(now_, some));
    const auto explained = core_.Explain(some);
    if (!explained) return;
    Say(explained->deployment, explained->policy, ToMicros(explained->arrived), explained->outcome,
        explained->reason ? ToString(*explained->reason) : "-",
        explained->objective.end_to_end.value_or(Duration(-1)).count(),
        explained->cost.value_or(Cost{-1}).micros, explained->energy.value_or(-1));
    for (const CandidateView& view : explained->candidates) Hear(view);
  }

  void Hear(const Command& command) {
    if (const auto* f = std::get_if<Forward>(&command)) {
      Say("forward", f->id.value(), f->node, f->replica.value(), ToString(f->reason),
          f->predicted.count(), f->tries, f->deployment, f->device_model, f->emulated,
          f->price.micros_per_hour, f->power);
      const Mood mood = HabitOf(f->replica).mood;
      Duration takes = milliseconds(5 + f->replica.value() * 7) + Duration(rng_.Below(20'000));
      takes += takes * core_.InFlight(f->replica) / 4;
      if (mood == Mood::kDawdles) takes *= 5;
      if (mood == Mood::kHangs) takes = seconds(1 + rng_.Below(4));
      if (mood == Mood::kFails || mood == Mood::kRefuses) takes = milliseconds(1);
      flights_[f->id] = {f->replica, now_ + takes, now_ + takes / (mood == Mood::kHangs ? 1 : 3)};
      flights_[f->id].began = mood == Mood::kHangs;
    } else if (const auto* r = std::get_if<Reject>(&command)) {
      Say("reject", r->id.value(), ToString(r->reason), r->retry_after.count(), r->message,
          r->again);
    } else if (const auto* c = std::get_if<CancelForward>(&command)) {
      Say("cancel", c->id.value(), c->node, c->replica.value());
    } else if (const auto* d = std::get_if<Deliver>(&command)) {
      Say("deliver", d->id.value(), d->blamed);
    }
  }
  void Hear(const RequestEnded& e) {
    open_.erase(e.id);
    flights_.erase(e.id);
    Say("ended", e.id.value(), e.deployment, e.tenant, e.device_model, ToString(e.kind), e.emulated,
        static_cast<int>(e.outcome), e.http_status, e.prompt_tokens, e.output_tokens,
        e.queued.count(), e.ttft.count(), e.end_to_end.count(), e.within_objective, e.cost.micros,
        e.energy);
  }
  void Hear(const CandidateView& v) {
    Say(v.replica.value(), v.node, v.device_model, ToString(v.kind), v.emulated,
        v.price.micros_per_hour, v.in_flight, v.concurrency, v.predicted.count(), v.samples,
        v.predicted_cost.micros, v.predicted_cost_nanos, v.power, v.predicted_energy,
        v.within_objective, v.out_why, v.out_for.count(), v.verdict);
  }

  template <typename... Words>
  void Say(const Words&... words) {
    const auto add = [this](const auto& word) {
      for (const char c : fmt::format("{} ", word))
        hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    };
    (add(words), ...);
  }

  Rng rng_;
  Core core_;
  Effects effects_;
  RouteTable table_;
  Time now_ = FromMicros(1'000'000'000);
  Time arrives_ = now_;
  std::map<RequestId, Flight> flights_;
  std::map<ReplicaId, Habit> habits_;
  std::set<RequestId> open_;
  uint64_t last_request_ = 0, last_replica_ = 12, steps_ = 0;
  uint64_t hash_ = 0xcbf29ce484222325;
};

TEST(RouterFleets, SayWhatTheySaidBefore) {
  const std::string path = ALLOT_SOURCE_DIR "/tests/unit/router/said_before.txt";
  std::string now;
  for (uint64_t seed = 1; seed <= 12; ++seed)
    now += fmt::format("{} {:016x}\n", seed, Fleets(seed).Run(2'500));
  if (std::getenv("ALLOT_UPDATE") != nullptr) std::ofstream(path) << now;
  std::ifstream file(path);
  const std::string before(std::istreambuf_iterator<char>(file), {});
  EXPECT_EQ(now, before) << "what the router says is not what it was. If it was meant: "
                            "ALLOT_UPDATE=1 with this test, and the review says why";
}

}  // namespace
}  // namespace allot::router
