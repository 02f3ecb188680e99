// An agent with endpoint devices: what it registers, how a replica on one lives, what a task sees.
// The hosted endpoint is the test's own server on loopback.
#include <sys/stat.h>

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/shell/agent.h"
#include "common/http/client.h"
#include "fake_scheduler.h"
#include "tests/hosted/hosted_endpoint.h"

namespace allot::agent {
namespace {

using ::testing::HasSubstr;
using testing::HostedEndpoint;
using ::testing::Not;
using Mood = HostedEndpoint::Mood;

const ReplicaId kReplica(4);

class AgentWithEndpoints : public ::testing::Test {
 protected:
  AgentWithEndpoints() {
    std::ofstream(s_.folder + "/ca.pem") << authority_.certificate();
    std::ofstream(s_.folder + "/token") << "sesame-street\n";
    chmod((s_.folder + "/token").c_str(), 0600);
    s_.adjust = [this](AgentOptions* options) {
      options->devices.clear_emulated();
      config::EndpointDevice& endpoint = *options->devices.add_endpoints();
      endpoint.set_name("far");
      endpoint.set_model("cerebras/cs-3");
      endpoint.set_url(hosted_.url());
      endpoint.set_capacity(2);
      endpoint.set_ca_file(s_.folder + "/ca.pem");
      endpoint.set_token_file(s_.folder + "/token");
    };
  }
  StartReplica Replica() {
    StartReplica start{s_.epoch, kReplica, {}};
    start.launch.deployment = start.launch.model = "chat";
    start.launch.command = {"/no/such/model-server"};
    start.launch.device_ids = {"far/1"};
    start.launch.health.interval = std::chrono::milliseconds(20);
    start.launch.health.failures_max = 2;
    return start;
  }
  bool Becomes(ReplicaPhase phase) {
    return s_.Until([&] { return s_.replicas[kReplica].phase == phase; });
  }
  std::string Metrics() {
    http::Client client(s_.loop, s_.agent->http_address(), 0);
    std::string body;
    bool over = false;
    const auto call = client.Start({.target = "/metrics"},
                                   {.head = nullptr,
                                    .body = [&](const std::string& piece) { body += piece; },
                                    .done = [&](const Status&) { over = true; }});
    EXPECT_TRUE(s_.Until([&] { return over; }));
    return body;
  }

