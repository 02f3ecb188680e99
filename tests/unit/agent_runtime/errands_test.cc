#include "agent/runtime/errands.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

#include "gmock/gmock.h"
#include "machine.h"

namespace allot::agent {
namespace {

using ::testing::HasSubstr;

constexpr Duration kLong = std::chrono::minutes(1), kShort = std::chrono::milliseconds(20);

// A pipe that nobody writes to stands for a file server that is away: who opens it waits.
class ErrandsRun : public testing::Test {
 protected:
  ErrandsRun() { mkfifo(pipe_.c_str(), 0600); }
  ~ErrandsRun() override { LetGo(); }
  std::function<Status()> Hang() {
    return [pipe = pipe_, hanging = hanging_] {
      *hanging = static_cast<int>(syscall(SYS_gettid));
      const Fd fd(open(pipe.c_str(), O_RDONLY));
      ReadText("/proc/self/stat");
      return absl::OkStatus();
    };
  }
  void LetGo() { writers_.emplace_back(open(pipe_.c_str(), O_RDWR | O_NONBLOCK)); }
  bool Until(const std::function<bool()>& condition) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!condition()) {
      loop_.restart();
      loop_.run_one_for(std::chrono::milliseconds(10));
      if (std::chrono::steady_clock::now() > give_up) return false;
    }
    return true;
  }
  std::function<void(Status)> Note(const std::string& name) {
    return [this, name](Status status) { done_.emplace(name, std::move(status)); };
  }

  TemporaryFolder place_;
  const std::string pipe_ = place_.path() + "/pipe";
  std::shared_ptr<std::atomic<int>> hanging_ = std::make_shared<std::atomic<int>>(0);
  std::vector<Fd> writers_;
  boost::asio::io_context loop_;
  std::map<std::string, Status> done_;
  Errands errands_{loop_};
};

TEST_F(ErrandsRun, WhatIsDoneIsToldFromTheLoop) {
  errands_.Run(
      "/a", "one", kLong, [] { return NotFound("nothing"); }, Note("one"));
  EXPECT_TRUE(done_.empty());
  ASSERT_TRUE(Until([&] { return done_.size() == 1; }));
  EXPECT_TRUE(absl::IsNotFound(done_["one"]));
}

TEST_F(ErrandsRun, WhatHangsIsToldAndHoldsUpNothingElse) {
  errands_.Run("/dead", "the checkpoint folder /dead/x", kShort, Hang(), Note("hangs"));
  errands_.Run(
      "/a", "other", kLong, [] { return absl::OkStatus(); }, Note("other"));
  ASSERT_TRUE(Until([&] { return done_.size() == 2; }));
  EXPECT_TRUE(done_["other"].ok());
  EXPECT_TRUE(absl::IsDeadlineExceeded(done_["hangs"]));
  EXPECT_THAT(MessageOf(done_["hangs"]), HasSubstr("the checkpoint folder /dead/x: no answer"));
}

TEST_F(ErrandsRun, APlaceThatHangsIsNotAskedWithoutEnd) {
  for (int i = 0; i < Errands::kBusyMax; ++i)
    errands_.Run("/dead", "it", kShort, Hang(), Note(std::to_string(i)));
  ASSERT_TRUE(Until([&] { return done_.size() == Errands::kBusyMax; }));
  std::atomic<bool> asked = false;
  const auto ask = [&asked] {
    asked = true;
    return absl::OkStatus();
  };
  errands_.Run("/dead", "it", kShort, ask, Note("one more"));
  ASSERT_TRUE(Until([&] { return done_.contains("one more"); }));
  EXPECT_TRUE(absl::IsDeadlineExceeded(done_["one more"]));
  EXPECT_FALSE(asked);
  errands_.Run(
      "/alive", "it", kLong, [] { return absl::OkStatus(); }, Note("elsewhere"));
  ASSERT_TRUE(Until([&] { return done_.contains("elsewhere"); }));
  // Back again: it is asked as before.
  errands_.Run("/dead", "it", kLong, ask, Note("later"));
  LetGo();
  ASSERT_TRUE(Until([&] { return done_.contains("later"); }));
  EXPECT_TRUE(done_["later"].ok() && asked);
}

// Neither the lock on the state folder nor a port stays with a thread that never ends.
TEST_F(ErrandsRun, AThreadThatHangsHoldsNoneOfOurDescriptors) {
  errands_.Run("/dead", "it", kLong, Hang(), Note("hangs"));
  ASSERT_TRUE(Until([&] { return *hanging_ != 0; }));
  EXPECT_TRUE(std::filesystem::is_empty(fmt::format("/proc/self/task/{}/fd", hanging_->load())));
}

TEST_F(ErrandsRun, NobodyIsToldOnceTheyAreGone) {
  {
    Errands gone(loop_);
    gone.Run("/a", "it", kShort, Hang(), Note("gone"));
  }
  errands_.Run(
      "/b", "it", kLong, [] { return absl::OkStatus(); }, Note("here"));
  ASSERT_TRUE(Until([&] { return done_.contains("here"); }));
  EXPECT_EQ(done_.size(), 1u);
}

TEST_F(ErrandsRun, WaitingForOneHasAnEnd) {
  EXPECT_TRUE(Errands::Await("it", kLong, [] { return absl::OkStatus(); }).ok());
  EXPECT_TRUE(absl::IsDeadlineExceeded(Errands::Await("it", kShort, Hang())));
}

TEST(MountNames, AreTheInnermostByTheirText) {
  TemporaryFolder place;
  const std::string file = place.path() + "/mounts";
  WriteText(file,
            "/dev/vda / ext4 rw 0 0\nserver:/x /mnt nfs rw 0 0\nserver:/y /mnt/a\\040b nfs rw 0 0\n"
            "short\n");
  MountNames mounts(file);
  EXPECT_EQ(mounts.Of("/home/x"), "/");
  EXPECT_EQ(mounts.Of("/mnt"), "/mnt");
  EXPECT_EQ(mounts.Of("/mnt/deep/er"), "/mnt");
  EXPECT_EQ(mounts.Of("/mnt/a b/c"), "/mnt/a b");
  EXPECT_EQ(mounts.Of("/mntx"), "/");
  EXPECT_EQ(MountNames(place.path() + "/none").Of("/mnt"), "/");
}

}  // namespace
}  // namespace allot::agent
