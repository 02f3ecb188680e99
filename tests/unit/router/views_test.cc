// Every field of what the router tells of a request and of its replicas.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "scheduler/router/core.h"
#include "scheduler/router/fleet.h"

namespace allot::router {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// One replica of two places, 3.6 $/h and 72 W, that answers in 100 ms.
class RouterViews : public ::testing::Test {
 protected:
  RouterViews() {
    table_.version = 1;
    table_.policy_name = "mine";
    table_.routing_algorithm = "round_robin";
    RouteDeployment& deployment = table_.deployments.emplace_back();
    deployment.name = "chat";
    deployment.model = "tiny";
    deployment.queue_timeout = seconds(30);
    deployment.objective.end_to_end = milliseconds(100);
    RouteReplica& replica = deployment.replicas.emplace_back();
    replica.id = ReplicaId(7);
    replica.node = "n1";
    replica.device_model = "google/tpu";
    replica.kind = DeviceKind::kAsic;
    replica.emulated = true;
    replica.concurrency = 2;
    replica.price = PriceRate{3'600'000};
    replica.power = 72'000;
    replica.ready = true;
    Step(NodeLinked{"n1"});
    Route();
  }
  void Route() {
    ++table_.version;
    Step(RoutesReceived{std::make_shared<RouteTable>(table_)});
  }
  RouteReplica& facts() { return table_.deployments[0].replicas[0]; }
  void Step(const Event& event) {
    out_.Clear();
    core_.Step(now_, event, out_);
  }
  RequestArrived Arrival(uint64_t id) {
    RequestArrived arrived;
    arrived.id = RequestId(id);
    arrived.model = "tiny";
    arrived.tenant = "red";
    arrived.prompt_tokens = 300;
    return arrived;
  }
  void Arrive(uint64_t id) { Step(Arrival(id)); }
  const RequestEnded& Answer(uint64_t id, Duration after, uint32_t tokens = 11) {
    now_ += after;
    Step(RequestCompleted{
        .id = RequestId(id), .http_status = 200, .output_tokens = tokens, .prompt_tokens = 310});
    return out_.ended.at(0);
  }
  void ExpectFacts(const CandidateView& view) {
    EXPECT_EQ(view.replica, ReplicaId(7));
    EXPECT_EQ(view.node, "n1");
    EXPECT_EQ(view.device_model, "google/tpu");
    EXPECT_EQ(view.kind, DeviceKind::kAsic);
    EXPECT_TRUE(view.emulated);
    EXPECT_EQ(view.price, PriceRate{3'600'000});
    EXPECT_EQ(view.power, 72'000);
    EXPECT_EQ(view.concurrency, 2u);
  }

  Core core_{CoreOptions{.explained_requests_max = 3, .explained_for = seconds(60)}};
  RouteTable table_;
  Time now_ = FromMicros(1'000'000);
  Effects out_;
};

TEST_F(RouterViews, OfAForward) {
  Arrive(1);
  const Forward& forward = std::get<Forward>(out_.commands.at(0));
  EXPECT_EQ(forward.id, RequestId(1));
  EXPECT_EQ(forward.node, "n1");
  EXPECT_EQ(forward.replica, ReplicaId(7));
  EXPECT_EQ(forward.reason, RouteReason::kOnlyReplica);
  EXPECT_EQ(forward.predicted, milliseconds(50));  // half of what is promised
  EXPECT_EQ(forward.tries, 1u);
  EXPECT_EQ(forward.deployment, "chat");
  EXPECT_EQ(forward.device_model, "google/tpu");
  EXPECT_EQ(forward.kind, DeviceKind::kAsic);
  EXPECT_TRUE(forward.emulated);
  EXPECT_EQ(forward.price, PriceRate{3'600'000});
  EXPECT_EQ(forward.power, 72'000);
  EXPECT_EQ(core_.InFlight(ReplicaId(7)), 1u);
  EXPECT_EQ(core_.RequestsInFlight("chat"), 1u);
}

TEST_F(RouterViews, OfARequestThatHasEnded) {
  Arrive(1);
  now_ += milliseconds(40);
  Step(FirstByteReceived{RequestId(1), true});
  const RequestEnded ended = Answer(1, milliseconds(60));
  EXPECT_EQ(ended.tenant, "red");
  EXPECT_EQ(ended.deployment, "chat");
  EXPECT_EQ(ended.device_model, "google/tpu");
  EXPECT_EQ(ended.kind, DeviceKind::kAsic);
  EXPECT_TRUE(ended.emulated);
  EXPECT_EQ(ended.http_status, 200);
  EXPECT_EQ(ended.prompt_tokens, 310u);
  EXPECT_EQ(ended.output_tokens, 11u);
  EXPECT_EQ(ended.queued, Duration{});
  EXPECT_EQ(ended.ttft, milliseconds(40));
  EXPECT_EQ(ended.end_to_end, milliseconds(100));
  EXPECT_TRUE(ended.within_objective);
  EXPECT_EQ(ended.cost.micros, 50);  // 1000 µ$/s, of two places one, for 0.1 s
  EXPECT_EQ(ended.energy, 3'600);
  EXPECT_EQ(core_.InFlight(ReplicaId(7)), 0u);
  EXPECT_EQ(core_.RequestsInFlight("chat"), 0u);
}

TEST_F(RouterViews, OfARequestNoModelServerAnswered) {
  Arrive(1);
  Step(ClientGone{RequestId(1)});
  EXPECT_EQ(out_.ended.at(0).http_status, 0);
  EXPECT_EQ(out_.ended.at(0).prompt_tokens, 0u);
  EXPECT_EQ(out_.ended.at(0).output_tokens, 0u);
}

TEST_F(RouterViews, OfWhatIsPredicted) {
  Arrive(1);
  Answer(1, milliseconds(100));
  Arrive(2);
  const std::vector<CandidateView> views = core_.Predictions("chat");
  ASSERT_EQ(views.size(), 1u);
  const CandidateView& view = views[0];
  ExpectFacts(view);
  EXPECT_EQ(view.in_flight, 1u);
  EXPECT_EQ(view.samples, 1u);
  EXPECT_EQ(view.verdict, view.within_objective ? "available" : "too slow");
  EXPECT_EQ(view.predicted_cost_nanos, 50'000);  // of the mean, which is the one seen
  EXPECT_EQ(view.predicted_cost.micros, 50);
  EXPECT_EQ(view.predicted_energy, EnergyOf(72'000, view.predicted) / 2);
  EXPECT_EQ(view.out_why, "");
  EXPECT_EQ(view.out_for, Duration{});
  EXPECT_TRUE(core_.Predictions("nobody").empty());
}

TEST_F(RouterViews, WhatItCostsIsRoundedToTheNearestMicroDollar) {
  facts().price = PriceRate{3'599'000};  // 0.49986 n$/µs of a place
  Route();
  Arrive(1);
  Answer(1, Duration(1'001));  // 500.36, so 500
  EXPECT_EQ(core_.Predictions("chat")[0].predicted_cost_nanos, 500);
  EXPECT_EQ(core_.Predictions("chat")[0].predicted_cost.micros, 1);
  Arrive(2);
  EXPECT_EQ(core_.Explain(RequestId(2))->candidates.at(0).predicted_cost.micros, 1);
}

TEST_F(RouterViews, LessThanHalfAMicroDollarIsNone) {
  facts().price = PriceRate{3'599'000};
  Route();
  Arrive(1);
  Answer(1, Duration(998));  // 498.86
  EXPECT_EQ(core_.Predictions("chat")[0].predicted_cost_nanos, 499);
  EXPECT_EQ(core_.Predictions("chat")[0].predicted_cost.micros, 0);
  Arrive(2);
  EXPECT_EQ(core_.Explain(RequestId(2))->candidates.at(0).predicted_cost.micros, 0);
}

TEST_F(RouterViews, OfADecision) {
  Arrive(1);
  Answer(1, milliseconds(100));
  Arrive(2);
  const auto explained = core_.Explain(RequestId(2));
  ASSERT_TRUE(explained.has_value());
  EXPECT_EQ(explained->id, RequestId(2));
  EXPECT_EQ(explained->deployment, "chat");
  EXPECT_EQ(explained->policy, "mine");
  EXPECT_EQ(explained->arrived, now_);
  EXPECT_EQ(explained->outcome, "forwarded");
  EXPECT_EQ(explained->reason, RouteReason::kOnlyReplica);
  EXPECT_EQ(explained->objective.end_to_end, milliseconds(100));
  EXPECT_EQ(explained->cost, std::nullopt);
  EXPECT_EQ(explained->energy, std::nullopt);
  ASSERT_EQ(explained->candidates.size(), 1u);
  const CandidateView& view = explained->candidates[0];
  ExpectFacts(view);
  EXPECT_EQ(view.in_flight, 0u);
  EXPECT_EQ(view.samples, 1u);
  EXPECT_EQ(view.verdict, "chosen");
  EXPECT_EQ(view.predicted_cost_nanos, 50'000);
  EXPECT_EQ(view.predicted_cost.micros, 50);
  EXPECT_EQ(view.predicted_energy, EnergyOf(72'000, view.predicted) / 2);
  Answer(2, milliseconds(100));
  EXPECT_EQ(core_.Explain(RequestId(2))->cost, Cost{50});
  EXPECT_EQ(core_.Explain(RequestId(2))->energy, 3'600);
}

TEST_F(RouterViews, OfADecisionAboutNoDeployment) {
  Arrive(1);
  RequestArrived stray = Arrival(2);
  stray.model = "nobody";
  Step(stray);
  const auto explained = core_.Explain(RequestId(2));
  ASSERT_TRUE(explained.has_value());
  EXPECT_EQ(explained->deployment, "");
  EXPECT_EQ(explained->objective.end_to_end, std::nullopt);
  EXPECT_EQ(explained->outcome, "rejected: unknown_model");
  EXPECT_TRUE(explained->candidates.empty());
}

// The fourth takes the first one's place, with nothing left of it.
TEST_F(RouterViews, TheLastDecisionsAreKept) {
  for (uint64_t id = 1; id <= 3; ++id) {
    Arrive(id);
    Answer(id, milliseconds(1));
  }
  EXPECT_TRUE(core_.Explain(RequestId(1)).has_value());
  for (uint64_t id = 4; id <= 6; ++id) {
    RequestArrived stray = Arrival(id);
    stray.model = "nobody";
    Step(stray);
    EXPECT_FALSE(core_.Explain(RequestId(id - 3)).has_value()) << id;
    const auto explained = core_.Explain(RequestId(id));
    ASSERT_TRUE(explained.has_value());
    EXPECT_EQ(explained->id, RequestId(id));
    EXPECT_EQ(explained->deployment, "");
    EXPECT_EQ(explained->objective.end_to_end, std::nullopt);
    EXPECT_EQ(explained->reason, std::nullopt);
    EXPECT_EQ(explained->cost, std::nullopt);
    EXPECT_EQ(explained->energy, std::nullopt);
    EXPECT_TRUE(explained->candidates.empty());
  }
  // And those after them say what became of them, not what became of the ones before.
  for (uint64_t id = 7; id <= 9; ++id) {
    Arrive(id);
    EXPECT_EQ(core_.Explain(RequestId(id))->outcome, "forwarded");
    EXPECT_FALSE(core_.Explain(RequestId(id - 3)).has_value());
    Answer(id, milliseconds(1));
  }
}

TEST_F(RouterViews, ADecisionIsKeptForItsTime) {
  Arrive(1);
  Answer(1, Duration{});
  now_ += seconds(60);
  Step(ClockTicked{});
  EXPECT_TRUE(core_.Explain(RequestId(1)).has_value());
  now_ += Duration(1);
  Step(ClockTicked{});
  EXPECT_FALSE(core_.Explain(RequestId(1)).has_value());
}

// A replica that is gone is named for as long as decisions about it are.
TEST_F(RouterViews, OfADecisionAboutAReplicaThatIsGone) {
  Arrive(1);
  Answer(1, Duration{});
  table_.deployments[0].replicas.clear();
  Route();
  ExpectFacts(core_.Explain(RequestId(1))->candidates.at(0));
}

TEST_F(RouterViews, OfWhatIsNotThere) {
  EXPECT_EQ(core_.Serving("tiny"), "chat");
  EXPECT_EQ(core_.Serving("nobody"), "");
  EXPECT_EQ(core_.ShadowedBy("chat"), "");
  EXPECT_EQ(core_.ShadowedBy("nobody"), "");
  EXPECT_EQ(core_.InFlight(ReplicaId(99)), 0u);
  EXPECT_EQ(core_.Queued("nobody"), 0u);
  EXPECT_EQ(core_.RequestsInFlight("nobody"), 0u);
  EXPECT_EQ(core_.EnergySoFar(now_, RequestId(99)), 0);
}

TEST_F(RouterViews, OfADeploymentInAnothersShadow) {
  RouteDeployment& other = table_.deployments.emplace_back(table_.deployments[0]);
  other.name = "later";
  other.created = FromMicros(5);
  other.replicas.clear();
  Route();
  EXPECT_EQ(core_.Serving("tiny"), "chat");
  EXPECT_EQ(core_.ShadowedBy("later"), "chat");
}

// What is promised is kept by an answer that takes just so long.
TEST_F(RouterViews, APromiseIsKeptToTheMicrosecond) {
  Objective& objective = table_.deployments[0].objective;
  objective = {
      .ttft = milliseconds(40), .per_token = milliseconds(10), .end_to_end = milliseconds(140)};
  Route();
  const auto kept = [this](Duration ttft, Duration rest, uint32_t tokens) {
    static uint64_t id = 100;
    RequestArrived arrived = Arrival(++id);
    arrived.stream = true;
    Step(arrived);
    now_ += ttft;
    Step(FirstByteReceived{RequestId(id)});
    return Answer(id, rest, tokens).within_objective;
  };
  EXPECT_TRUE(kept(milliseconds(40), milliseconds(100), 11));
  EXPECT_FALSE(kept(milliseconds(40) + Duration(1), milliseconds(90), 11));
  EXPECT_FALSE(kept(milliseconds(40), milliseconds(100) + Duration(1), 12));
  EXPECT_FALSE(kept(milliseconds(40), milliseconds(90) + Duration(1), 10));
  EXPECT_TRUE(kept(milliseconds(40), milliseconds(90), 10));
  EXPECT_TRUE(kept(milliseconds(40), milliseconds(10), 2));
  EXPECT_FALSE(kept(milliseconds(40), milliseconds(10) + Duration(1), 2));
  EXPECT_TRUE(kept(milliseconds(40), milliseconds(50), 1)) << "a single token has no pace";
}

TEST_F(RouterViews, WhatAStatusMakesOfARequest) {
  using Outcome = RequestEnded::Outcome;
  uint64_t id = 0;
  for (const auto& [status, outcome] :
       std::vector<std::pair<int32_t, Outcome>>{{200, Outcome::kOk},
                                                {399, Outcome::kOk},
                                                {400, Outcome::kClientError},
                                                {428, Outcome::kClientError},
                                                {429, Outcome::kUpstreamError},
                                                {430, Outcome::kClientError},
                                                {499, Outcome::kClientError},
                                                {500, Outcome::kUpstreamError},
                                                {501, Outcome::kClientError},
                                                {502, Outcome::kUpstreamError},
                                                {599, Outcome::kUpstreamError}}) {
    Arrive(++id);
    Step(RequestCompleted{.id = RequestId(id), .http_status = status, .output_tokens = 1});
    EXPECT_EQ(out_.ended.at(0).outcome, outcome) << status;
  }
}

TEST_F(RouterViews, TheFirstByteComesOnce) {
  Arrive(1);
  now_ += milliseconds(10);
  Step(FirstByteReceived{RequestId(1)});
  now_ += milliseconds(10);
  Step(FirstByteReceived{RequestId(1)});
  EXPECT_EQ(Answer(1, milliseconds(10)).ttft, milliseconds(10));
}

// At its deadline a request that waits is too late, also where a place comes free in that moment.
TEST_F(RouterViews, ADeadlineHasPassedWhenItIsReached) {
  table_.deployments[0].queue_max = 1;
  Route();
  Arrive(1);
  Arrive(2);
  RequestArrived late = Arrival(3);
  late.deadline = now_ + milliseconds(100);
  Step(late);
  EXPECT_EQ(core_.Queued("chat"), 1u);
  late = Arrival(4);
  late.deadline = now_;
  Step(late);
  EXPECT_EQ(std::get<Reject>(out_.commands.at(0)).reason, RejectReason::kDeadline);
  Answer(1, milliseconds(100));
  ASSERT_EQ(out_.commands.size(), 1u);
  EXPECT_EQ(std::get<Reject>(out_.commands[0]).reason, RejectReason::kDeadline);
}

TEST_F(RouterViews, ATableIsTakenUnlessANewerOneIsThere) {
  Step(RoutesReceived{nullptr});
  EXPECT_EQ(core_.routes().version, table_.version);
  table_.policy_name = "the same again";
  Step(RoutesReceived{std::make_shared<RouteTable>(table_)});
  EXPECT_EQ(core_.routes().policy_name, "the same again");
  --table_.version;
  table_.policy_name = "older";
  Step(RoutesReceived{std::make_shared<RouteTable>(table_)});
  EXPECT_EQ(core_.routes().policy_name, "the same again");
}

// A scheduler that has just begun knows of no replica; what was known before stays known.
TEST_F(RouterViews, AReplicaThatIsNotHeardOfIsWhatItWas) {
  facts().ready = false;
  facts().unheard = true;
  for (int i = 0; i < 2; ++i) {
    Route();
    EXPECT_EQ(core_.Predictions("chat").at(0).verdict, "available");
  }
  facts().unheard = false;
  Route();
  EXPECT_EQ(core_.Predictions("chat").at(0).verdict, "not ready");
}

TEST_F(RouterViews, RowsThatComeTwiceCountOnce) {
  table_.deployments.push_back(table_.deployments[0]);
  table_.deployments[1].model = "other";
  Route();
  EXPECT_EQ(core_.Serving("tiny"), "chat");
  EXPECT_EQ(core_.Serving("other"), "");
  EXPECT_EQ(core_.Predictions("chat").size(), 1u);
  table_.deployments[1] = table_.deployments[0];
  Route();
  EXPECT_EQ(core_.ShadowedBy("chat"), "");
}

// A replica with a request in flight stays with the deployment that sent it.
TEST_F(RouterViews, AReplicaDoesNotChangeHands) {
  Arrive(1);
  table_.deployments.push_back(table_.deployments[0]);
  table_.deployments[1].name = table_.deployments[1].model = "other";
  table_.deployments[0].replicas.clear();
  Route();
  EXPECT_TRUE(core_.Predictions("other").empty());
  Answer(1, Duration{});
  Route();
  Route();
  EXPECT_EQ(core_.Predictions("other").size(), 1u);
}

TEST_F(RouterViews, WhatIsGoneIsNamedForAsLongAsDecisionsAre) {
  RouteReplica second = facts();
  second.id = ReplicaId(8);
  second.ready = false;
  table_.deployments[0].replicas.push_back(second);
  Route();
  Arrive(1);
  Answer(1, Duration{});
  table_.deployments[0].replicas.erase(table_.deployments[0].replicas.begin());
  Route();
  now_ += seconds(30);
  table_.deployments[0].replicas.clear();
  Route();
  EXPECT_EQ(core_.Explain(RequestId(1))->candidates.at(0).node, "n1");
}

TEST(RouterWithoutDecisions, WorksAllTheSame) {
  for (const uint32_t kept : {0u, 1u}) {
    Core core(CoreOptions{.explained_requests_max = kept});
    Effects out;
    core.Step(FromMicros(1), RoutesReceived{std::make_shared<RouteTable>()}, out);
    RequestArrived arrived;
    arrived.id = RequestId(1);
    core.Step(FromMicros(1), arrived, out);
    EXPECT_EQ(out.ended.size(), 1u);
    EXPECT_EQ(core.Explain(RequestId(1)).has_value(), kept == 1);
  }
}

TEST(Held, IsRoundedToTheNearest) {
  RouteReplica facts;
  facts.concurrency = 4;
  facts.power = 1;
  EXPECT_EQ(HeldEnergyNanos(facts, Duration(1)), 0);
  EXPECT_EQ(HeldEnergyNanos(facts, Duration(2)), 1);
  EXPECT_EQ(HeldEnergyNanos(facts, Duration(5)), 1);
  EXPECT_EQ(HeldEnergyNanos(facts, Duration(6)), 2);
  facts.price = PriceRate{1};
  EXPECT_EQ(HeldCostNanos(facts, Duration(7'199'999)), 0);
  EXPECT_EQ(HeldCostNanos(facts, Duration(7'200'000)), 1);
  EXPECT_EQ(HeldCostNanos(facts, Duration(21'599'999)), 1);
  EXPECT_EQ(HeldCostNanos(facts, Duration(21'600'000)), 2);
}

}  // namespace
}  // namespace allot::router
