// Deployments while they change, with real model servers: what `allot deploy --wait` says, and
// streams that are under way meanwhile.
#include <atomic>
#include <thread>

#include "common/http/client.h"
#include "common/json/json.h"
#include "tests/integration/cluster_fixture.h"

namespace allot::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

struct Shape {
  std::string before;  // the server starts, in the shell
  int replicas = 1;
  std::string more;  // lines of the deployment
};

class Rollouts : public ClusterTest {
 protected:
  // A deployment of "a". A changed `before` is another version.
  std::string File(const Shape& shape) const {
    return Write(
        "a.yaml",
        fmt::format("name: a\nmodel: words\ncommand: [sh, -c, '{} exec {} {{port}}']\n"
                    "resources: {{cpus: 10m, memory: 64MiB}}\n"
                    "health: {{path: /health, interval: 50ms}}\n"
                    "replicas: [{{device: {{kind: CPU}}, concurrency: 64, count: {}}}]\n{}",
                    shape.before, Program("tiny_server"), shape.replicas, shape.more));
  }
  CommandResult DeployAndWait(const Shape& shape, const std::string& timeout) const {
    return Allot({"deploy", File(shape), "--wait", "--timeout", timeout});
  }
  client::DeploymentView View() {
    const auto view = api().Deployment("a");
    return view.ok() ? view->view : client::DeploymentView();
  }
  // What is there is of the last version, and ready.
  void ExpectReady(const CommandResult& result, int replicas) {
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr(fmt::format("a is ready: {} replicas", replicas)));
    const client::DeploymentView view = View();
    EXPECT_EQ(view.replicas.size(), static_cast<size_t>(replicas));
    for (const client::ReplicaView& replica : view.replicas) {
      EXPECT_EQ(replica.phase, "ready");
      EXPECT_EQ(replica.generation, view.generation);
    }
  }
};

TEST_F(Rollouts, WaitingForADeploymentTellsTheTruth) {
  Up();
  ExpectReady(DeployAndWait({}, "60s"), 1);

  const CommandResult crashes = DeployAndWait({.before = "exit 8;"}, "5s");
  EXPECT_EQ(crashes.code, 6) << "the one of before still serves, and says nothing of this one";
  EXPECT_THAT(crashes.err, AllOf(HasSubstr("0 of 1 replicas ready"), HasSubstr("code 8")));

  ExpectReady(DeployAndWait({.before = "V=2;"}, "60s"), 1);

  const CommandResult unwell = DeployAndWait({.before = "exec sleep 60;"}, "1s");
  EXPECT_EQ(unwell.code, 6) << "its server never listens";
  EXPECT_THAT(unwell.err, HasSubstr("0 of 1 replicas ready"));

  ExpectReady(DeployAndWait({.before = "V=3;", .replicas = 3}, "60s"), 3);
  ExpectReady(DeployAndWait({.before = "V=3;", .replicas = 0}, "60s"), 0);

  const CommandResult dear =
      DeployAndWait({.before = "V=4;", .more = "price_cap_usd_per_hour: 0\n"}, "1s");
  EXPECT_EQ(dear.code, 6);
  EXPECT_THAT(dear.err,
              AllOf(HasSubstr("0 of 1 replicas ready"), HasSubstr("dearer than the price cap")));

  ExpectReady(DeployAndWait({.before = "V=3;", .replicas = 2}, "60s"), 2);

  const CommandResult no_room = DeployAndWait({.before = "V=4;", .replicas = 9000}, "1s");
  EXPECT_EQ(no_room.code, 6);
  EXPECT_THAT(no_room.err, HasSubstr("of 9000 replicas ready"));

  const CommandResult taken =
      Allot({"deploy",
             Write("b.yaml",
                   "name: b\nmodel: words\ncommand: [sleep, '60']\nreplicas: [{device: {kind: "
                   "CPU}}]\n"),
             "--wait", "--timeout", "60s"});
  EXPECT_EQ(taken.code, 1);
  EXPECT_THAT(taken.err, HasSubstr("words"));
}

