// Models served on three kinds of devices, requests through the gateway.
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "common/http/client.h"
#include "common/json/json.h"
#include "tests/integration/cluster_fixture.h"

namespace allot::testing {
namespace {

using ::testing::HasSubstr;

std::string HeaderOf(const http::Headers& headers, const std::string& name) {
  for (const auto& [key, value] : headers)
    if (std::equal(key.begin(), key.end(), name.begin(), name.end(),
                   [](char a, char b) { return std::tolower(a) == std::tolower(b); }))
      return value;
  return "";
}

class Serving : public ClusterTest {
 protected:
  void Deploy() {
    ClusterTest::Deploy("name: tiny\nmodel: tiny-words\ncommand: [" + Program("tiny_server") +
                            ", '{port}']\nresources: {cpus: 200m, memory: 64MiB}\n"
                            "health: {path: /health, interval: 100ms}\n"
                            "replicas:\n"
                            "  - {device: {kind: GPU}, concurrency: 2}\n"
                            "  - {device: {kind: CPU}, concurrency: 2}\n"
                            "  - {device: {kind: ASIC}, concurrency: 2}\n"
                            "objective: {end_to_end: 20s}\n",
                        "tiny-words");
    client_ = *http::BlockingClient::Create(gateway_url(), token());
  }
  http::ClientRequest RequestFor(const std::string& prompt, bool stream, int tokens = 3) const {
    http::ClientRequest request;
    request.method = "POST";
    request.target = "/v1/completions";
    request.headers = {{"Content-Type", "application/json"}};
    request.body = json::serialize(json::object{
        {"model", "tiny-words"}, {"prompt", prompt}, {"max_tokens", tokens}, {"stream", stream}});
    return request;
  }
  StatusOr<http::ClientResponse> Complete(const std::string& prompt, bool stream) {
    return client_->Fetch(RequestFor(prompt, stream));
  }
  int64_t InFlight() {
    const auto gateway = client::Api::Connect({gateway_url(), token()});
    const auto deployments = (*gateway)->GatewayDeployments();
    return deployments.ok() && !deployments->view.empty() ? deployments->view[0].in_flight : -1;
  }
  std::unique_ptr<http::BlockingClient> client_;
};

TEST_F(Serving, EveryAnswerTellsWhereItCameFromAndWhatThatCosts) {
  Up({}, "lowest-latency");
  Deploy();
  const auto answer = Complete("hello there", false);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->status, 200) << answer->body;
  EXPECT_THAT(answer->body, HasSubstr("hello there"));
  const http::Headers& h = answer->headers;
  EXPECT_THAT(HeaderOf(h, "X-Allot-Device-Kind"), ::testing::AnyOf("GPU", "CPU", "ASIC"));
  EXPECT_NE(HeaderOf(h, "X-Allot-Device"), "");
  EXPECT_NE(HeaderOf(h, "X-Allot-Node"), "");
  EXPECT_THAT(HeaderOf(h, "X-Allot-Replica"), HasSubstr("replica-"));
  EXPECT_THAT(HeaderOf(h, "X-Allot-Emulated"), ::testing::AnyOf("true", "false"));
  EXPECT_NE(HeaderOf(h, "X-Allot-Price-Usd-Per-Hour"), "");
  EXPECT_EQ(HeaderOf(h, "X-Allot-Policy"), "lowest-latency");
  EXPECT_NE(HeaderOf(h, "X-Allot-Reason"), "");

  const std::string id = HeaderOf(h, "X-Allot-Request-Id");
  const std::string why = Ok({"explain", id});
  EXPECT_THAT(why, HasSubstr("lowest-latency"));
  EXPECT_THAT(why, HasSubstr("chosen"));
  EXPECT_EQ(Allot({"explain", "req-00000000000fffff"}).code, 4);
}

TEST_F(Serving, StreamsArriveWholeWithTheirHeaders) {
  Up();
  Deploy();
  std::string text;
  const auto answer = client_->Stream(RequestFor("token", true, 5), [&](std::string_view piece) {
    text += piece;
    return true;
  });
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->status, 200);
  EXPECT_NE(HeaderOf(answer->headers, "X-Allot-Replica"), "");
  int events = 0;
  for (size_t at = 0; (at = text.find("\"token\"", at)) != std::string::npos; ++at) ++events;
  EXPECT_EQ(events, 5) << text;
  EXPECT_THAT(text, ::testing::EndsWith("data: [DONE]\n\n"));
}

TEST_F(Serving, AClientThatGoesAwayFreesItsReplica) {
  Up();
  Deploy();
  ASSERT_TRUE(Until([&] { return InFlight() == 0; }));
  const auto left = client_->Stream(RequestFor("endless", true, 1'000'000),
                                    [](std::string_view) { return false; });
  ASSERT_TRUE(left.ok()) << left.status();
  const std::string replica = HeaderOf(left->headers, "X-Allot-Replica");
  client_.reset();
  EXPECT_TRUE(Until([&] { return InFlight() == 0; }));
  // And the model server heard of it, so the device is free and not only the books.
  EXPECT_TRUE(Until([&] {
    return Ok({"logs", replica}).find("client gone") != std::string::npos;
  }));
}

