#include "agent/isolation/legacy_cgroups.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace allot::agent {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

// Plain folders in place of the cgroup file systems of a hybrid host.
class FakeLegacyHost : public testing::Test {
 protected:
  FakeLegacyHost() {
    std::string name = (fs::temp_directory_path() / "allot-test-XXXXXX").string();
    root_ = mkdtemp(name.data());
    std::string mounts = "cgroup2 " + root_ + "/unified cgroup2 rw 0 0\n";
    for (const char* each : {"cpu,cpuacct", "memory", "pids", "devices", "freezer"}) {
      mounts += fmt::format("cgroup {0}/{1} cgroup rw,nosuid,{1} 0 0\n", root_, each);
      fs::create_directories(root_ + "/" + each + "/system.slice/agent");
    }
    Put("mounts", mounts);
    Put("self",
        "5:memory:/system.slice/agent\n4:cpu,cpuacct:/system.slice/agent\n"
        "3:pids:/system.slice/agent\n2:devices:/system.slice/agent\n"
        "1:freezer:/system.slice/agent\n0::/\n");
  }
  ~FakeLegacyHost() override { fs::remove_all(root_); }
  void Put(const std::string& file, const std::string& content) {
    ASSERT_TRUE(ReplaceFile(root_ + "/" + file, content).ok());
  }
  std::string PathOf(const std::string& tree, const std::string& file) const {
    return root_ + "/" + tree + "/system.slice/agent/allotrope-x/" + file;
  }
  std::string Get(const std::string& tree, const std::string& file) const {
    return ReadWholeFile(PathOf(tree, file)).value_or("(none)");
  }
  std::unique_ptr<LegacyCgroups> Open(const CgroupAbilities& have = {}) {
    return LegacyCgroups::Open({.mounts = root_ + "/mounts",
                                .self = root_ + "/self",
                                .name = "allotrope-x",
                                .have = have});
  }
  std::string root_;
};

TEST_F(FakeLegacyHost, LimitsAreWrittenInTheKernelsUnits) {
  const auto groups = Open();
  EXPECT_TRUE(groups->abilities().cpu && groups->abilities().memory && groups->abilities().pids);
  EXPECT_TRUE(groups->abilities().devices && groups->abilities().kill);
  const auto join =
      groups->Create("job-1.0.1", {.cpus = 1.5, .cpus_hard = true, .memory = 2 * kGiB, .pids = 100},
                     {{DeviceRule::Type::kChar, 1, 3},
                      {DeviceRule::Type::kBlock, std::nullopt, std::nullopt, false}});
  ASSERT_TRUE(join.ok()) << join.status();
  EXPECT_THAT(*join, UnorderedElementsAre(PathOf("cpu,cpuacct", "job-1.0.1/cgroup.procs"),
                                          PathOf("memory", "job-1.0.1/cgroup.procs"),
                                          PathOf("pids", "job-1.0.1/cgroup.procs"),
                                          PathOf("devices", "job-1.0.1/cgroup.procs"),
                                          PathOf("freezer", "job-1.0.1/cgroup.procs")));
  EXPECT_EQ(Get("cpu,cpuacct", "job-1.0.1/cpu.shares"), "1536");
  EXPECT_EQ(Get("cpu,cpuacct", "job-1.0.1/cpu.cfs_period_us"), "100000");
  EXPECT_EQ(Get("cpu,cpuacct", "job-1.0.1/cpu.cfs_quota_us"), "150000");
  EXPECT_EQ(Get("memory", "job-1.0.1/memory.limit_in_bytes"), "2147483648");
  EXPECT_EQ(Get("pids", "job-1.0.1/pids.max"), "100");
  EXPECT_EQ(Get("devices", "job-1.0.1/devices.deny"), "a");
  EXPECT_EQ(Get("devices", "job-1.0.1/devices.allow"), "b *:* m");  // the last of the two
  EXPECT_EQ(LegacyRule({DeviceRule::Type::kChar, 1, 3}), "c 1:3 rwm");
  EXPECT_EQ(LegacyRule({DeviceRule::Type::kChar, 136, std::nullopt}), "c 136:* rwm");
  EXPECT_THAT(groups->List(), ElementsAre("job-1.0.1"));
}

TEST_F(FakeLegacyHost, WhatV2DoesIsLeftToIt) {
  CgroupAbilities v2;
  v2.groups = v2.kill = v2.devices = true;
  const auto groups = Open(v2);
  EXPECT_FALSE(groups->abilities().kill || groups->abilities().devices);
  const auto join = groups->Create("job-2.0.1", {.memory = kGiB}, {});
  ASSERT_TRUE(join.ok());
  EXPECT_EQ(join->size(), 3u);
  EXPECT_FALSE(fs::exists(PathOf("devices", "")));
}

TEST_F(FakeLegacyHost, WithoutAnyThereIsNothingToJoin) {
  Put("mounts", "proc /proc proc rw 0 0\n");
  const auto groups = Open();
  EXPECT_FALSE(groups->abilities().groups);
  const auto join = groups->Create("job-3.0.1", {.memory = kGiB}, StandardDevices());
  ASSERT_TRUE(join.ok());
  EXPECT_THAT(*join, IsEmpty());
  EXPECT_TRUE(groups->Remove("job-3.0.1"));
}

