#include "agent/isolation/cgroups.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace allot::agent {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A plain folder in place of the cgroup file system: what would be written can be read.
class FakeHost : public testing::Test {
 protected:
  FakeHost() {
    std::string name = (fs::temp_directory_path() / "allot-test-XXXXXX").string();
    root_ = mkdtemp(name.data());
    Put("mounts", "proc /proc proc rw 0 0\ncgroup2 " + root_ + "/cg cgroup2 rw 0 0\n");
    Put("self", "4:memory:/x\n0::/system.slice/allot-agent.service\n");
    Controllers("", "cpuset cpu io memory pids");
  }
  ~FakeHost() override { fs::remove_all(root_); }

  void Put(const std::string& file, const std::string& content) {
    fs::create_directories(fs::path(root_ + "/" + file).parent_path());
    ASSERT_TRUE(ReplaceFile(root_ + "/" + file, content).ok());
  }
  void Controllers(const std::string& below, const std::string& names) {
    for (const std::string& folder : {std::string(), std::string("/tasks")})
      Put("cg/system.slice/allot-agent.service" + below + folder + "/cgroup.controllers", names);
  }
  std::string Get(const std::string& file) const {
    return ReadWholeFile(root_ + "/cg/system.slice/allot-agent.service/" + file).value_or("(none)");
  }
  std::unique_ptr<Cgroups> Open() {
    return Cgroups::Open({.mounts = root_ + "/mounts", .self = root_ + "/self"});
  }
  std::string root_;
};

TEST_F(FakeHost, AgentMovesAsideAndHandsControllersDown) {
  const auto groups = Open();
  EXPECT_TRUE(groups->abilities().groups);
  EXPECT_TRUE(groups->abilities().cpu && groups->abilities().memory && groups->abilities().pids);
  EXPECT_EQ(Get("agent/cgroup.procs"), "0");
  EXPECT_EQ(Get("cgroup.subtree_control"), "+pids");  // the last of the three
  EXPECT_EQ(Get("tasks/cgroup.subtree_control"), "+pids");
}

TEST_F(FakeHost, LimitsAreWrittenInTheKernelsUnits) {
  const auto groups = Open();
  const auto group = groups->Create(
      "job-1.0.0", {.cpus = 1.5, .cpus_hard = true, .memory = 2 * kGiB, .pids = 100}, {});
  ASSERT_TRUE(group.ok());
  EXPECT_TRUE(group->valid());
  EXPECT_EQ(Get("tasks/job-1.0.0/cpu.weight"), "150");
  EXPECT_EQ(Get("tasks/job-1.0.0/cpu.max"), "150000 100000");
  EXPECT_EQ(Get("tasks/job-1.0.0/memory.max"), "2147483648");
  EXPECT_EQ(Get("tasks/job-1.0.0/memory.oom.group"), "1");
  EXPECT_EQ(Get("tasks/job-1.0.0/pids.max"), "100");
  EXPECT_THAT(groups->List(), Contains("job-1.0.0"));
}

TEST_F(FakeHost, WhatIsNotAskedForIsNotLimited) {
  const auto groups = Open();
  ASSERT_TRUE(groups->Create("job-2.0.0", {.cpus = 0}, {}).ok());
  EXPECT_EQ(Get("tasks/job-2.0.0/cpu.weight"), "1");
  for (const char* file : {"cpu.max", "memory.max", "pids.max"})
    EXPECT_EQ(Get(std::string("tasks/job-2.0.0/") + file), "(none)") << file;
}

TEST_F(FakeHost, MissingControllersAreLossesAndNotErrors) {
  Controllers("", "cpu");
  const auto groups = Open();
  EXPECT_TRUE(groups->abilities().cpu);
  EXPECT_FALSE(groups->abilities().memory);
  EXPECT_THAT(groups->abilities().losses, Contains(HasSubstr("memory limits: ")));
  EXPECT_TRUE(groups->Create("job-3.0.0", {.cpus = 1, .memory = kGiB, .pids = 5}, {}).ok());
  EXPECT_EQ(Get("tasks/job-3.0.0/memory.max"), "(none)");
}

TEST_F(FakeHost, WithoutCgroupV2TheLossIsStatedAndProcessesStillStart) {
  Put("mounts", "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n");
  const auto groups = Open();
  EXPECT_FALSE(groups->abilities().groups);
  EXPECT_THAT(groups->abilities().losses, ElementsAre(HasSubstr("no cgroup v2")));
  const auto group = groups->Create("job-4.0.0", {.memory = kGiB}, StandardDevices());
  ASSERT_TRUE(group.ok());
  EXPECT_FALSE(group->valid());
  EXPECT_TRUE(groups->Remove("job-4.0.0"));
  EXPECT_THAT(groups->List(), IsEmpty());
}

TEST_F(FakeHost, AgentThatStartsAgainInItsLeafUsesTheSameGroups) {
  ASSERT_TRUE(Open()->Create("job-5.0.0", {}, {}).ok());
  Put("self", "0::/system.slice/allot-agent.service/agent\n");
  EXPECT_THAT(Open()->List(), ElementsAre("job-5.0.0"));
}

