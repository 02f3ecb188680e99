#include "agent/shell/agent.h"

#include <atomic>
#include <csignal>

#include <sys/syscall.h>
#include <unistd.h>

#include "common/auth/tokens.h"
#include "common/base/address.h"
#include "common/http/client.h"
#include "common/program/own_address.h"
#include "common/program/program.h"
#include "fake_scheduler.h"

namespace {
std::atomic<int> files_synced{0};
}

// Stands before the C library's: how often this program waited for a disk.
extern "C" int fsync(int fd) {
  ++files_synced;
  return static_cast<int>(syscall(SYS_fsync, fd));
}

namespace allot::agent {
namespace {

class AgentShell : public ::testing::Test {
 protected:
  std::string ReadText(const std::string& path) {
    std::ifstream in(path);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }
  // GET from the agent's own HTTP server, on the same loop.
  std::pair<int, std::string> Get(const std::string& path, http::Headers headers = {}) {
    http::Client client(s_.loop, s_.agent->http_address(), 0);
    int status = 0;
    std::string body;
    bool over = false;
    const auto call = client.Start({.target = path, .headers = std::move(headers)},
                                   {.head = [&](int code, http::Headers) { status = code; },
                                    .body = [&](std::string piece) { body += piece; },
                                    .done = [&](Status) { over = true; }});
    EXPECT_TRUE(s_.Until([&] { return over; }));
    return {status, body};
  }
  StartReplica Replica(ReplicaId id) {
    StartReplica start{s_.epoch, id, {}};
    start.launch.deployment = "chat";
    start.launch.command = {ALLOT_MODEL_SERVER, "{port}"};
    start.launch.health.interval = std::chrono::milliseconds(20);
    start.launch.health.failures_max = 1;
    return start;
  }