  const testing::Authority authority_{"a test's authority"};
  const testing::Certificate certificate_ = authority_.Issue({"DNS:localhost"});
  HostedEndpoint hosted_{{.certificate = &certificate_, .token = "sesame-street", .prefix = "/v9"}};
  FakeScheduler s_;
};

TEST_F(AgentWithEndpoints, RegistersThemAndTheirTokenStaysAtHome) {
  s_.StartWelcomedAgent();
  const std::vector<Device>& devices = s_.registrations.at(0).info.devices;
  const Device& last = devices.back();
  EXPECT_EQ(last.id, "far/1");
  EXPECT_EQ(last.parent, "far");
  EXPECT_EQ(last.vendor, "cerebras");
  EXPECT_EQ(last.state, DeviceState::kReady);
  EXPECT_EQ(last.isolation, Isolation::kShared);
  EXPECT_TRUE(last.configured);
  EXPECT_EQ(last.endpoint, hosted_.url());
  wire::Message message;
  wire::Encode(AgentMessage{s_.registrations.at(0)}, &message);
  EXPECT_THAT(message.SerializeAsString(), Not(HasSubstr("sesame")));
  EXPECT_THAT(message.SerializeAsString(), Not(HasSubstr(s_.folder + "/token")));
}

TEST_F(AgentWithEndpoints, AReplicaHasNoProcessAndIsReadyWhenItAnswers) {
  s_.StartWelcomedAgent();
  s_.Say(Replica());
  ASSERT_TRUE(Becomes(ReplicaPhase::kReady));
  EXPECT_EQ(s_.replicas[kReplica].pid, 0);
  EXPECT_TRUE(std::filesystem::is_empty(s_.folder + "/state/processes"));
  EXPECT_THAT(Metrics(), HasSubstr("allotrope_agent_processes_running{what=\"replica\"} 0"));

  hosted_.Be(Mood::kUnavailable);
  ASSERT_TRUE(Becomes(ReplicaPhase::kUnhealthy));
  EXPECT_EQ(s_.replicas[kReplica].message,
            "2 health checks in a row failed, the last: /v9/v1/models answers 503");
  hosted_.Be(Mood::kHangingUp);
  ASSERT_TRUE(s_.Until([&] {
    return s_.replicas[kReplica].message.find("closed the connection") != std::string::npos;
  }));
  hosted_.Be(Mood::kUp);
  ASSERT_TRUE(Becomes(ReplicaPhase::kReady));
  EXPECT_EQ(s_.replicas[kReplica].restarts, 0u) << "nothing was started again";

  s_.Say(StopReplica{s_.epoch, kReplica, std::chrono::hours(1)});
  ASSERT_TRUE(Becomes(ReplicaPhase::kGone)) << "no grace is waited for";
  EXPECT_TRUE(s_.agent->core().Replicas().empty());
}

TEST_F(AgentWithEndpoints, ItsLogsAreNotHere) {
  s_.StartWelcomedAgent();
  s_.Say(Replica());
  ASSERT_TRUE(Becomes(ReplicaPhase::kReady));
  wire::ReadLog question;
  question.set_ticket(9);
  question.set_replica(kReplica.value());
  s_.Ask(question);
  ASSERT_TRUE(s_.Until([&] { return !s_.chunks.empty(); }));
  EXPECT_EQ(s_.chunks[0].error(),
            "replica-4 is served by " + hosted_.url() + ", which keeps its logs to itself");
}

TEST_F(AgentWithEndpoints, AfterARestartOfTheAgentTheSchedulersWordIsEnough) {
  s_.StartWelcomedAgent();
  s_.Say(Replica());
  ASSERT_TRUE(Becomes(ReplicaPhase::kReady));
  s_.KillAgent();
  s_.replicas.clear();
  s_.StartWelcomedAgent();
  EXPECT_TRUE(s_.registrations.at(0).replicas.empty()) << "nothing of it was kept";
  s_.Say(Replica());
  EXPECT_TRUE(Becomes(ReplicaPhase::kReady));
}

TEST_F(AgentWithEndpoints, ADeviceThatDoesNotAnswerIsUnhealthyUntilItDoes) {
  s_.StartWelcomedAgent();
  const auto last = [&]() -> const Device& { return s_.registrations.back().info.devices.back(); };
  EXPECT_EQ(last().state, DeviceState::kReady);
  hosted_.Be(Mood::kUnavailable);
  ASSERT_TRUE(s_.Until([&] { return last().state == DeviceState::kUnhealthy; }));
  EXPECT_EQ(last().health, std::vector<std::string>{"endpoint_status_503"});
  hosted_.Be(Mood::kUp);
  ASSERT_TRUE(s_.Until([&] { return last().state == DeviceState::kReady; }));
  EXPECT_TRUE(last().health.empty());
}

TEST_F(AgentWithEndpoints, ATaskFindsItsEndpointInItsEnvironment) {
  s_.StartWelcomedAgent();
  const TaskKey key{{JobId(5), 0}, Attempt(1)};
  StartTask start = s_.Task(key, {"/bin/sh", "-c", "env; cat $ALLOT_ENDPOINT_TOKEN_FILE"});
  start.launch.device_ids = {"far/0"};
  s_.Say(start);
  EXPECT_TRUE(s_.Await(key, TaskPhase::kExited).exit->succeeded());
  std::stringstream log;
  log << std::ifstream(s_.folder + "/state/logs/job-5.0.1.log").rdbuf();
  EXPECT_THAT(log.str(), HasSubstr("ALLOT_ENDPOINT_URL=" + hosted_.url() + "\n"));
  EXPECT_THAT(log.str(), HasSubstr("ALLOT_ENDPOINT_TOKEN_FILE=" + s_.folder + "/token\n"));
  EXPECT_THAT(log.str(), HasSubstr("sesame-street\n")) << "which it can read";
  EXPECT_THAT(log.str(), HasSubstr("ALLOT_DEVICE_KIND=ASIC\n"));
}

TEST_F(AgentWithEndpoints, ItsMetricsAreThereFromTheStart) {
  s_.StartWelcomedAgent();
  const std::string text = Metrics();
  EXPECT_THAT(text, HasSubstr("allotrope_endpoint_requests_in_flight{device=\"far/0\"} 0"));
  EXPECT_THAT(text,
              HasSubstr("allotrope_endpoint_requests_total{device=\"far/1\",outcome=\"error\"} 0"));
  EXPECT_THAT(text, HasSubstr("allotrope_endpoint_request_seconds_count{device=\"far/0\"} 0"));
  EXPECT_THAT(text, Not(HasSubstr("sesame")));
}

}  // namespace
}  // namespace allot::agent
