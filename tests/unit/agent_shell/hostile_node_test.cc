// A real agent whose tasks, disk and file servers are against it.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "agent/shell/fitness.h"
#include "fake_scheduler.h"

namespace allot::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

const TaskKey kOther{{JobId(6), 0}, Attempt(1)};

class HostileNode : public ::testing::Test {
 protected:
  std::string LogOf(const std::string& process) {
    const auto text = ReadWholeFile(s_.folder + "/state/logs/" + process + ".log");
    return text.ok() ? *text : "";
  }
  void Stop(const TaskKey& key, Duration grace) { s_.Say(StopTask{s_.epoch, key, grace}); }

  FakeScheduler s_;
};

// The notice that a task is to end was once the agent's own end.
TEST_F(HostileNode, WhatStandsInThePlaceOfTheNoticeIsNotWrittenToNorWaitedFor) {
  const std::string victim = s_.folder + "/victim";
  std::ofstream(victim) << "mine\n";
  s_.StartWelcomedAgent();
  const std::string wait = "echo up; while :; do sleep 0.02; done";
  const std::string tricks[] = {
      "ln -s " + victim + " $ALLOT_PREEMPTION_NOTICE_FILE",
      "ln -s " + victim + " $ALLOT_PREEMPTION_NOTICE_FILE.new",
      "mkfifo $ALLOT_PREEMPTION_NOTICE_FILE $ALLOT_PREEMPTION_NOTICE_FILE.new",
      "mkfifo $ALLOT_PROGRESS_FILE",
      "mkdir $ALLOT_PREEMPTION_NOTICE_FILE $ALLOT_PREEMPTION_NOTICE_FILE.new",
      "cd /; rmdir $ALLOT_SCRATCH_DIR; ln -s " + s_.folder + " $ALLOT_SCRATCH_DIR",
      "cd /; rmdir $ALLOT_SCRATCH_DIR; mkfifo $ALLOT_SCRATCH_DIR",
  };
  uint64_t job = 10;
  for (const std::string& trick : tricks) {
    const TaskKey key{{JobId(++job), 0}, Attempt(1)};
    s_.Say(s_.Task(key, {"/bin/sh", "-c", trick + "; " + wait}));
    s_.Await(key, TaskPhase::kRunning);
    ASSERT_TRUE(s_.Until([&] { return LogOf(ProcessOf(key)) == "up\n"; })) << trick;
    Stop(key, std::chrono::seconds(60));
    EXPECT_EQ(s_.Await(key, TaskPhase::kExited).exit->cause, ExitCause::kStopped) << trick;
    s_.Say(AckTasks{s_.epoch, {key}});
  }
  std::ifstream in(victim);
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_EQ(text.str(), "mine\n");
  EXPECT_FALSE(fs::exists(s_.folder + "/.allot-preemption-notice"));
}

TEST_F(HostileNode, ATaskThatHoldsItsSupervisorEndsWhenItIsToEnd) {
  s_.StartWelcomedAgent();
  s_.Say(s_.Task(kTask, {"/bin/sh", "-c", "trap '' TERM; while :; do kill -STOP $PPID; done"}));
  s_.Await(kTask, TaskPhase::kRunning);
  Stop(kTask, Duration(0));
  EXPECT_EQ(s_.Await(kTask, TaskPhase::kExited).exit->cause, ExitCause::kStopped);
}

// It is to end, and takes its supervisor along: no fault of the node, or it would run once more.
TEST_F(HostileNode, ATaskThatKillsItsSupervisorWhenItIsToEndIsStopped) {
  s_.StartWelcomedAgent();
  s_.Say(s_.Task(kTask, {"/bin/sh", "-c",
                         "trap 'kill -KILL $PPID' TERM; echo up; while :; do sleep 0.02; done"}));
  s_.Await(kTask, TaskPhase::kRunning);
  ASSERT_TRUE(s_.Until([&] { return LogOf("job-5.0.1") == "up\n"; }));
  Stop(kTask, std::chrono::seconds(60));
  EXPECT_EQ(s_.Await(kTask, TaskPhase::kExited).exit->cause, ExitCause::kStopped);
}

