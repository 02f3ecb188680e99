// Deployments and jobs on endpoint devices, with the real programs. The hosted endpoint is the
// test's own HTTP or HTTPS server on loopback (tests/hosted): what is real is everything of ours,
// and the bytes between us and it.
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "client/local/files.h"
#include "common/http/client.h"
#include "common/json/json.h"
#include "tests/hosted/hosted_endpoint.h"
#include "tests/integration/cluster_fixture.h"

namespace allot::testing {
namespace {

using ::testing::HasSubstr;
using Mood = HostedEndpoint::Mood;

constexpr char kToken[] = "sk-only-the-endpoint-may-see-this";

std::string HeaderOf(const http::ClientResponse& response, const std::string& lower_case_name) {
  for (const auto& [key, value] : response.headers)
    if (key == lower_case_name) return value;
  return "";
}

class Endpoints : public ClusterTest, public ::testing::WithParamInterface<bool> {
 protected:
  // A cluster of one node: this machine's processors and one endpoint device.
  void UpWithEndpoint(bool https) {
    hosted_ = std::make_unique<HostedEndpoint>(HostedEndpoint::Options{
        .certificate = https ? &certificate_ : nullptr, .token = kToken, .prefix = "/openai"});
    Up({{"host", true, {}}});
    Write("ca.pem", authority_.certificate());
    chmod(Write("token", std::string(kToken) + "\n").c_str(), 0600);
    KillAgent("host");
    const std::string path = cluster().layout().AgentConfig("host");
    std::ofstream config(path, std::ios::app);
    config << "telemetry_every: 100ms\ndevices:\n  nvidia: false\n  endpoints:\n"
           << "    - {name: far, model: cerebras/cs-3, url: '" << hosted_->url()
           << "', price_usd_per_hour: 0.5, token_file: " << folder() << "/token"
           << ", remote_model: far-model" << (https ? ", ca_file: " + folder() + "/ca.pem" : "")
           << "}\n";
    config.close();
    StartAgent("host");
    client_ = *http::BlockingClient::Create(gateway_url(), token());
  }
  http::ClientRequest RequestFor(const std::string& prompt, bool stream, int tokens) const {
    http::ClientRequest request;
    request.method = "POST";
    request.target = "/v1/completions";
    request.headers = {{"Content-Type", "application/json"},
                       {"Authorization", "Bearer " + token()}};
    request.body = json::serialize(json::object{
        {"model", "words"}, {"prompt", prompt}, {"max_tokens", tokens}, {"stream", stream}});
    return request;
  }
  std::string PhaseOn(const std::string& model) {
    const auto deployments = api().Deployments();
    if (!deployments.ok() || deployments->view.empty()) return "?";
    for (const client::ReplicaView& replica : deployments->view[0].replicas)
      for (const client::DeviceRef& device : replica.devices)
        if (device.model == model) return replica.phase;
    return "none";
  }

  const Authority authority_{"a test's authority"};
  const Certificate certificate_ = authority_.Issue({"DNS:localhost", "IP:127.0.0.1"});
  std::unique_ptr<HostedEndpoint> hosted_;
  std::unique_ptr<http::BlockingClient> client_;
};

const char kOnlyThere[] =
    "name: words\ncommand: [/no/such/model-server]\nresources: {cpus: 0.1, memory: 1MiB}\n"
    "health: {interval: 100ms}\nreplicas:\n  - {device: {vendor: cerebras}, concurrency: 4}\n"
    "objective: {end_to_end: 20s}\n";

TEST_P(Endpoints, ADeploymentIsServedThroughOne) {
  UpWithEndpoint(GetParam());
  ClusterTest::Deploy(kOnlyThere, "words");
  const auto answer = client_->Fetch(RequestFor("hello there", false, 3));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->status, 200) << answer->body;
  EXPECT_THAT(answer->body, HasSubstr("hello there"));
  EXPECT_EQ(HeaderOf(*answer, "x-allot-device"), "cerebras/cs-3");
  EXPECT_EQ(HeaderOf(*answer, "x-allot-device-kind"), "ASIC");
  EXPECT_EQ(HeaderOf(*answer, "x-allot-emulated"), "false");
  EXPECT_EQ(HeaderOf(*answer, "x-seed"), "9");
  EXPECT_EQ(HeaderOf(*answer, "set-cookie"), "");
  const HostedEndpoint::Seen seen = hosted_->Asked().back();
  EXPECT_EQ(seen.path, "/openai/v1/completions");
  EXPECT_EQ(seen.model, "far-model");
  EXPECT_EQ(seen.authorization, std::string("Bearer ") + kToken);
  EXPECT_EQ(seen.body.find(token()), std::string::npos);

  // A stream, event by event.
  std::string text;
  int pieces = 0;
  const auto stream = client_->Stream(RequestFor("token", true, 50), [&](std::string_view piece) {
    text += piece;
    ++pieces;
    return true;
  });
  ASSERT_TRUE(stream.ok()) << stream.status();
  EXPECT_GT(pieces, 1);
  EXPECT_THAT(text, ::testing::EndsWith("data: [DONE]\n\n"));
  int events = 0;
  for (size_t at = 0; (at = text.find("\"token\"", at)) != std::string::npos; ++at) ++events;
  EXPECT_EQ(events, 50);