// One of two equal replicas is broken. Of `requests` by eight clients at once all are answered
// well; Asked() is how many of them the broken one got to see.
class WorseReplica : public Serving {
 protected:
  int Asked(const std::string& fault, int requests) {
    const std::string name = fmt::format("tiny-{}", ++deployments_);
    const std::string claim = "claim-" + name;
    ClusterTest::Deploy(
        fmt::format("name: {}\nmodel: {}\ncommand: [{}, '{{port}}', '{}', '{}']\n"
                    "resources: {{cpus: 100m, memory: 64MiB}}\n"
                    "health: {{path: /health, interval: 100ms}}\n"
                    "replicas:\n  - {{device: {{kind: CPU}}, count: 2}}\n",
                    name, name, Program("tiny_server"), fault, folder() + "/" + claim),
        name);
    std::atomic<int> left = requests, good = 0;
    std::vector<std::thread> clients;
    for (int i = 0; i < 8; ++i)
      clients.emplace_back([&] {
        const auto client = http::BlockingClient::Create(gateway_url(), token());
        http::ClientRequest request = RequestFor("x", false);
        request.body = json::serialize(json::object{{"model", name}, {"prompt", "x"}});
        while (left.fetch_sub(1) > 0) {
          const auto answer = (*client)->Fetch(request);
          if (answer.ok() && answer->status == 200 && !answer->body.empty()) ++good;
        }
      });
    for (std::thread& client : clients) client.join();
    EXPECT_EQ(good, requests);
    Ok({"undeploy", name, "--wait"});
    const int asked = static_cast<int>(Read(claim).size());
    RecordProperty("asked_" + name, asked);
    return asked;
  }

 private:
  int deployments_ = 0;
};

TEST_F(WorseReplica, KeepsLittleOfTheTraffic) {
  Up({}, "cheapest-within-slo");
  for (const std::string fault : {"503", "429", "empty", "300ms"})
    EXPECT_LE(Asked(fault, 200), 20) << fault;
}

TEST_F(WorseReplica, ThatAnswers500AtOnceKeepsLittleOfTheTrafficUnderEveryPolicy) {
  Up();
  for (const std::string policy :
       {"balanced", "cheapest-within-slo", "fair-share", "lowest-latency", "power-capped"}) {
    Ok({"policy", "apply", policy});
    EXPECT_LE(Asked("500", 1000), 50) << policy;
  }
}

TEST_F(Serving, APolicyIsAppliedWithoutARestartAndABadOneChangesNothing) {
  Up();
  Deploy();
  EXPECT_EQ(HeaderOf(Complete("x", false)->headers, "X-Allot-Policy"), "cheapest-within-slo");
  Ok({"policy", "apply", "lowest-latency"});
  EXPECT_TRUE(Until([&] {
    return HeaderOf(Complete("x", false)->headers, "X-Allot-Policy") == "lowest-latency";
  }));
  EXPECT_THAT(Ok({"policy", "show"}), HasSubstr("fastest"));
  const CommandResult bad = Allot({"policy", "apply", Write("bad.yaml", "name: p\nrooting: {}\n")});
  EXPECT_EQ(bad.code, 2);
  EXPECT_THAT(bad.err, HasSubstr("bad.yaml:2:1"));
  EXPECT_THAT(bad.err, HasSubstr("routing"));
  EXPECT_THAT(Ok({"policy", "show"}), HasSubstr("lowest-latency"));
}

TEST_F(Serving, RequestsThatCannotBeServedAreRefusedInTheClientsTerms) {
  Up();
  Deploy();
  http::ClientRequest request = RequestFor("x", false);
  request.body = R"({"model":"nobody","prompt":"x"})";
  auto answer = client_->Fetch(request);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->status, 404);
  EXPECT_THAT(answer->body, HasSubstr("\"error\""));
  request.body = "{not json";
  answer = client_->Fetch(request);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->status, 400);
  Ok({"undeploy", "tiny", "--wait"});
  EXPECT_TRUE(Until([&] {
    const auto gone = Complete("x", false);
    return gone.ok() && gone->status != 200;
  }));
}

TEST_F(Serving, AKilledModelServerIsStartedAgain) {
  Up();
  Deploy();
  const auto deployments = api().Deployments();
  ASSERT_TRUE(deployments.ok());
  const client::ReplicaView before = deployments->view.at(0).replicas.at(0);
  ASSERT_GT(before.pid, 0);
  ASSERT_EQ(kill(static_cast<pid_t>(before.pid), SIGKILL), 0);
  EXPECT_TRUE(Until([&] {
    const auto now = api().Deployments();
    if (!now.ok() || now->view.empty() || now->view[0].replicas.empty()) return false;
    const client::ReplicaView& r = now->view[0].replicas[0];
    return r.id == before.id && r.phase == "ready" && r.pid != before.pid && r.restarts == 1;
  }));
}

TEST_F(Serving, TheLoadCommandCountsWhatItSent) {
  Up();
  Deploy();
  const std::string json = Ok({"load", "--model", "tiny-words", "--requests", "40", "--json"});
  EXPECT_THAT(json, HasSubstr("\"ok\":40"));
  EXPECT_THAT(json, HasSubstr("\"cost_usd_per_1000\""));
  Write("a.json", json);
  EXPECT_THAT(Ok({"load", "--report", "a.json"}), HasSubstr("cheapest-within-slo"));
}

}  // namespace
}  // namespace allot::testing