// A file system whose server is away.
class DeadServer {
 public:
  explicit DeadServer(const std::string& path) : path_(path), fd_(open("/dev/fuse", O_RDWR)) {
    fs::create_directories(path);
    mounted_ = fd_.valid() &&
               mount("dead", path.c_str(), "fuse", 0,
                     fmt::format("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", fd_.get())
                         .c_str()) == 0;
  }
  ~DeadServer() {
    fd_.Reset();
    if (mounted_) umount2(path_.c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }

 private:
  const std::string path_;
  Fd fd_;
  bool mounted_ = false;
};

TEST_F(HostileNode, ACheckpointFolderThatDoesNotAnswerHoldsNobodyUp) {
  const DeadServer dead(s_.folder + "/dead");
  if (!dead.mounted()) return;  // Only root can make a dead mount.
  s_.StartWelcomedAgent();
  StartTask start = s_.Task(kTask, {"true"});
  start.launch.checkpoint_dir = s_.folder + "/dead/checkpoints";
  s_.Say(start);
  s_.Say(s_.Task(kOther, {"true"}));
  EXPECT_TRUE(s_.Await(kOther, TaskPhase::kExited).exit->succeeded());
  EXPECT_NE(s_.tasks[kTask].phase, TaskPhase::kExited);
  // Nor is the task itself held: it ends when it is to end.
  Stop(kTask, Duration(0));
  const TaskExit exit = *s_.Await(kTask, TaskPhase::kExited).exit;
  EXPECT_THAT(exit.message, HasSubstr("stopped before it was started"));
}

// Where tasks run as users of their own it is the task that makes it, and the agent that looks, of
// later attempts, whether it is empty: neither waits for the other, nor the node for them.
TEST_F(HostileNode, ACheckpointFolderOfAUserThatDoesNotAnswerHoldsNobodyUp) {
  if (geteuid() != 0) return;  // Only root can start what runs as somebody else.
  const DeadServer dead(s_.folder + "/dead");
  if (!dead.mounted()) return;
  ASSERT_EQ(chmod(s_.folder.c_str(), 0711), 0);
  s_.adjust = [](AgentOptions* options) {
    options->users.people.separation = People::Separation::kAuto;
  };
  s_.StartWelcomedAgent();
  uint64_t job = 10;
  for (const uint32_t attempt : {1, 2}) {
    const TaskKey held{{JobId(++job), 0}, Attempt(attempt)};
    const TaskKey other{{JobId(++job), 0}, Attempt(1)};
    StartTask start = s_.Task(held, {"true"});
    start.launch.checkpoint_dir = s_.folder + "/dead/checkpoints";
    start.launch.checkpoint_dir_named = true;
    s_.Say(start);
    s_.Say(s_.Task(other, {"/bin/sh", "-c", "stat -c %u $ALLOT_CHECKPOINT_DIR; id -u"}));
    EXPECT_TRUE(s_.Await(other, TaskPhase::kExited).exit->succeeded()) << attempt;
    std::istringstream ids(LogOf(ProcessOf(other)));
    std::string owner, user;
    EXPECT_TRUE(ids >> owner >> user);
    EXPECT_EQ(owner, user);
    EXPECT_NE(user, "0");
    EXPECT_NE(s_.tasks[held].phase, TaskPhase::kExited);
    EXPECT_NE(s_.tasks[held].phase, TaskPhase::kRunning);
    Stop(held, Duration(0));
    const TaskExit exit = *s_.Await(held, TaskPhase::kExited).exit;
    EXPECT_FALSE(exit.succeeded());
    EXPECT_NE(exit.cause, ExitCause::kTask) << attempt << ": " << exit.message;
  }
}

TEST_F(HostileNode, ASecondAgentOnACopyOfTheStateSaysSo) {
  s_.StartWelcomedAgent();
  fs::copy(s_.folder + "/state", s_.folder + "/copy", fs::copy_options::recursive);
  if (!fs::exists(s_.folder + "/copy/home")) return;  // No time of birth here.
  AgentOptions options = s_.Options();
  options.state_dir = s_.folder + "/copy";
  const auto second = Agent::Start(s_.loop, std::move(options));
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
  EXPECT_THAT(MessageOf(second.status()), HasSubstr("is a copy of another agent's"));
}

TEST_F(HostileNode, AStateFolderThatIsRemovedIsMadeAgainAndWorkGoesOn) {
  s_.StartWelcomedAgent();
  const std::string instance = s_.registrations.at(0).info.instance;
  s_.Say(s_.Task(kTask, {"/bin/sh", "-c",
                         "while [ ! -e " + s_.folder + "/go ]; do sleep 0.02; done; exit 7"}));
  s_.Await(kTask, TaskPhase::kRunning);
  fs::remove_all(s_.folder + "/state");
  s_.Say(s_.Task(kOther, {"true"}));
  EXPECT_TRUE(s_.Await(kOther, TaskPhase::kExited).exit->succeeded());
  std::ofstream(s_.folder + "/go") << "";
  EXPECT_EQ(s_.Await(kTask, TaskPhase::kExited).exit->code, 7);
  ASSERT_TRUE(s_.Until([&] { return fs::exists(s_.folder + "/state/instance"); }));
  EXPECT_THAT(*ReadWholeFile(s_.folder + "/state/instance"), HasSubstr(instance));
}

// A quota, or a disk that refuses to be written to: nothing that a look at it tells.
TEST_F(HostileNode, ADiskThatTakesNothingMakesTheNodeUnfitAndIsNoFaultOfTheJob) {
  const std::string small = s_.folder + "/small";
  fs::create_directories(small);
  if (mount("tmpfs", small.c_str(), "tmpfs", 0, "size=16m,nr_inodes=20000") != 0)
    return;  // Only root can make a small disk.
  s_.adjust = [&](AgentOptions* options) {
    options->state_dir = small + "/state";
    options->disk_free_min = 0;  // It is not looked for.
  };
  s_.StartWelcomedAgent();
  EXPECT_THAT(s_.registrations.back().info.unfit, IsEmpty());
  {
    const Fd full(open((small + "/full").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    const std::string block(64 << 10, 'x');
    while (write(full.get(), block.data(), block.size()) > 0) {
    }
  }
  s_.Say(s_.Task(kTask, {"true"}));
  const TaskExit exit = *s_.Await(kTask, TaskPhase::kExited).exit;
  EXPECT_EQ(exit.cause, ExitCause::kNotStarted);
  EXPECT_THAT(exit.message, HasSubstr("No space left on device"));
  ASSERT_TRUE(s_.Until([&] { return !s_.registrations.back().info.unfit.empty(); }));
  EXPECT_THAT(s_.registrations.back().info.unfit, ElementsAre(HasSubstr("state_dir: ")));
  fs::remove(small + "/full");
  EXPECT_TRUE(s_.Until([&] { return s_.registrations.back().info.unfit.empty(); }));
  s_.Say(s_.Task(kOther, {"true"}));
  EXPECT_TRUE(s_.Await(kOther, TaskPhase::kExited).exit->succeeded());
  s_.agent.reset();
  umount2(small.c_str(), MNT_DETACH);
}

}  // namespace
}  // namespace allot::agent