  // A client that goes away: the endpoint hears of it and computes no further.
  const auto left = client_->Stream(RequestFor("endless", true, 1'000'000),
                                    [](std::string_view) { return false; });
  ASSERT_TRUE(left.ok()) << left.status();
  client_.reset();
  EXPECT_TRUE(Until([&] { return hosted_->ClientsGone() == 1; }));

  // The agent's metrics tell of all that. The token is in no file but its own.
  const auto metrics = *http::BlockingClient::Create(
      "http://" + client::local::ReadAddresses(cluster().layout().NodeState("host"))->http, "");
  ASSERT_TRUE(Until([&] {
    const auto now = metrics->Fetch({.target = "/metrics"});
    return now.ok() &&
           now->body.find(
               "allotrope_endpoint_requests_total{device=\"far\",outcome=\"cancelled\"} 1") !=
               std::string::npos;
  }));
  const std::string now = metrics->Fetch({.target = "/metrics"})->body;
  EXPECT_THAT(now, HasSubstr("allotrope_endpoint_requests_in_flight{device=\"far\"} 0"));
  EXPECT_THAT(now,
              HasSubstr("allotrope_endpoint_tokens_total{device=\"far\",direction=\"output\"}"));
  for (const auto& file :
       std::filesystem::recursive_directory_iterator(cluster().layout().folder())) {
    if (!file.is_regular_file()) continue;
    const auto content = client::local::ReadFile(file.path().string());
    if (content.ok()) {
      EXPECT_EQ(content->find(kToken), std::string::npos) << file.path();
    }
  }
  Ok({"undeploy", "words", "--wait"});
}

INSTANTIATE_TEST_SUITE_P(Over, Endpoints, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Https" : "Http"; });

class OneEndpoint : public Endpoints {};

TEST_P(OneEndpoint, OneThatGoesDownIsRoutedAroundAndComesBack) {
  UpWithEndpoint(GetParam());
  ClusterTest::Deploy("name: words\ncommand: [" + Program("tiny_server") +
                          ", '{port}']\nresources: {cpus: 100m, memory: 64MiB}\n"
                          "health: {path: /health, interval: 100ms, failures_max: 2}\n"
                          "replicas:\n"
                          "  - {device: {vendor: cerebras}, concurrency: 4}\n"
                          "  - {device: {kind: CPU}, concurrency: 4}\n",
                      "words");
  Ok({"policy", "apply",
      Write("turns.yaml",
            "name: turns\nrouting: {algorithm: round_robin}\nprices: {as_of: 2026-01-01}\n")});
  const auto kind = [&] {
    const auto answer = client_->Fetch(RequestFor("x", false, 1));
    return !answer.ok()            ? answer.status().ToString()
           : answer->status != 200 ? fmt::format("{} {}", answer->status, answer->body)
                                   : HeaderOf(*answer, "x-allot-device-kind");
  };
  EXPECT_TRUE(Until([&] { return kind() == "ASIC"; }));
  EXPECT_TRUE(Until([&] { return kind() == "CPU"; }));

  hosted_->Be(Mood::kHangingUp);
  // From the first moment on: what fails there before its first byte is tried elsewhere.
  EXPECT_TRUE(Until([&] {
    EXPECT_EQ(kind(), "CPU");
    return PhaseOn("cerebras/cs-3") == "unhealthy";
  }));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(kind(), "CPU");
  EXPECT_TRUE(Until([&] {  // The device too, so nothing new is put there.
    return Ok({"devices", "--json"}).find("unhealthy") != std::string::npos;
  }));

  hosted_->Be(Mood::kUp);
  EXPECT_TRUE(Until([&] { return kind() == "ASIC"; }));
  const auto deployments = api().Deployments();
  ASSERT_TRUE(deployments.ok());
  for (const client::ReplicaView& replica : deployments->view.at(0).replicas)
    EXPECT_EQ(replica.restarts, 0) << replica.id;
}

TEST_P(OneEndpoint, AnAgentThatIsKilledServesThroughItAgain) {
  UpWithEndpoint(GetParam());
  ClusterTest::Deploy(kOnlyThere, "words");
  const std::string before = api().Deployments()->view.at(0).replicas.at(0).id;
  KillAgent("host");
  StartAgent("host");
  EXPECT_TRUE(Until([&] {
    const auto answer = client_->Fetch(RequestFor("x", false, 1));
    return answer.ok() && answer->status == 200;
  }));
  EXPECT_EQ(api().Deployments()->view.at(0).replicas.at(0).id, before);
}

TEST_P(OneEndpoint, AJobRunsHereAndIsToldWhereItsDeviceAnswers) {
  UpWithEndpoint(GetParam());
  const std::string id = Ok({"submit", "--device", "vendor=cerebras", "--", "/bin/sh", "-c",
                             "echo at $ALLOT_ENDPOINT_URL on $ALLOT_DEVICE_IDS; "
                             "test -s $ALLOT_ENDPOINT_TOKEN_FILE"});
  EXPECT_EQ(Allot({"wait", id, "--timeout", "100s"}).code, 0);
  EXPECT_EQ(Ok({"logs", id}), "at " + hosted_->url() + " on far");
}

INSTANTIATE_TEST_SUITE_P(Over, OneEndpoint, ::testing::Values(true),
                         [](const auto&) { return "Https"; });

}  // namespace
}  // namespace allot::testing
