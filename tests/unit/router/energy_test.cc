// Energy of requests: what the replica's lease draws at most, over the time a request held its
// share of it. What is left of a millijoule goes to the next request of the same devices.
#include "gtest/gtest.h"
#include "scheduler/router/core.h"

namespace allot::router {
namespace {

class Energy : public testing::Test {
 protected:
  Energy() {
    auto table = std::make_shared<RouteTable>();
    table->version = 1;
    table->routing_algorithm = "round_robin";
    RouteDeployment& deployment = table->deployments.emplace_back();
    deployment.name = deployment.model = "chat";
    RouteReplica& replica = deployment.replicas.emplace_back();
    replica.id = ReplicaId(1);
    replica.node = "n1";
    replica.device_model = "nvidia/l4";
    replica.concurrency = 4;
    replica.power = 72'001;
    replica.ready = true;
    Step(RoutesReceived{table});
    Step(NodeLinked{"n1"});
  }
  void Step(const Event& event) {
    out_.Clear();
    core_.Step(now_, event, out_);
  }
  void Arrive(uint64_t id) {
    RequestArrived arrived;
    arrived.id = RequestId(id);
    arrived.model = "chat";
    Step(arrived);
  }
  MilliJoule EndAfter(uint64_t id, Duration time) {
    now_ += time;
    Step(RequestCompleted{RequestId(id), 200, 1});
    return out_.ended.at(0).energy;
  }

  Core core_{CoreOptions{}};
  Time now_ = FromMicros(1'000'000);
  Effects out_;
};

TEST_F(Energy, IsPowerTimesTimeOverWhatTheReplicaTakesAtOnce) {
  Arrive(1);
  EXPECT_EQ(std::get<Forward>(out_.commands.at(0)).power, 72'001);
  now_ += std::chrono::seconds(1);
  EXPECT_EQ(core_.EnergySoFar(now_, RequestId(1)), 18'000);
  EXPECT_EQ(EndAfter(1, std::chrono::seconds(1)), 36'000);  // 36000.5, and a half goes on
  EXPECT_EQ(core_.EnergySoFar(now_, RequestId(1)), 0);
  const auto explained = core_.Explain(RequestId(1));
  ASSERT_TRUE(explained.has_value());
  EXPECT_EQ(explained->energy, 36'000);
  EXPECT_EQ(explained->candidates.at(0).power, 72'001);
}

TEST_F(Energy, SumsAreExact) {
  MilliJoule sum = 0;
  for (uint64_t id = 1; id <= 1'000; ++id) {
    Arrive(id);
    sum += EndAfter(id, Duration(137));
  }
  // 72.001 W × 137 µs ÷ 4 is 2.466034 mJ, a thousand times.
  EXPECT_EQ(sum, 2'466);
}

TEST_F(Energy, OfARequestThatWasNotForwardedIsNothing) {
  RequestArrived arrived;
  arrived.id = RequestId(9);
  arrived.model = "nobody";
  Step(arrived);
  EXPECT_EQ(out_.ended.at(0).energy, 0);
  EXPECT_EQ(core_.Explain(RequestId(9))->energy, std::nullopt);
}

}  // namespace
}  // namespace allot::router
