// What a node cannot do, and what becomes of its work when it goes down: a real agent, real
// processes, and a kernel whose boot id the test writes.
#include <gmock/gmock.h>

#include "agent/runtime/strays.h"
#include "agent/shell/network.h"
#include "fake_scheduler.h"

namespace allot::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class NodeFaults : public ::testing::Test {
 protected:
  NodeFaults() {
    Boot("boot-1");
    s_.adjust = [this](AgentOptions* options) { options->boot_id_file = s_.folder + "/boot_id"; };
  }
  void Boot(const std::string& id) { std::ofstream(s_.folder + "/boot_id") << id << "\n"; }
  std::string LogOf(const std::string& process) {
    const auto text = ReadWholeFile(s_.folder + "/state/logs/" + process + ".log");
    return text.ok() ? *text : "";
  }
  std::string WaitForGo() { return "while [ ! -e " + s_.folder + "/go ]; do sleep 0.02; done; "; }
  // What a machine that goes down does to a process: nobody writes anything down any more.
  void PowerCut(const std::string& process) {
    const auto record = ParseRecord(*ReadWholeFile(s_.folder + "/state/processes/" + process));
    ASSERT_TRUE(record.ok() && record->running);
    kill(static_cast<pid_t>(record->running->supervisor_pid), SIGKILL);
    ASSERT_TRUE(s_.Until([&] {
      return kill(static_cast<pid_t>(record->running->pid), 0) != 0 || Zombie(record->running->pid);
    }));
  }
  static bool Zombie(int64_t pid) {
    const auto stat = ReadWholeFile(fmt::format("/proc/{}/stat", pid));
    return !stat.ok() || stat->find(") Z ") != std::string::npos;
  }

  FakeScheduler s_;
};

TEST_F(NodeFaults, AfterARebootTasksAreLostWithTheNodeAndNotEnded) {
  s_.StartWelcomedAgent();
  EXPECT_EQ(s_.registrations.at(0).info.boot_id, "boot-1");
  s_.Say(s_.Task(kTask, {"sleep", "1000"}));
  s_.Await(kTask, TaskPhase::kRunning);
  s_.KillAgent();
  PowerCut("job-5.0.1");
  Boot("boot-2");
  s_.StartWelcomedAgent();
  EXPECT_EQ(s_.registrations.at(0).info.boot_id, "boot-2");
  EXPECT_THAT(s_.registrations.at(0).tasks, IsEmpty());
  EXPECT_TRUE(std::filesystem::is_empty(s_.folder + "/state/processes"));
}

// An orderly shutdown ends tasks by SIGTERM after it has ended the agent.
TEST_F(NodeFaults, WhatTheShutdownEndedWentDownWithTheNode) {
  s_.StartWelcomedAgent();
  s_.Say(s_.Task(kTask, {"sleep", "1000"}));
  const int64_t pid = s_.Await(kTask, TaskPhase::kRunning).pid;
  const TaskKey script{{JobId(6), 0}, Attempt(1)};
  s_.Say(s_.Task(script, {"/bin/sh", "-c", "trap 'exit 143' TERM; while :; do sleep 0.02; done"}));
  const int64_t other = s_.Await(script, TaskPhase::kRunning).pid;
  s_.KillAgent();
  kill(static_cast<pid_t>(pid), SIGTERM);
  kill(static_cast<pid_t>(other), SIGTERM);
  ASSERT_TRUE(s_.Until([&] { return Zombie(pid) && Zombie(other); }));
  Boot("boot-2");
  s_.StartWelcomedAgent();
  EXPECT_THAT(s_.registrations.at(0).tasks, IsEmpty());
}

TEST_F(NodeFaults, AnEndThatWasTheTasksOwnOutlivesAReboot) {
  s_.StartWelcomedAgent();
  s_.Say(s_.Task(kTask, {"/bin/sh", "-c", WaitForGo() + "exit 8"}));
  const int64_t pid = s_.Await(kTask, TaskPhase::kRunning).pid;
  s_.KillAgent();
  std::ofstream(s_.folder + "/go") << "";
  ASSERT_TRUE(s_.Until([&] { return Zombie(pid); }));
  Boot("boot-2");
  s_.StartWelcomedAgent();
  EXPECT_EQ(s_.Await(kTask, TaskPhase::kExited).exit->code, 8);
}