TEST_F(Rollouts, WaitingEndsWhenSomebodyElseHasChangedIt) {
  Up();
  for (const bool undeployed : {true, false}) {
    CommandResult waited;
    std::thread waits([&] { waited = DeployAndWait({.before = "exec sleep 60;"}, "60s"); });
    // Its own: what was undeployed in the round before may still be there.
    EXPECT_TRUE(Until([&] {
      const client::DeploymentView view = View();
      return !view.stopping && !view.replicas.empty() &&
             view.replicas.back().generation == view.generation;
    }));
    if (undeployed) {
      Ok({"undeploy", "a"});
    } else {
      Ok({"deploy", Write("other.yaml", Read("a.yaml") + "environment: {OTHER: version}\n")});
    }
    waits.join();
    EXPECT_EQ(waited.code, 1) << waited.out;
    EXPECT_THAT(waited.err,
                HasSubstr(undeployed ? "was undeployed meanwhile" : "was deployed anew"));
  }
}

TEST_F(Rollouts, WaitingOutlastsASlowStartAndTheScheduler) {
  Up();
  ExpectReady(DeployAndWait({}, "60s"), 1);
  CommandResult waited;
  std::thread waits([&] {
    waited = DeployAndWait(
        {.before = fmt::format("while [ ! -e {}/go ]; do sleep 0.05; done;", folder())}, "60s");
  });
  EXPECT_TRUE(Until([&] {
    const client::DeploymentView view = View();
    return view.replicas.size() == 2 && view.state == "updating" && view.replicas[1].pid > 0;
  }));
  KillScheduler();
  Write("go", "");
  StartScheduler();
  waits.join();
  ExpectReady(waited, 1);
}

TEST_F(Rollouts, StreamsUnderAnUpdateAScaleDownAndAnUndeployEndWhole) {
  constexpr int kStreams = 12, kEvents = 400;
  Up();
  const auto client = *http::BlockingClient::Create(gateway_url(), token());
  const auto in_flight = [&] {
    const auto gateway = client::Api::Connect({gateway_url(), token()});
    const auto deployments = (*gateway)->GatewayDeployments();
    return deployments.ok() && !deployments->view.empty() ? deployments->view[0].in_flight : -1;
  };
  const auto under_streams = [&](const std::string& what, const std::function<void()>& change) {
    SCOPED_TRACE(what);
    std::atomic<int> whole = 0;
    std::vector<std::thread> streams;
    for (int i = 0; i < kStreams; ++i)
      streams.emplace_back([&] {
        const auto stream = http::BlockingClient::Create(gateway_url(), token());
        http::ClientRequest request;
        request.method = "POST";
        request.target = "/v1/completions";
        request.headers = {{"Content-Type", "application/json"}};
        request.body = json::serialize(json::object{
            {"model", "words"}, {"prompt", "x"}, {"max_tokens", kEvents}, {"stream", true}});
        const auto answer = (*stream)->Fetch(request);
        if (!answer.ok() || answer->status != 200) return;
        int events = 0;
        for (size_t at = 0; (at = answer->body.find("data: ", at)) != std::string::npos; ++at)
          ++events;
        if (events == kEvents + 1 && answer->body.ends_with("data: [DONE]\n\n")) ++whole;
      });
    EXPECT_TRUE(Until([&] { return in_flight() == kStreams; }));
    change();
    for (std::thread& stream : streams) stream.join();
    EXPECT_EQ(whole, kStreams);
  };
  File({.replicas = 3});
  ClusterTest::Deploy(Read("a.yaml"), "words");
  under_streams("update", [&] { ExpectReady(DeployAndWait({"V=2;", 3}, "60s"), 3); });
  under_streams("scale down", [&] { ExpectReady(DeployAndWait({"V=2;", 1}, "60s"), 1); });
  under_streams("undeploy", [&] { Ok({"undeploy", "a", "--wait"}); });
}

}  // namespace
}  // namespace allot::testing
