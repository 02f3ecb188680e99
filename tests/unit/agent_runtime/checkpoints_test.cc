// Whose checkpoint folders are, and with whose rights they are made and looked at.
#include "agent/runtime/checkpoints.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/base/thread.h"
#include "tests/unit/agent_runtime/machine.h"

namespace allot::agent {
namespace {

namespace fs = std::filesystem;

TEST(CheckpointNames, OfAJobHaveItsNumberAndNothingElse) {
  for (const char* path : {"/c/job-17", "job-17", "/c/job-17.0000000000c0ffee"})
    EXPECT_TRUE(IsFolderOfJob(path, JobId(17))) << path;
  for (const char* path : {"", "/c/", "/c/job-171", "/c/job-1", "/c/job-17/x", "/c/job-17.",
                           "/c/job-17.c0ffee", "/c/job-17.0000000000c0ffee.x", "/etc/cron.d"})
    EXPECT_FALSE(IsFolderOfJob(path, JobId(17))) << path;
}

class Checkpoints : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(geteuid(), 0u) << "folders can only be given away by root: run this test as root";
    ASSERT_EQ(chmod(place_.path().c_str(), 0711), 0);
  }
  CheckpointFolder Of(const std::string& name, bool clusters) const {
    CheckpointFolder folder{place_.path() + "/" + name, clusters, std::nullopt};
    folder.as = RunAs{.uid = 4'242, .gid = 4'343};
    return folder;
  }
  Status Near(const CheckpointFolder& folder) {
    empty_ = false;
    return PrepareCheckpointsNear(folder, "/", &empty_);
  }
  // On a thread whose rights it may keep.
  Status Prepare(const CheckpointFolder& folder) {
    empty_ = false;
    Status status;
    StartThread([&] { status = PrepareCheckpoints(folder, &empty_); }).join();
    return status;
  }
  static std::string Owner(const std::string& path) {
    struct stat info {};
    if (lstat(path.c_str(), &info) != 0) return "none";
    return fmt::format("{}:{}:{:o}", info.st_uid, info.st_gid, info.st_mode & 0777);
  }
  TemporaryFolder place_;
  bool empty_ = false;
};

TEST_F(Checkpoints, OfTheClusterAreMadeForTheirUserWhoseWayThereIsOpen) {
  for (const bool near : {true, false}) {
    const CheckpointFolder folder = Of(fmt::format("deep/{}/job-1", near), true);
    ASSERT_TRUE((near ? Near(folder) : Prepare(folder)).ok());
    EXPECT_TRUE(empty_);
    EXPECT_EQ(Owner(folder.path), "4242:4343:700");
    EXPECT_EQ(Owner(fs::path(folder.path).parent_path()), "0:0:711");
    std::ofstream(folder.path + "/step") << "1";
    ASSERT_TRUE((near ? Near(folder) : Prepare(folder)).ok());
    EXPECT_FALSE(empty_);
  }
}

TEST_F(Checkpoints, OfAnEarlierUserAreGivenAwayWhereThatMayTakeItsTime) {
  const CheckpointFolder folder = Of("job-1", true);
  fs::create_directory(folder.path);
  std::ofstream(folder.path + "/step") << "1";
  EXPECT_TRUE(absl::IsFailedPrecondition(Near(folder)));
  EXPECT_EQ(Owner(folder.path + "/step").substr(0, 4), "0:0:");
  ASSERT_TRUE(Prepare(folder).ok());
  EXPECT_FALSE(empty_);
  EXPECT_EQ(Owner(folder.path), "4242:4343:700");
  EXPECT_EQ(Owner(folder.path + "/step").substr(0, 10), "4242:4343:");
}

TEST_F(Checkpoints, ALinkInTheirPlaceIsNeitherFollowedNorGiven) {
  const std::string victim = place_.path() + "/victim";
  fs::create_directory(victim);
  const CheckpointFolder folder = Of("job-1", true);
  fs::create_directory_symlink(victim, folder.path);
  ASSERT_TRUE(Near(folder).ok());
  ASSERT_TRUE(Prepare(folder).ok());
  EXPECT_EQ(Owner(victim).substr(0, 4), "0:0:");
  // Nor is one on the way to it, but by the operator's own word.
  fs::create_directory_symlink(victim, place_.path() + "/way");
  EXPECT_TRUE(absl::IsFailedPrecondition(Near(Of("way/job-1", true))));
  EXPECT_TRUE(fs::is_empty(victim));
}

TEST_F(Checkpoints, ThatAJobNamesAreNotMadeAndSeenByTheirUserAlone) {
  const CheckpointFolder folder = Of("named/mine", false);
  EXPECT_TRUE(absl::IsFailedPrecondition(Near(folder)));
  ASSERT_TRUE(Prepare(folder).ok());
  EXPECT_TRUE(empty_);
  EXPECT_EQ(Owner(place_.path() + "/named"), "none");
  // What is closed to him is not told of.
  const CheckpointFolder closed = Of("closed", false), below = Of("closed/nothing", false);
  fs::create_directory(closed.path);
  ASSERT_EQ(chmod(closed.path.c_str(), 0700), 0);
  for (const CheckpointFolder& each : {closed, below}) {
    ASSERT_TRUE(Prepare(each).ok());
    EXPECT_FALSE(empty_) << each.path;
  }
  ASSERT_EQ(chmod(closed.path.c_str(), 0755), 0);
  ASSERT_TRUE(Prepare(closed).ok());
  EXPECT_TRUE(empty_);
  EXPECT_EQ(Owner(closed.path), "0:0:755");
  // The rights were that thread's, and ours are as they were.
  ASSERT_EQ(chmod(closed.path.c_str(), 0), 0);
  EXPECT_TRUE(fs::is_empty(closed.path));
}

TEST_F(Checkpoints, WhatTheNodeCannotMakeIsTold) {
  std::ofstream(place_.path() + "/file") << "";
  EXPECT_FALSE(Prepare(Of("file/job-1", true)).ok());
  EXPECT_FALSE(Near(Of("file/job-1", true)).ok());
}

}  // namespace
}  // namespace allot::agent