TEST_F(NodeFaults, AReplicaComesBackAfterAReboot) {
  s_.StartWelcomedAgent();
  const ReplicaId id(3);
  StartReplica start{s_.epoch, id, {}};
  start.launch.deployment = "chat";
  start.launch.command = {ALLOT_MODEL_SERVER, "{port}"};
  start.launch.health.interval = std::chrono::milliseconds(20);
  s_.Say(start);
  ASSERT_TRUE(s_.Until([&] { return s_.replicas[id].phase == ReplicaPhase::kReady; }));
  s_.KillAgent();
  PowerCut("replica-3.1");
  s_.replicas.clear();
  Boot("boot-2");
  s_.StartWelcomedAgent();
  EXPECT_EQ(s_.registrations.at(0).replicas.at(0).message, "its machine was restarted");
  ASSERT_TRUE(s_.Until([&] { return s_.replicas[id].phase == ReplicaPhase::kReady; }));
  s_.Say(StopReplica{s_.epoch, id, std::chrono::seconds(5)});
  EXPECT_TRUE(s_.Until([&] { return s_.replicas[id].phase == ReplicaPhase::kGone; }));
}

TEST_F(NodeFaults, ASupervisorThatWasKilledIsTheNodesFault) {
  s_.StartWelcomedAgent();
  s_.Say(s_.Task(kTask, {"sleep", "1000"}));
  s_.Await(kTask, TaskPhase::kRunning);
  s_.KillAgent();
  PowerCut("job-5.0.1");
  s_.StartWelcomedAgent();  // The same boot.
  const TaskExit exit = *s_.Await(kTask, TaskPhase::kExited).exit;
  EXPECT_EQ(exit.cause, ExitCause::kSupervisorLost);
  EXPECT_EQ(exit.signal, SIGKILL);
}

TEST_F(NodeFaults, AnEmptiedStateFolderLeavesNothingRunning) {
  s_.StartWelcomedAgent();
  s_.Say(s_.Task(kTask, {"sleep", "1000"}));
  const int64_t pid = s_.Await(kTask, TaskPhase::kRunning).pid;
  s_.KillAgent();
  std::filesystem::remove_all(s_.folder + "/state");
  s_.StartWelcomedAgent();
  EXPECT_TRUE(s_.Until([&] { return Zombie(pid); }));
  EXPECT_THAT(s_.registrations.at(0).tasks, IsEmpty());
  s_.Say(s_.Task(kTask, {"true"}));
  EXPECT_TRUE(s_.Await(kTask, TaskPhase::kExited).exit->succeeded());
}

TEST_F(NodeFaults, WhatFailsBeforeTheProgramRunsIsTheNodesAndTheNodeSaysSo) {
  const std::string supervisor = s_.folder + "/allot-supervisor";
  std::filesystem::copy_file(ALLOT_SUPERVISOR, supervisor);
  s_.adjust = [&](AgentOptions* options) { options->supervisor = supervisor; };
  s_.StartWelcomedAgent();
  EXPECT_THAT(s_.registrations.at(0).info.unfit, IsEmpty());
  std::filesystem::rename(supervisor, supervisor + ".old");
  s_.Say(s_.Task(kTask, {"true"}));
  const TaskExit exit = *s_.Await(kTask, TaskPhase::kExited).exit;
  EXPECT_EQ(exit.cause, ExitCause::kNotStarted);
  EXPECT_THAT(exit.message, HasSubstr(supervisor));
  ASSERT_TRUE(s_.Until([&] { return !s_.registrations.back().info.unfit.empty(); }));
  EXPECT_THAT(s_.registrations.back().info.unfit,
              ElementsAre(HasSubstr("supervisor: " + supervisor + " cannot be run")));
  std::filesystem::rename(supervisor + ".old", supervisor);
  EXPECT_TRUE(s_.Until([&] { return s_.registrations.back().info.unfit.empty(); }));
}

TEST_F(NodeFaults, ACheckpointFolderThatCannotBeMadeIsTheNodesAndAWrongCommandTheJobs) {
  s_.StartWelcomedAgent();
  StartTask start = s_.Task(kTask, {"true"});
  std::ofstream(s_.folder + "/file") << "";
  start.launch.checkpoint_dir = s_.folder + "/file/checkpoints";
  s_.Say(start);
  EXPECT_EQ(s_.Await(kTask, TaskPhase::kExited).exit->cause, ExitCause::kNotStarted);
  const TaskKey wrong{{JobId(6), 0}, Attempt(1)}, empty{{JobId(7), 0}, Attempt(1)};
  s_.Say(s_.Task(wrong, {"/no/such/program"}));
  EXPECT_EQ(s_.Await(wrong, TaskPhase::kExited).exit->cause, ExitCause::kTask);
  s_.Say(s_.Task(empty, {std::string("a\0b", 3)}));
  EXPECT_EQ(s_.Await(empty, TaskPhase::kExited).exit->cause, ExitCause::kTask);
}