TEST_F(FakeHost, GroupsThatAnotherAgentKeepsAreNotWaitedForForEver) {
  const auto first = Open();
  ASSERT_TRUE(first->abilities().groups);
  const auto second = Cgroups::Open({.mounts = root_ + "/mounts",
                                     .self = root_ + "/self",
                                     .patience = std::chrono::milliseconds(0)});
  EXPECT_FALSE(second->abilities().groups);
  EXPECT_THAT(second->abilities().losses, ElementsAre(HasSubstr("another agent holds")));
}

TEST_F(FakeHost, KillsForWantOfMemoryAreCounted) {
  const auto groups = Open();
  ASSERT_TRUE(groups->Create("job-6.0.0", {.memory = kMiB}, {}).ok());
  EXPECT_EQ(groups->OutOfMemoryKills("job-6.0.0"), 0);
  Put("cg/system.slice/allot-agent.service/tasks/job-6.0.0/memory.events",
      "low 0\nhigh 0\nmax 12\noom 1\noom_kill 3\n");
  EXPECT_EQ(groups->OutOfMemoryKills("job-6.0.0"), 3);
}

// The kernel of this machine, whatever it allows: what is promised is kept.
class RealHost : public testing::Test {
 protected:
  RealHost() : groups_(Cgroups::Open({.name = "allotrope-test-" + std::to_string(getpid())})) {}

  // A process in the group, in a session of its own, that runs `body`.
  template <class F>
  pid_t Start(const Fd& group, F body) {
    const pid_t pid = fork();
    if (pid == 0) {
      setsid();
      if (group.valid()) {
        const int procs = openat(group.get(), "cgroup.procs", O_WRONLY);
        if (write(procs, "0", 1) != 1) _exit(99);
      }
      _exit(body());
    }
    return pid;
  }
  static int Wait(pid_t pid) {
    int status = 0;
    waitpid(pid, &status, 0);
    return status;
  }
  std::unique_ptr<Cgroups> groups_;
};

TEST_F(RealHost, DevicesThatWereNotGivenCannotBeOpenedWhereFiltersWork) {
  const auto null = RuleOf("/dev/null");
  const auto group = groups_->Create("filtered", {.cpus = 1}, {*null});
  ASSERT_TRUE(group.ok()) << group.status();
  const int status = Wait(Start(*group, [] {
    return (open("/dev/null", O_RDWR) >= 0 ? 1 : 0) | (open("/dev/zero", O_RDONLY) >= 0 ? 2 : 0);
  }));
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), groups_->abilities().devices ? 1 : 3)
      << testing::PrintToString(groups_->abilities().losses);
  EXPECT_NE(
      groups_->abilities().devices,
      groups_->abilities().losses.size() > 0 &&
          testing::Matches(Contains(HasSubstr("device filters")))(groups_->abilities().losses));
  while (!groups_->Remove("filtered")) sched_yield();
}

TEST_F(RealHost, KillEndsWhatHasLeftItsSession) {
  const auto group = groups_->Create("killed", {}, StandardDevices());
  ASSERT_TRUE(group.ok()) << group.status();
  const pid_t pid = Start(*group, [] {
    for (;;) pause();
    return 0;
  });
  // It is in the group, or has to be killed one by one.
  if (groups_->abilities().kill) {
    while (ReadWholeFile("/proc/" + std::to_string(pid) + "/cgroup")->find("/killed") ==
           std::string::npos)
      sched_yield();
    groups_->Kill("killed");
  } else {
    kill(pid, SIGKILL);
  }
  const int status = Wait(pid);
  EXPECT_TRUE(WIFSIGNALED(status));
  while (!groups_->Remove("killed")) sched_yield();
  EXPECT_THAT(groups_->List(), IsEmpty());
}

TEST_F(RealHost, GroupsOfAnAgentThatWasKilledAreRemovedByTheNextThatStarts) {
  const std::string name = "allotrope-test-" + std::to_string(getpid());
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t agent = fork();
  if (agent == 0) {
    const auto groups = Cgroups::Open({.name = name + "-killed"});
    (void)groups->Create("left", {}, StandardDevices());
    if (write(ready[1], "x", 1) != 1) _exit(1);
    for (;;) pause();
  }
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  const auto while_it_lives = Cgroups::Open({.name = name + "-second"});
  const std::string path =
      while_it_lives->base().substr(0, while_it_lives->base().rfind('/')) + "/" + name + "-killed";
  EXPECT_EQ(fs::exists(path + "/tasks/left"), groups_->abilities().groups);
  kill(agent, SIGKILL);
  Wait(agent);
  const auto after = Cgroups::Open({.name = name + "-third"});
  EXPECT_FALSE(fs::exists(path));
  close(ready[0]);
  close(ready[1]);
}

}  // namespace
}  // namespace allot::agent
