// What is in a scratch folder: as the disk counts it, in bounded steps, whatever a task puts there.
#include "agent/runtime/scratch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "machine.h"

namespace allot::agent {
namespace {

constexpr uint64_t kAll = 1'000'000;

ScratchUse Measure(const std::string& path, uint64_t each = kAll) {
  ScratchWalk walk(path);
  for (uint64_t budget = each; !walk.Go(&budget); budget = each) {
  }
  return walk.use();
}
void Fill(const std::string& path, size_t bytes) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const std::string block(bytes, 'x');
  ASSERT_EQ(write(fd, block.data(), block.size()), static_cast<ssize_t>(block.size()));
  fsync(fd);  // Some file systems count what they have given out only.
  close(fd);
}
Bytes Taken(const std::string& path) {
  struct stat info {};
  EXPECT_EQ(lstat(path.c_str(), &info), 0);
  return static_cast<Bytes>(info.st_blocks) * 512;
}

TEST(ScratchWalk, CountsWhatIsTakenOfTheDiskOnce) {
  TemporaryFolder folder;
  const std::string& root = folder.path();
  std::filesystem::create_directories(root + "/a/b/c");
  Fill(root + "/a/b/file", 1 << 20);
  ASSERT_EQ(link((root + "/a/b/file").c_str(), (root + "/again").c_str()), 0);
  std::filesystem::create_symlink("/usr", root + "/elsewhere");
  const int sparse = open((root + "/sparse").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_EQ(ftruncate(sparse, int64_t{1} << 40), 0);
  close(sparse);
  ASSERT_EQ(mkfifo((root + "/pipe").c_str(), 0600), 0);
  const ScratchUse use = Measure(root);
  EXPECT_EQ(use.files, 8u);
  EXPECT_GE(use.bytes, 1 << 20);
  EXPECT_EQ(use.bytes, Taken(root + "/a") + Taken(root + "/a/b") + Taken(root + "/a/b/c") +
                           Taken(root + "/a/b/file") + Taken(root + "/elsewhere") +
                           Taken(root + "/sparse") + Taken(root + "/pipe"));
  EXPECT_LT(use.bytes, 2 << 20);
}

TEST(ScratchWalk, GoesOnWhereItStopped) {
  TemporaryFolder folder;
  for (int i = 0; i < 300; ++i) {
    std::filesystem::create_directory(folder.path() + "/" + std::to_string(i % 20));
    std::ofstream(folder.path() + "/" + std::to_string(i % 20) + "/" + std::to_string(i)) << "x";
  }
  ScratchWalk walk(folder.path());
  int steps = 1;
  for (uint64_t budget = 7; !walk.Go(&budget); budget = 7, ++steps) EXPECT_EQ(budget, 0u);
  EXPECT_EQ(walk.use().files, 320u);
  EXPECT_EQ(steps, 320 / 7 + 1);
  EXPECT_EQ(walk.use().bytes, Measure(folder.path()).bytes);
}

TEST(ScratchWalk, FoldersWithoutEndAreToldAndNotFollowed) {
  TemporaryFolder folder;
  int at = open(folder.path().c_str(), O_RDONLY | O_DIRECTORY);
  for (int depth = 0; depth < 300; ++depth) {
    ASSERT_EQ(mkdirat(at, "d", 0700), 0);
    const int next = openat(at, "d", O_RDONLY | O_DIRECTORY);
    close(at);
    at = next;
  }
  close(at);
  const ScratchUse use = Measure(folder.path());
  EXPECT_TRUE(use.too_deep);
  EXPECT_EQ(use.files, ScratchWalk::kDepthMax);
  EXPECT_NE(WhyOver(use, {.bytes = kGiB, .files = {}}), "");
  EXPECT_EQ(WhyOver(use, {}), "") << "where there is no limit nothing is wrong with it";
}

TEST(ScratchWalk, WhatIsGoneIsNothing) {
  EXPECT_EQ(Measure("/nonexistent/scratch").files, 0u);
  TemporaryFolder folder;
  std::filesystem::create_directory(folder.path() + "/real");
  Fill(folder.path() + "/real/file", 4096);
  std::filesystem::create_symlink(folder.path() + "/real", folder.path() + "/link");
  EXPECT_EQ(Measure(folder.path() + "/link").files, 0u) << "somebody has put a link in its place";
}

TEST(Scratch, SaysHowMuchOfHowMuch) {
  const ScratchLimit limit{.bytes = 10 * kGiB, .files = 5};
  EXPECT_EQ(WhyOver({.bytes = 12 * kGiB, .files = 1}, limit),
            "scratch is 12GiB of the 10GiB it may have");
  EXPECT_EQ(WhyOver({.bytes = 10 * kGiB, .files = 5}, limit), "");
  EXPECT_EQ(WhyOver({.bytes = 1, .files = 6}, limit),
            "scratch has more than the 5 files it may have");
}

TEST(Scratch, WhatWasRemovedAndIsOpenIsCounted) {
  TemporaryFolder folder;
  const std::string path = folder.path() + "/file";
  Fill(path, 1 << 20);
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC), again = dup(fd);
  struct stat info {};
  ASSERT_EQ(fstat(fd, &info), 0);
  uint64_t budget = kAll;
  EXPECT_EQ(RemovedButOpen({getpid()}, info.st_dev, &budget), 0);
  ASSERT_EQ(unlink(path.c_str()), 0);
  EXPECT_EQ(RemovedButOpen({getpid()}, info.st_dev, &budget), info.st_blocks * 512);
  EXPECT_EQ(RemovedButOpen({getpid()}, info.st_dev + 1, &budget), 0);
  budget = 0;
  EXPECT_EQ(RemovedButOpen({getpid()}, info.st_dev, &budget), 0);
  close(fd);
  close(again);
}

class Meter : public testing::Test {
 protected:
  ~Meter() override { EndAll(state_.path()); }
  TemporaryFolder state_;
};

TEST_F(Meter, TellsWhoIsOverAndOfTheOthersHowMuchTheyHave) {
  Life life(state_.path());
  const ProcessId good = life.Shell(Key(1), "exec sleep 600");
  const ProcessId bad = life.Shell(Key(2), "exec sleep 600");
  std::map<ProcessId, std::string> over;
  ScratchMeter meter(
      life.loop, life.folder().ScratchFolder(),
      [&](const ProcessId& id) { return life.runtime().SupervisorOf(id); },
      [&](const ProcessId& id, const std::string& why) { over[id] = why; },
      {.every = std::chrono::milliseconds(5), .entries_max = 7, .removed_every = 2});
  for (int i = 0; i < 20; ++i)
    Fill(life.folder().ScratchOf(bad) + "/" + std::to_string(i), 64 << 10);
  Fill(life.folder().ScratchOf(good) + "/file", 64 << 10);
  meter.Watch(good, {.bytes = kGiB, .files = 100});
  meter.Watch(bad, {.bytes = kMiB, .files = {}});
  ASSERT_TRUE(life.Until([&] { return over.contains(bad) && meter.total() >= 64 << 10; }));
  EXPECT_FALSE(over.contains(good));
  EXPECT_TRUE(over[bad].starts_with("scratch is 1")) << over[bad];
  // By files alone, and no more once it is forgotten.
  meter.Forget(bad);
  over.clear();
  meter.Watch(bad, {.bytes = {}, .files = 10});
  const std::string files = "scratch has more than the 10 files it may have";
  EXPECT_TRUE(life.Until([&] { return over[bad] == files; })) << over[bad];
  for (const ProcessId& id : {good, bad}) life.runtime().Signal(id, SIGKILL);
  life.ExitOf(good);
  life.ExitOf(bad);
}

// A file that nobody can name any more takes as much.
TEST_F(Meter, CountsWhatATaskHasRemovedAndHoldsOpen) {
  Life life(state_.path());
  ProcessSpec spec = life.Spec(
      Key(1), {"/bin/sh", "-c",
               "exec 9>file; rm file; head -c 2000000 /dev/zero >&9; sync; exec sleep 600"});
  ASSERT_TRUE(life.runtime().Spawn(spec).ok());
  std::string why;
  ScratchMeter meter(
      life.loop, life.folder().ScratchFolder(),
      [&](const ProcessId& id) { return life.runtime().SupervisorOf(id); },
      [&](const ProcessId&, const std::string& text) { why = text; },
      {.every = std::chrono::milliseconds(5), .removed_every = 1});
  meter.Watch(spec.id, {.bytes = kMiB, .files = {}});
  ASSERT_TRUE(life.Until([&] { return !why.empty(); }));
  EXPECT_TRUE(why.starts_with("scratch is ")) << why;
  life.runtime().Signal(spec.id, SIGKILL);
  life.ExitOf(spec.id);
}

}  // namespace
}  // namespace allot::agent