TEST_F(NodeFaults, AnAttemptThatFindsNoCheckpointSaysSo) {
  s_.StartWelcomedAgent();
  const TaskKey second{{JobId(5), 0}, Attempt(2)}, third{{JobId(5), 0}, Attempt(3)};
  s_.Say(s_.Task(kTask, {"true"}));
  s_.Await(kTask, TaskPhase::kExited);
  EXPECT_EQ(LogOf("job-5.0.1"), "");
  s_.Say(s_.Task(second, {"/bin/sh", "-c", "echo up; : > $ALLOT_CHECKPOINT_DIR/step"}));
  s_.Await(second, TaskPhase::kExited);
  EXPECT_THAT(LogOf("job-5.0.2"), HasSubstr("attempt 2 finds nothing in its checkpoint folder"));
  EXPECT_THAT(LogOf("job-5.0.2"), ::testing::EndsWith("\nup\n"));
  s_.Say(s_.Task(third, {"true"}));
  s_.Await(third, TaskPhase::kExited);
  EXPECT_EQ(LogOf("job-5.0.3"), "");
}

TEST_F(NodeFaults, ALogIsCutWhileItIsWritten) {
  s_.adjust = [](AgentOptions* options) { options->log_max = 1 << 20; };
  s_.StartWelcomedAgent();
  s_.Say(
      s_.Task(kTask, {"/bin/sh", "-c", "head -c 4000000 /dev/zero | tr '\\0' a; " + WaitForGo()}));
  s_.Await(kTask, TaskPhase::kRunning);
  const std::string log = s_.folder + "/state/logs/job-5.0.1.log";
  EXPECT_TRUE(
      s_.Until([&] { return LogOf("job-5.0.1").find("were given back") != std::string::npos; }));
  std::ofstream(s_.folder + "/go") << "";
  s_.Await(kTask, TaskPhase::kExited);
}

TEST_F(NodeFaults, TasksAreToldTheNetworkOfTheNodesAddress) {
  s_.StartWelcomedAgent();
  StartTask start =
      s_.Task(kTask, {"/bin/sh", "-c", "echo $GLOO_SOCKET_IFNAME $NCCL_SOCKET_IFNAME"});
  start.launch.environment["NCCL_SOCKET_IFNAME"] = "mine";
  s_.Say(start);
  s_.Await(kTask, TaskPhase::kExited);
  EXPECT_EQ(LogOf("job-5.0.1"), InterfaceOf("127.0.0.1", Interfaces()) + " mine\n");
}

TEST(Network, TheInterfaceIsTheOneWithTheAddress) {
  const std::vector<Interface> here = {{"lo", "127.0.0.1", true, true},
                                       {"lo", "::1", true, true},
                                       {"eth1", "10.0.0.7", false, true},
                                       {"eth10", "10.9.0.7", false, true},
                                       {"eth10", "fd00::7", false, true}};
  EXPECT_EQ(InterfaceOf("10.0.0.7", here), "eth1");
  EXPECT_EQ(InterfaceOf("10.9.0.7", here), "eth10");
  EXPECT_EQ(InterfaceOf("fd00::7", here), "eth10");
  EXPECT_EQ(InterfaceOf("127.0.0.1", here), "lo");
  EXPECT_EQ(InterfaceOf("127.0.1.1", here), "lo");
  EXPECT_EQ(InterfaceOf("203.0.113.9", here), "");  // behind NAT
  EXPECT_EQ(InterfaceOf("no-such-host.invalid", here), "");
  EXPECT_THAT(CollectiveVariables("", here), IsEmpty());
  const Environment ten = CollectiveVariables("eth10", here);
  for (const char* name : {"GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME", "HCCL_SOCKET_IFNAME",
                           "TP_SOCKET_IFNAME", "CCL_KVS_IFACE"})
    EXPECT_EQ(ten.at(name), "eth10") << name;
  // NCCL would take eth10 for eth1 as well.
  EXPECT_EQ(CollectiveVariables("eth1", here).at("NCCL_SOCKET_IFNAME"), "=eth1");
  EXPECT_EQ(CollectiveVariables("eth1", here).at("GLOO_SOCKET_IFNAME"), "eth1");
}

}  // namespace
}  // namespace allot::agent
