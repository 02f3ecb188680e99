#include <csignal>

#include <fcntl.h>
#include <sys/resource.h>

#include "agent/runtime/process_runtime.h"
#include "machine.h"

namespace allot::agent {
namespace {

// Leaves this program `free` descriptors for as long as it lives.
class FewDescriptors {
 public:
  explicit FewDescriptors(size_t free) {
    getrlimit(RLIMIT_NOFILE, &old_);
    const rlimit low{200, old_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &low);
    for (int fd; (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) taken_.emplace_back(fd);
    EXPECT_GE(taken_.size(), free);
    taken_.resize(taken_.size() - free);
  }
  ~FewDescriptors() { setrlimit(RLIMIT_NOFILE, &old_); }

 private:
  rlimit old_{};
  std::vector<Fd> taken_;
};

class Adoption : public testing::Test {
 protected:
  ~Adoption() override { EndAll(state_.path()); }
  TemporaryFolder state_;
};

TEST_F(Adoption, AProcessOutlivesTheAgentAndIsFoundWithTheSamePid) {
  auto life = std::make_unique<Life>(state_.path());
  const std::string go = state_.path() + "/go";
  const ProcessId id =
      life->Shell(Key(7, 1, 2), "while [ ! -e " + go + " ]; do sleep 0.02; done; exit 9");
  const int64_t pid = life->PidOf(id);
  life.reset();
  ASSERT_TRUE(Runs(pid));

  Life next(state_.path());
  ASSERT_EQ(next.scan().processes.size(), 1u);
  const FoundProcess& found = next.scan().processes[0];
  EXPECT_TRUE(found.alive);
  ASSERT_TRUE(found.record.running);
  EXPECT_EQ(found.record.running->pid, pid);
  EXPECT_EQ(std::get<StartTask>(found.record.launch.what).key, Key(7, 1, 2));
  next.runtime().Adopt(found);
  WriteText(go, "");
  EXPECT_EQ(next.ExitOf(id).code, 9);
}

TEST_F(Adoption, AnAdoptedProcessTakesSignals) {
  auto life = std::make_unique<Life>(state_.path());
  const ProcessId id = life->Run(Key(1), {"sleep", "1000"});
  life->PidOf(id);
  life.reset();
  Life next(state_.path());
  next.runtime().Adopt(next.scan().processes.at(0));
  next.runtime().Signal(id, SIGTERM);  // Before it is even attached.
  EXPECT_EQ(next.ExitOf(id).signal, SIGTERM);
}

TEST_F(Adoption, AnExitWhileNoAgentWatchedIsNotLost) {
  auto life = std::make_unique<Life>(state_.path());
  const ProcessId id = life->Shell(Key(1), "exit 6");
  // Gone before it could hear anything; the supervisor writes the exit all the same.
  life.reset();
  StateFolder::Scan scan;
  {
    Life waiting(state_.path());
    ASSERT_TRUE(waiting.Until([&] {
      scan = waiting.folder().ScanProcesses();
      return scan.processes.size() == 1 && !scan.processes[0].alive;
    }));
  }
  ASSERT_TRUE(scan.processes[0].record.exit);
  EXPECT_EQ(scan.processes[0].record.exit->code, 6);
  EXPECT_EQ(scan.processes[0].id, id);
}

TEST_F(Adoption, ASupervisorThatIsJustStartingIsAdoptedToo) {
  // Whatever instant the agent dies at, the process is found with a pid or with an exit.
  for (uint64_t job = 1; job <= 20; ++job) {
    auto life = std::make_unique<Life>(state_.path());
    const ProcessId id = life->Run(Key(job), {"sleep", "1000"});
    life.reset();
    Life next(state_.path());
    const auto& processes = next.scan().processes;
    ASSERT_EQ(processes.size(), 1u);
    ASSERT_TRUE(processes[0].alive);
    next.runtime().Adopt(processes[0]);
    if (!processes[0].record.running) {
      EXPECT_GT(next.PidOf(id), 1);
    }
    next.runtime().Signal(id, SIGKILL);
    EXPECT_EQ(next.ExitOf(id).signal, SIGKILL);
    next.runtime().Forget(id);
  }
}

TEST_F(Adoption, WithoutDescriptorsItIsTriedUntilThereAreSome) {
  auto life = std::make_unique<Life>(state_.path());
  const ProcessId id = life->Run(Key(1), {"sleep", "1000"});
  const int64_t pid = life->PidOf(id);
  life.reset();
  for (size_t free = 0; free <= 3; ++free) {
    Life next(state_.path());
    next.runtime().Adopt(next.scan().processes.at(0));
    int turns = 0;
    const FewDescriptors few(free);
    EXPECT_TRUE(next.Until([&] { return ++turns > 10; })) << free;
  }
  Life last(state_.path());
  last.runtime().Adopt(last.scan().processes.at(0));
  last.runtime().Signal(id, SIGCONT);
  last.Until([turns = 0]() mutable { return ++turns > 10; });
  {
    const FewDescriptors none(0);
    int turns = 0;
    EXPECT_EQ(kill(static_cast<pid_t>(pid), SIGKILL), 0);
    EXPECT_TRUE(last.Until([&] { return ++turns > 20; }));
    EXPECT_TRUE(last.exits.empty()) << "an exit was made up: " << last.exits[id].message;
  }
  EXPECT_EQ(last.ExitOf(id).signal, SIGKILL);
  EXPECT_EQ(last.exits[id].message, "");
}

TEST_F(Adoption, ASupervisorKilledWhileNoAgentWatchedIsSignalNine) {
  auto life = std::make_unique<Life>(state_.path());
  const ProcessId id = life->Run(Key(1), {"sleep", "1000"});
  const int64_t pid = life->PidOf(id);
  const auto record = ParseRecord(ReadText(life->folder().RecordOf(id)));
  life.reset();
  kill(static_cast<pid_t>(record->running->supervisor_pid), SIGKILL);
  Life next(state_.path());
  ASSERT_TRUE(next.Until([&] { return !next.folder().ScanProcesses().processes.at(0).alive; }));
  EXPECT_FALSE(next.folder().ScanProcesses().processes.at(0).record.exit);
  EXPECT_TRUE(next.Until([&] { return !Runs(pid); }));
}

}  // namespace
}  // namespace allot::agent