TEST_F(FakeLegacyHost, ATreeThatAnotherAgentHoldsIsALoss) {
  const auto first = Open();
  const auto second = Open();
  EXPECT_FALSE(second->abilities().memory);
  EXPECT_THAT(second->abilities().losses,
              Contains(HasSubstr("memory limits: another agent holds")));
}

TEST_F(FakeLegacyHost, KillsForWantOfMemoryAreCounted) {
  const auto groups = Open();
  ASSERT_TRUE(groups->Create("job-6.0.1", {.memory = kMiB}, {}).ok());
  EXPECT_EQ(groups->OutOfMemoryKills("job-6.0.1"), 0);
  std::ofstream(PathOf("memory", "job-6.0.1/memory.oom_control"))
      << "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n";
  EXPECT_EQ(groups->OutOfMemoryKills("job-6.0.1"), 2);
}

// The kernel of this machine, whatever it has: what is promised is kept.
class RealLegacyHost : public testing::Test {
 protected:
  RealLegacyHost()
      : groups_(LegacyCgroups::Open({.name = "allotrope-test-" + std::to_string(getpid())})) {}
  // What it ends with; 256 + N of signal N.
  template <class F>
  int Run(const std::vector<std::string>& join, F body) {
    const pid_t pid = fork();
    if (pid == 0) {
      for (const std::string& procs : join) {
        const int fd = open(procs.c_str(), O_WRONLY);
        if (write(fd, "0", 1) != 1) _exit(99);
        close(fd);
      }
      _exit(body());
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
  }
  // Where the host has no such tree nothing is promised, and nothing made.
  void ExpectNoneOf(const std::string& controller) {
    const auto join = groups_->Create("none", {.memory = kGiB, .pids = 9}, StandardDevices());
    ASSERT_TRUE(join.ok()) << join.status();
    for (const std::string& file : *join) EXPECT_EQ(file.find("/" + controller + "/"), file.npos);
    Remove("none");
  }
  void Remove(const std::string& id) {
    while (!groups_->Remove(id)) sched_yield();
  }
  std::unique_ptr<LegacyCgroups> groups_;
};

TEST_F(RealLegacyHost, ATaskThatNeedsMoreMemoryThanItsOwnIsKilledAndCounted) {
  if (!groups_->abilities().memory) return ExpectNoneOf("memory");
  const auto join = groups_->Create("memory", {.memory = 32 * kMiB}, StandardDevices());
  ASSERT_TRUE(join.ok()) << join.status();
  const auto touch = [](size_t bytes) {
    auto* all = static_cast<char*>(
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    for (size_t at = 0; at < bytes; at += 4096) all[at] = 1;
    return 7;
  };
  EXPECT_EQ(Run(*join, [&] { return touch(8 << 20); }), 7);
  EXPECT_EQ(groups_->OutOfMemoryKills("memory"), 0);
  EXPECT_EQ(Run(*join, [&] { return touch(128 << 20); }), 256 + SIGKILL);
  EXPECT_EQ(groups_->OutOfMemoryKills("memory"), 1);
  Remove("memory");
}

TEST_F(RealLegacyHost, AForkBombEndsAtItsLimit) {
  if (!groups_->abilities().pids) return ExpectNoneOf("pids");
  const auto join = groups_->Create("pids", {.pids = 4}, StandardDevices());
  ASSERT_TRUE(join.ok()) << join.status();
  EXPECT_EQ(Run(*join,
                [] {
                  int forked = 0;
                  std::vector<pid_t> children;
                  for (; forked < 100; ++forked) {
                    const pid_t child = fork();
                    if (child < 0) break;
                    if (child == 0) {
                      for (;;) pause();
                    }
                    children.push_back(child);
                  }
                  for (const pid_t child : children) kill(child, SIGKILL);
                  for (const pid_t child : children) waitpid(child, nullptr, 0);
                  return forked;
                }),
            3);
  Remove("pids");
}

TEST_F(RealLegacyHost, DevicesThatWereNotGivenCannotBeOpened) {
  if (!groups_->abilities().devices) return ExpectNoneOf("devices");
  const auto join = groups_->Create("devices", {}, {*RuleOf("/dev/null")});
  ASSERT_TRUE(join.ok()) << join.status();
  EXPECT_EQ(Run(*join,
                [] {
                  return (open("/dev/null", O_RDWR) >= 0 ? 1 : 0) |
                         (open("/dev/zero", O_RDONLY) >= 0 ? 2 : 0);
                }),
            1);
  Remove("devices");
}

TEST_F(RealLegacyHost, KillEndsAllOfIt) {
  if (!groups_->abilities().kill) return ExpectNoneOf("freezer");
  const auto join = groups_->Create("killed", {}, StandardDevices());
  ASSERT_TRUE(join.ok()) << join.status();
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t outer = fork();
  if (outer == 0) {
    for (const std::string& procs : *join) {
      const int fd = open(procs.c_str(), O_WRONLY);
      if (write(fd, "0", 1) != 1) _exit(99);
    }
    setsid();
    if (fork() == 0 && write(ready[1], "x", 1) != 1) _exit(98);
    for (;;) pause();
  }
  close(ready[1]);
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  groups_->Kill("killed");
  int status = 0;
  waitpid(outer, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(read(ready[0], &byte, 1), 0) << "the other one lives";
  close(ready[0]);
  Remove("killed");
}

}  // namespace
}  // namespace allot::agent
