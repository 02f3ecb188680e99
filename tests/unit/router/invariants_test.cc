// Whatever happens in whatever order: no replica above its concurrency, no queue above its bound,
// every request ends exactly once, and the same events give the same effects.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/base/rng.h"
#include "gtest/gtest.h"
#include "rapidcheck.h"
#include "scheduler/router/core.h"

namespace allot::router {
namespace {

constexpr int kNodes = 4;

std::string NodeName(int n) { return "n" + std::to_string(n); }

RouteTable RandomTable(Rng& rng, uint64_t version) {
  const char* const algorithms[] = {"round_robin",         "least_outstanding", "fastest",
                                    "cheapest_within_slo", "balanced",          "from_the_future"};
  const char* const models[] = {"intel/xeon", "nvidia/h100", "groq/lpu"};
  RouteTable table;
  table.term = Term(1);
  table.version = version;
  table.routing_algorithm = algorithms[rng.Below(6)];
  table.explore_ratio = 0.1;
  table.value_nanos_per_second = static_cast<int64_t>(rng.Below(3)) * 1'000'000;
  for (int d = 0; d < 2; ++d) {
    if (rng.OneIn(8)) continue;
    RouteDeployment& deployment = table.deployments.emplace_back();
    deployment.name = deployment.model = "d" + std::to_string(d);
    deployment.queue_max = static_cast<uint32_t>(rng.Below(4));
    deployment.queue_timeout = Duration(1 + rng.Below(500'000));
    if (rng.OneIn(2)) deployment.objective.end_to_end = Duration(1 + rng.Below(300'000));
    if (rng.OneIn(2)) deployment.objective.ttft = Duration(1 + rng.Below(100'000));
    for (int r = 1; r <= 5; ++r) {
      if (rng.OneIn(4)) continue;
      RouteReplica& replica = deployment.replicas.emplace_back();
      replica.id = ReplicaId(static_cast<uint64_t>(d * 10 + r));
      replica.node = NodeName(r % kNodes);
      replica.device_model = models[r % 3];
      replica.concurrency = static_cast<uint32_t>(1 + rng.Below(3));
      replica.price = PriceRate{static_cast<int64_t>(rng.Below(5'000'000))};
      replica.ready = !rng.OneIn(5);
    }
  }
  return table;
}

// What a shell would know, kept beside the core.
class Watcher {
 public:
  void Arrived(RequestId id) { open_[id] = ReplicaId(); }

  void See(const Core& core, const Effects& effects) {
    for (const Command& command : effects.commands) {
      if (const auto* forward = std::get_if<Forward>(&command)) {
        RC_ASSERT(open_.contains(forward->id));
        RC_ASSERT(linked_.contains(forward->node));
        RC_ASSERT(core.InFlight(forward->replica) <= ConcurrencyOf(core, forward->replica));
        open_[forward->id] = forward->replica;
      } else if (const auto* cancel = std::get_if<CancelForward>(&command)) {
        RC_ASSERT(open_.at(cancel->id) == cancel->replica);
      } else if (const auto* deliver = std::get_if<Deliver>(&command)) {
        RC_ASSERT(open_.at(deliver->id).valid());
      }
    }
    for (const RequestEnded& ended : effects.ended) {
      RC_ASSERT(open_.erase(ended.id) == 1u);
      RC_ASSERT(ended_.insert(ended.id).second);
      RC_ASSERT(ended.cost.micros >= 0);
      RC_ASSERT(ended.queued <= ended.end_to_end);
    }
    for (const RouteDeployment& d : core.routes().deployments)
      RC_ASSERT(core.Queued(d.name) <= queue_max_[d.name]);
  }

  // A queue keeps what it holds when its bound shrinks.
  void Routes(const Core& core, const RouteTable& table) {
    for (const RouteDeployment& d : table.deployments)
      queue_max_[d.name] = std::max(core.Queued(d.name), d.queue_max);
  }
  void Linked(const std::string& node, bool linked) {
    if (linked) {
      linked_.insert(node);
    } else {
      linked_.erase(node);
    }
  }
  std::vector<RequestId> Open() const {
    std::vector<RequestId> ids;
    for (const auto& [id, replica] : open_) ids.push_back(id);
    return ids;
  }
  bool Flying(RequestId id) const {
    const auto found = open_.find(id);
    return found != open_.end() && found->second.valid();
  }
  size_t ended() const { return ended_.size(); }

 private:
  static uint32_t ConcurrencyOf(const Core& core, ReplicaId id) {
    for (const RouteDeployment& d : core.routes().deployments)
      for (const RouteReplica& r : d.replicas)
        if (r.id == id) return r.concurrency;
    return 0;
  }

  std::map<RequestId, ReplicaId> open_;
  std::set<RequestId> ended_;
  std::set<std::string> linked_;
  std::map<std::string, uint32_t> queue_max_;
};

std::string Text(const Effects& effects) {
  std::string text;
  for (const Command& command : effects.commands) {
    if (const auto* f = std::get_if<Forward>(&command))
      text += fmt::format("f{} {} {} {};", f->id.value(), f->replica.value(), ToString(f->reason),
                          f->predicted.count());
    if (const auto* r = std::get_if<Reject>(&command))
      text += fmt::format("r{} {} {};", r->id.value(), ToString(r->reason), r->retry_after.count());
    if (const auto* c = std::get_if<CancelForward>(&command))
      text += fmt::format("c{} {};", c->id.value(), c->replica.value());
    if (const auto* d = std::get_if<Deliver>(&command)) text += fmt::format("d{};", d->id.value());
  }
  for (const RequestEnded& e : effects.ended)
    text += fmt::format("e{} {} {};", e.id.value(), static_cast<int>(e.outcome), e.cost.micros);
  return text;
}

RequestCompleted AnyAnswer(RequestId id, Rng& rng) {
  constexpr int32_t kStatuses[] = {200, 200, 200, 200, 404, 429, 500, 501, 503, 504};
  RequestCompleted e{id, kStatuses[rng.Below(std::size(kStatuses))]};
  e.output_tokens = static_cast<uint32_t>(rng.Below(50));
  e.nothing = e.output_tokens == 0;
  e.held = e.http_status != 200 && rng.OneIn(2);
  if (rng.OneIn(2)) e.retry_after = Duration(rng.Below(100'000));
  return e;
}

// One life from one seed; returns all it did, as text.
std::string Live(uint64_t seed, int steps) {
  Rng rng(seed);
  Core core(CoreOptions{.seed = seed, .explained_requests_max = 20});
  Watcher watcher;
  Effects effects;
  std::string text;
  Time now = FromMicros(1);
  uint64_t version = 0, last_request = 0;

  const auto step = [&](const Event& event) {
    effects.Clear();
    core.Step(now, event, effects);
    watcher.See(core, effects);
    text += Text(effects);
  };
  const auto routes = [&](const RouteTable& table) {
    watcher.Routes(core, table);
    step(RoutesReceived{std::make_shared<RouteTable>(table)});
  };
  const auto link = [&](int n, bool linked) {
    watcher.Linked(NodeName(n), linked);
    if (linked)
      step(NodeLinked{NodeName(n)});
    else
      step(NodeUnlinked{NodeName(n)});
  };

  routes(RandomTable(rng, ++version));
  for (int n = 0; n < kNodes; ++n) link(n, true);
  for (int i = 0; i < steps; ++i) {
    now += Duration(rng.Below(20'000));
    const std::vector<RequestId> open = watcher.Open();
    const RequestId any = open.empty() ? RequestId(1) : open[rng.Below(open.size())];
    switch (rng.Below(12)) {
      case 0:
      case 1:
      case 2:
      case 3: {
        RequestArrived e;
        e.id = RequestId(++last_request);
        e.model = "d" + std::to_string(rng.Below(2));
        e.priority = static_cast<int32_t>(rng.Below(3));
        e.stream = rng.OneIn(2);
        if (rng.OneIn(4)) e.deadline = now + Duration(rng.Below(100'000));
        watcher.Arrived(e.id);
        step(e);
        break;
      }
      case 4:
        step(FirstByteReceived{any});
        break;
      case 5:
      case 6:
      case 7:
        step(AnyAnswer(any, rng));
        break;
      case 8:
        step(RequestFailed{any, rng.OneIn(4), "why",
                           static_cast<RequestFailed::Fault>(rng.Below(3))});
        break;
      case 9:
        step(ClientGone{any});
        break;
      case 10:
        if (rng.OneIn(4)) {
          const bool up = rng.OneIn(2);
          link(static_cast<int>(rng.Below(kNodes)), up);
        } else {
          step(ClockTicked{});
        }
        break;
      case 11:
        if (rng.OneIn(5)) routes(RandomTable(rng, ++version));
        break;
    }
    core.Explain(any);
  }
  // Everything comes to an end: what flies is answered, what waits runs into its timeout.
  for (int round = 0; round < 1'000 && !watcher.Open().empty(); ++round) {
    for (RequestId id : watcher.Open())
      if (watcher.Flying(id)) step(RequestCompleted{id, 200, 1});
    if (const auto wake = core.NextWakeup()) now = std::max(now, *wake);
    step(ClockTicked{});
  }
  RC_ASSERT(watcher.Open().empty());
  RC_ASSERT(watcher.ended() == last_request);
  // And nothing is left to wake for but replicas that are out.
  for (int i = 0; i < 100 && core.NextWakeup().has_value(); ++i) {
    now = std::max(now, *core.NextWakeup());
    step(ClockTicked{});
  }
  RC_ASSERT(!core.NextWakeup().has_value());
  return text;
}

TEST(RouterInvariants, HoldInAnyOrderOfEvents) {
  EXPECT_TRUE(rc::check([] { Live(*rc::gen::arbitrary<uint64_t>(), 400); }));
}

TEST(RouterInvariants, SameEventsSameEffects) {
  EXPECT_TRUE(rc::check([] {
    const auto seed = *rc::gen::arbitrary<uint64_t>();
    RC_ASSERT(Live(seed, 200) == Live(seed, 200));
  }));
}

// However many they are: the load is moved and not multiplied.
TEST(RouterTries, EveryRequestOfANodeThatIsCutOffGoesElsewhere) {
  RouteTable table;
  table.version = 1;
  RouteDeployment& d = table.deployments.emplace_back();
  d.name = d.model = "m";
  for (const uint64_t id : {1, 2}) {
    RouteReplica& r = d.replicas.emplace_back();
    r.id = ReplicaId(id);
    r.node = NodeName(static_cast<int>(id));
    r.ready = true;
    r.concurrency = 1000;
  }
  Core core{CoreOptions{}};
  Effects effects;
  core.Step(FromMicros(1), RoutesReceived{std::make_shared<RouteTable>(table)}, effects);
  core.Step(FromMicros(1), NodeLinked{NodeName(1)}, effects);
  for (uint64_t id = 1; id <= 500; ++id)
    core.Step(FromMicros(1), RequestArrived{.id = RequestId(id), .model = "m"}, effects);
  core.Step(FromMicros(1), NodeLinked{NodeName(2)}, effects);
  core.Step(FromMicros(2), NodeUnlinked{NodeName(1)}, effects);
  EXPECT_EQ(core.InFlight(ReplicaId(1)), 0u);
  EXPECT_EQ(core.InFlight(ReplicaId(2)), 500u);
  EXPECT_TRUE(effects.ended.empty());
}

TEST(RouterTables, OlderOnesAreIgnored) {
  Core core{CoreOptions{}};
  Effects effects;
  Rng rng(1);
  core.Step(FromMicros(1), RoutesReceived{std::make_shared<RouteTable>(RandomTable(rng, 7))},
            effects);
  core.Step(FromMicros(1), RoutesReceived{std::make_shared<RouteTable>(RandomTable(rng, 6))},
            effects);
  EXPECT_EQ(core.routes().version, 7u);
  RouteTable next_term = RandomTable(rng, 1);
  next_term.term = Term(2);
  core.Step(FromMicros(1), RoutesReceived{std::make_shared<RouteTable>(next_term)}, effects);
  EXPECT_EQ(core.routes().version, 1u);
}

// A store that was put back counts terms and versions again.
TEST(RouterTables, OfAnotherLifeOfTheStoreAreTakenWhateverTheirNumbers) {
  Core core{CoreOptions{}};
  Effects effects;
  Rng rng(1);
  const auto take = [&](uint64_t incarnation, uint64_t term, uint64_t version) {
    RouteTable table = RandomTable(rng, version);
    table.incarnation = Incarnation(incarnation);
    table.term = Term(term);
    core.Step(FromMicros(1), RoutesReceived{std::make_shared<RouteTable>(table)}, effects);
    return core.routes().version;
  };
  EXPECT_EQ(take(1, 9, 7), 7u);
  EXPECT_EQ(take(1, 8, 70), 7u);
  EXPECT_EQ(take(2, 3, 5), 5u);
  EXPECT_EQ(take(2, 3, 4), 5u);
}

TEST(RouterTables, RowsThatContradictEarlierOnesArePassedOver) {
  RouteTable table;
  table.version = 1;
  for (int twice = 0; twice < 2; ++twice) {
    RouteDeployment& d = table.deployments.emplace_back();
    d.name = "same";
    d.model = "m";
    for (int again = 0; again < 2; ++again) {
      RouteReplica& r = d.replicas.emplace_back();
      r.id = ReplicaId(1);
      r.node = "n";
      r.ready = true;
      r.concurrency = 0;
    }
  }
  Core core{CoreOptions{}};
  Effects effects;
  core.Step(FromMicros(1), RoutesReceived{std::make_shared<RouteTable>(table)}, effects);
  core.Step(FromMicros(1), NodeLinked{"n"}, effects);
  EXPECT_EQ(core.Predictions("same").size(), 1u);
  core.Step(FromMicros(1), RequestArrived{.id = RequestId(1), .model = "m"}, effects);
  EXPECT_EQ(core.InFlight(ReplicaId(1)), 1u);
}

}  // namespace
}  // namespace allot::router