  FakeScheduler s_;
};

TEST_F(AgentShell, RegistersWithItsDevicesAndAddresses) {
  s_.StartWelcomedAgent();
  const NodeInfo& info = s_.registrations.at(0).info;
  EXPECT_EQ(info.name, "n1");
  EXPECT_EQ(info.address, "127.0.0.1");
  EXPECT_EQ(info.metrics_address, s_.agent->http_address());
  EXPECT_EQ(info.instance.size(), 32u);
  ASSERT_GE(info.devices.size(), 2u);
  EXPECT_EQ(info.devices[0].id, "cpu0");
  EXPECT_EQ(info.devices.back().model, "nvidia/l4");
  EXPECT_TRUE(info.devices.back().emulated);
  int64_t cores = 0;
  for (const Device& device : info.devices) cores += device.emulated ? 0 : device.cores;
  EXPECT_EQ(info.cpus, cores * 1000);
  EXPECT_GT(info.memory, 0);
  EXPECT_EQ(ReadText(s_.folder + "/state/addresses.yaml"),
            fmt::format("pid: {}\nhttp: \"{}\"\n", getpid(), s_.agent->http_address()));
}

TEST_F(AgentShell, SaysWhatItCannotKeepApart) {
  s_.isolation_off = true;
  s_.StartWelcomedAgent();
  const NodeInfo& info = s_.registrations.at(0).info;
  ASSERT_EQ(info.losses.size(), 2u);
  EXPECT_NE(info.losses[0].find("isolation.cgroups is false"), std::string::npos);
  EXPECT_NE(info.losses[1].find("users.separation is off"), std::string::npos);
  EXPECT_EQ(info.devices[0].isolation, Isolation::kShared);
  EXPECT_EQ(info.devices.back().isolation, Isolation::kNone);
  EXPECT_TRUE(info.devices.back().configured);
  EXPECT_EQ(info.devices.back().power_max, 72'000);
}

TEST_F(AgentShell, ATaskGetsTheVariablesOfItsSet) {
  s_.shares_of_a_device = 2;
  s_.StartWelcomedAgent();
  StartTask start = s_.Task(kTask, {"/bin/sh", "-c", "echo $CUDA_VISIBLE_DEVICES"});
  start.launch.device_ids = {"emu0/s0", "emu0/s1"};
  s_.Say(start);
  s_.Await(kTask, TaskPhase::kExited);
  EXPECT_EQ(ReadText(s_.folder + "/state/logs/job-5.0.1.log"), "0\n");
  const NodeInfo& info = s_.registrations.at(0).info;
  EXPECT_EQ(info.devices.back().parent, "emu0");
  EXPECT_EQ(info.devices.back().part_millis, 500);
}

TEST_F(AgentShell, RunsATaskFromStartToAcknowledgement) {
  s_.StartWelcomedAgent();
  StartTask start = s_.Task(kTask, {"/bin/sh", "-c",
                                    "echo rank $RANK on $ALLOT_DEVICE_IDS; test -d "
                                    "$ALLOT_CHECKPOINT_DIR && exit 4"});
  start.launch.device_ids = {"emu0"};
  s_.Say(start);
  const TaskStatus status = s_.Await(kTask, TaskPhase::kExited);
  EXPECT_EQ(status.exit->code, 4);
  EXPECT_EQ(ReadText(s_.folder + "/state/logs/job-5.0.1.log"), "rank 0 on emu0\n");
  s_.Say(AckTasks{s_.epoch, {kTask}});
  EXPECT_TRUE(s_.Until([&] { return s_.agent->core().Tasks().empty(); }));
  EXPECT_TRUE(std::filesystem::is_empty(s_.folder + "/state/processes"));
  EXPECT_TRUE(std::filesystem::is_empty(s_.folder + "/state/scratch"));
}

TEST_F(AgentShell, ATaskThatCannotStartIsReportedWithItsReason) {
  s_.StartWelcomedAgent();
  s_.Say(s_.Task(kTask, {"/no/such/program"}));
  EXPECT_EQ(s_.Await(kTask, TaskPhase::kExited).exit->message,
            "cannot run \"/no/such/program\": No such file or directory");
  const TaskKey other{{JobId(6), 0}, Attempt(1)};
  StartTask start = s_.Task(other, {"true"});
  start.launch.checkpoint_dir = "/proc/no/folders/here";
  s_.Say(start);
  const TaskExit exit = *s_.Await(other, TaskPhase::kExited).exit;
  EXPECT_EQ(exit.code, 127);
  EXPECT_NE(exit.message.find("cannot create the checkpoint folder"), std::string::npos);
}

TEST_F(AgentShell, ATaskSurvivesTheAgentWithItsPid) {
  s_.StartWelcomedAgent();
  s_.Say(s_.Task(kTask,
                 {"/bin/sh", "-c", "while [ ! -e " + s_.folder + "/go ]; do sleep 0.02; done"}));
  const int64_t pid = s_.Await(kTask, TaskPhase::kRunning).pid;
  s_.KillAgent();
  EXPECT_EQ(kill(static_cast<pid_t>(pid), 0), 0);

  s_.StartWelcomedAgent();
  EXPECT_EQ(s_.Await(kTask, TaskPhase::kRunning).pid, pid);
  EXPECT_GT(s_.registrations.at(0).registration, uint64_t{2} << 20);
  std::ofstream(s_.folder + "/go") << "";
  EXPECT_TRUE(s_.Await(kTask, TaskPhase::kExited).exit->succeeded());
}

TEST_F(AgentShell, AnExitNobodyWatchedIsReportedByTheNextAgent) {
  s_.StartWelcomedAgent();
  s_.Say(s_.Task(kTask, {"/bin/sh", "-c",
                         "while [ ! -e " + s_.folder + "/go ]; do sleep 0.02; done; exit 8"}));
  const int64_t pid = s_.Await(kTask, TaskPhase::kRunning).pid;
  s_.KillAgent();
  std::ofstream(s_.folder + "/go") << "";
  // Not our child any more than the supervisor's death will be: look until it is gone.
  EXPECT_TRUE(s_.Until([&] { return kill(static_cast<pid_t>(pid), 0) != 0; }));
  s_.StartWelcomedAgent();
  EXPECT_EQ(s_.Await(kTask, TaskPhase::kExited).exit->code, 8);
}

TEST_F(AgentShell, StoppingIsTermThenKillAndTheNoticeIsThere) {
  s_.StartWelcomedAgent();
  s_.Say(s_.Task(kTask,
                 {"/bin/sh", "-c",
                  "trap 'read -r n < $ALLOT_PREEMPTION_NOTICE_FILE; echo \"$n\"' TERM; echo up; "
                  "while :; do sleep 0.02; done"}));
  s_.Await(kTask, TaskPhase::kRunning);
  const std::string log = s_.folder + "/state/logs/job-5.0.1.log";
  ASSERT_TRUE(s_.Until([&] { return ReadText(log) == "up\n"; }));
  const int synced = files_synced;
  s_.Say(StopTask{s_.epoch, kTask, std::chrono::seconds(1)});
  EXPECT_EQ(s_.Await(kTask, TaskPhase::kExited).exit->signal, SIGKILL);
  EXPECT_NE(ReadText(log).find("{\"signal\": 15}\n"), std::string::npos);
  EXPECT_EQ(files_synced, synced) << "the loop waited for the disk";
}

TEST_F(AgentShell, ProgressTravelsWithHeartbeats) {
  s_.StartWelcomedAgent();
  s_.Say(
      s_.Task(kTask, {"/bin/sh", "-c",
                      "echo '{\"step\": 3, \"total\": 9, \"loss\": 1.5}' > $ALLOT_PROGRESS_FILE; "
                      "while [ ! -e " +
                          s_.folder + "/go ]; do sleep 0.02; done"}));
  ASSERT_TRUE(s_.Until([&] { return s_.progress.contains(kTask); }));
  EXPECT_EQ(s_.progress[kTask], (TaskProgress{3, 9, 1.5}));
  std::ofstream(s_.folder + "/go") << "";
  s_.Await(kTask, TaskPhase::kExited);
}

TEST_F(AgentShell, ALogIsFollowedToItsEnd) {
  s_.StartWelcomedAgent();
  s_.Say(s_.Task(kTask, {"/bin/sh", "-c",
                         "while [ ! -e " + s_.folder + "/go ]; do sleep 0.02; done; echo out"}));
  s_.Await(kTask, TaskPhase::kRunning);
  wire::ReadLog question;
  question.set_ticket(41);
  wire::Encode(kTask, question.mutable_key());
  question.set_length_max(1000);
  s_.Ask(question);  // does not wait: nothing yet
  ASSERT_TRUE(s_.Until([&] { return s_.chunks.size() == 1; }));
  EXPECT_EQ(s_.chunks[0].ticket(), 41u);
  EXPECT_FALSE(s_.chunks[0].ended());
  EXPECT_EQ(s_.chunks[0].data(), "");

  question.set_ticket(42);
  question.set_wait(true);
  s_.Ask(question);
  std::ofstream(s_.folder + "/go") << "";
  ASSERT_TRUE(s_.Until([&] { return s_.chunks.size() == 2; }));
  EXPECT_EQ(s_.chunks[1].data(), "out\n");
  s_.Await(kTask, TaskPhase::kExited);
  question.set_offset(4);
  s_.Ask(question);
  ASSERT_TRUE(s_.Until([&] { return s_.chunks.size() == 3; }));
  EXPECT_TRUE(s_.chunks[2].ended());
  EXPECT_EQ(s_.chunks[2].data(), "");
}

TEST_F(AgentShell, AReplicaBecomesReadyAndIsStartedAgainWhenItEnds) {
  s_.StartWelcomedAgent();
  const ReplicaId id(3);
  s_.Say(Replica(id));
  ASSERT_TRUE(s_.Until([&] { return s_.replicas[id].phase == ReplicaPhase::kReady; }));
  const int64_t pid = s_.replicas[id].pid;
  ASSERT_GT(pid, 1);
  kill(static_cast<pid_t>(pid), SIGKILL);
  ASSERT_TRUE(s_.Until([&] {
    return s_.replicas[id].phase == ReplicaPhase::kReady && s_.replicas[id].restarts == 1;
  }));
  EXPECT_NE(s_.replicas[id].pid, pid);
  s_.Say(StopReplica{s_.epoch, id, std::chrono::seconds(5)});
  EXPECT_TRUE(s_.Until([&] { return s_.replicas[id].phase == ReplicaPhase::kGone; }));
  EXPECT_TRUE(std::filesystem::is_empty(s_.folder + "/state/processes"));
}

TEST_F(AgentShell, AReplicaSurvivesTheAgentWithItsPid) {
  s_.StartWelcomedAgent();
  const ReplicaId id(3);
  s_.Say(Replica(id));
  ASSERT_TRUE(s_.Until([&] { return s_.replicas[id].phase == ReplicaPhase::kReady; }));
  const int64_t pid = s_.replicas[id].pid;
  s_.KillAgent();
  s_.replicas.clear();
  s_.StartWelcomedAgent();
  ASSERT_TRUE(s_.Until([&] { return s_.replicas[id].phase == ReplicaPhase::kReady; }));
  EXPECT_EQ(s_.replicas[id].pid, pid);
  EXPECT_EQ(s_.replicas[id].restarts, 0u);
  s_.Say(StopReplica{s_.epoch, id, std::chrono::seconds(5)});
  EXPECT_TRUE(s_.Until([&] { return s_.replicas[id].phase == ReplicaPhase::kGone; }));
}

TEST_F(AgentShell, AReplicaThatNeverListensSaysWhy) {
  s_.StartWelcomedAgent();
  const ReplicaId id(4);
  StartReplica start = Replica(id);
  start.launch.command = {"/no/such/server"};
  s_.Say(start);
  EXPECT_TRUE(s_.Until([&] {
    return s_.replicas[id].message.find("cannot run \"/no/such/server\"") != std::string::npos;
  }));
}

TEST_F(AgentShell, AnOlderTermIsNotObeyed) {
  s_.StartWelcomedAgent();
  s_.term = 2;
  s_.Say(s_.Task(kTask, {"true"}));
  s_.term = 3;
  const TaskKey other{{JobId(6), 0}, Attempt(1)};
  s_.Say(s_.Task(other, {"true"}));
  s_.Await(other, TaskPhase::kExited);
  EXPECT_FALSE(s_.tasks.contains(kTask));
  const auto [status, text] = Get("/metrics");
  EXPECT_EQ(status, 200);
  EXPECT_NE(text.find("allotrope_agent_envelopes_dropped_total{reason=\"old_term\"} 1"),
            std::string::npos);
}

TEST_F(AgentShell, TelemetryAndMetricsNameTheDevices) {
  s_.StartWelcomedAgent();
  ASSERT_TRUE(s_.Until([&] { return !s_.telemetry.empty(); }));
  EXPECT_EQ(s_.telemetry[0].id, "cpu0");
  s_.Say(s_.Task(kTask, {"true"}));
  s_.Await(kTask, TaskPhase::kExited);
  const auto [status, text] = Get("/metrics");
  EXPECT_EQ(status, 200);
  for (const char* line :
       {"allotrope_agent_processes_spawned_total 1", "allotrope_agent_registered 1",
        "allotrope_agent_processes_running{what=\"task\"} 0",
        "allotrope_agent_scheduler_connected 1",
        "allotrope_device_info{device=\"emu0\",emulated=\"true\",kind=\"GPU\",model=\"nvidia/"
        "l4\",state=\"ready\",vendor=\"nvidia\"} 1",
        "allotrope_device_memory_bytes{device=\"emu0\",emulated=\"true\",kind=\"GPU\",model="
        "\"nvidia/l4\"}",
        "allotrope_device_memory_used_bytes{device=\"cpu0\"", "process_resident_memory_bytes"})
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  EXPECT_EQ(Get("/healthz"), (std::pair<int, std::string>{200, "ok\n"}));
  EXPECT_EQ(Get("/v1/jobs").first, 404);
}

TEST_F(AgentShell, ASecondAgentOnTheStateFolderIsRefused) {
  s_.StartWelcomedAgent();
  const auto second = Agent::Start(s_.loop, s_.Options());
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
}

TEST_F(AgentShell, APortInUseIsSaid) {
  s_.StartWelcomedAgent();
  AgentOptions options = s_.Options();
  options.state_dir = s_.folder + "/another";
  options.http_listen = s_.agent->http_address();
  const auto second = Agent::Start(s_.loop, std::move(options));
  EXPECT_EQ(program::ExitCodeOf(second.status()), 5) << second.status();
}

TEST_F(AgentShell, GarbageInTheStateFolderStopsNothing) {
  s_.StartWelcomedAgent();
  s_.KillAgent();
  std::ofstream(s_.folder + "/state/processes/job-9.0.1") << "\xff\x00 nonsense";
  std::filesystem::create_directories(s_.folder + "/state/processes/job-10.0.1/x");
  s_.StartWelcomedAgent();
  EXPECT_TRUE(s_.registrations.at(0).tasks.empty());
}

TEST_F(AgentShell, ListensEverywhereUnlessItsAddressIsLoopback) {
  s_.adjust = [](AgentOptions* options) { options->http_listen.clear(); };
  s_.StartWelcomedAgent();
  EXPECT_TRUE(IsLoopbackAddress(s_.agent->http_address()));
  AgentOptions options = s_.Options();
  options.state_dir = s_.folder + "/another";
  options.address = "192.0.2.7";
  const auto elsewhere = Agent::Start(s_.loop, std::move(options));
  ASSERT_TRUE(elsewhere.ok()) << elsewhere.status();
  EXPECT_TRUE(IsWildcardAddress((*elsewhere)->http_address())) << (*elsewhere)->http_address();
}

TEST_F(AgentShell, MetricsWantATokenWhereTheConfigSaysSo) {
  std::ofstream(s_.folder + "/tokens.yaml")
      << "tokens: [{name: p, role: viewer, sha256: " << auth::Sha256Hex("one") << "}]\n";
  s_.adjust = [this](AgentOptions* options) {
    options->metrics_tokens_file = s_.folder + "/tokens.yaml";
  };
  s_.StartWelcomedAgent();
  EXPECT_EQ(Get("/metrics").first, 401);
  EXPECT_EQ(Get("/metrics", {{"Authorization", "Bearer two"}}).first, 401);
  EXPECT_EQ(Get("/metrics", {{"Authorization", "Bearer one"}}).first, 200);
  EXPECT_EQ(Get("/healthz").first, 200);
}

TEST_F(AgentShell, DialsTheNextOfItsSchedulers) {
  AgentOptions options = s_.Options();
  options.address.clear();
  const std::string here = *program::AddressTowards(options.schedulers.back());
  options.schedulers.insert(options.schedulers.begin(), "tcp://no-such-host.invalid:7400");
  options.schedulers.insert(options.schedulers.begin(), "tcp://127.0.0.1:1");
  const auto agent = Agent::Start(s_.loop, std::move(options));
  ASSERT_TRUE(agent.ok()) << agent.status();
  EXPECT_TRUE(s_.Until([&] { return !s_.registrations.empty(); }));
  EXPECT_EQ(s_.registrations[0].info.address, here);
  EXPECT_TRUE(s_.registrations[0].info.address_derived);
}

}  // namespace
}  // namespace allot::agent
