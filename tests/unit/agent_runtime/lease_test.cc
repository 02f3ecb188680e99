// Leases of processes: the supervisor ends what was not renewed, whatever has become of the agent.
#include <time.h>

#include "machine.h"

namespace allot::agent {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

uint64_t Now() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * kSecond + static_cast<uint64_t>(now.tv_nsec);
}

class Leases : public testing::Test {
 protected:
  ~Leases() override { EndAll(state_.path()); }
  static ProcessId Start(Life& life, const TaskKey& key, const std::string& script, uint64_t until,
                         Duration grace = std::chrono::minutes(10)) {
    ProcessSpec spec = life.Spec(key, {"/bin/sh", "-c", script});
    spec.lease = ProcessLease{until, grace};
    const Status status = life.runtime().Spawn(spec);
    EXPECT_TRUE(status.ok()) << status;
    return spec.id;
  }
  TemporaryFolder state_;
};

constexpr char kForever[] = "exec tail -f /dev/null";

TEST_F(Leases, WhatIsNotRenewedIsToldToEnd) {
  Life life(state_.path());
  const TaskExit exit = life.ExitOf(Start(life, Key(1), kForever, Now() + kSecond / 4));
  EXPECT_EQ(exit.signal, SIGTERM);
  EXPECT_EQ(exit.cause, ExitCause::kLeaseEnded);
  EXPECT_NE(exit.message.find("at_most_one"), std::string::npos) << exit.message;
  EXPECT_FALSE(exit.succeeded());
}

TEST_F(Leases, WhatSaysZeroThenHasNotSucceeded) {
  Life life(state_.path());
  const TaskExit exit = life.ExitOf(
      Start(life, Key(1), "trap 'exit 0' TERM; while :; do sleep 0.01; done", Now() + kSecond / 4));
  EXPECT_EQ(exit.code, 0);
  EXPECT_FALSE(exit.succeeded());
}

TEST_F(Leases, WhatDoesNotEndIsKilledWithAllThatItHasStarted) {
  Life life(state_.path());
  const std::string child = state_.path() + "/child";
  const ProcessId id = Start(life, Key(1),
                             "trap '' TERM; setsid tail -f /dev/null & echo $! > " + child +
                                 ".new; mv " + child + ".new " + child + "; while :; do wait; done",
                             Now() + kSecond, std::chrono::milliseconds(50));
  ASSERT_TRUE(life.Until([&] { return !ReadText(child).empty(); }));
  const TaskExit exit = life.ExitOf(id);
  EXPECT_EQ(exit.signal, SIGKILL);
  EXPECT_EQ(exit.cause, ExitCause::kLeaseEnded);
  EXPECT_FALSE(Runs(std::stoll(ReadText(child))));
}

// Both have the same lease; one of them is renewed, and by a later agent the other kind too.
TEST_F(Leases, WhatIsRenewedRunsOn) {
  auto first = std::make_unique<Life>(state_.path());
  const uint64_t until = Now() + 5 * kSecond;
  const ProcessId renewed = Start(*first, Key(1), kForever, until);
  const ProcessId adopted = Start(*first, Key(2), kForever, until);
  const ProcessId left = Start(*first, Key(3), kForever, until);
  first->runtime().Renew(renewed, until + 3600 * kSecond);
  first->runtime().Renew(renewed, until + kSecond);  // An older word changes nothing.
  const int64_t pids[] = {first->PidOf(renewed), first->PidOf(adopted)};
  first->PidOf(left);
  first.reset();
  Life next(state_.path());
  for (const FoundProcess& found : next.scan().processes) next.runtime().Adopt(found);
  next.runtime().Renew(adopted, until + 3600 * kSecond);
  EXPECT_EQ(next.ExitOf(left).cause, ExitCause::kLeaseEnded);
  EXPECT_GE(Now(), until);
  for (const int64_t pid : pids) EXPECT_TRUE(Runs(pid));
  for (const ProcessId& id : {renewed, adopted}) {
    next.runtime().Signal(id, SIGKILL);
    EXPECT_EQ(next.ExitOf(id).cause, ExitCause::kTask) << "its lease was not over";
  }
}

TEST_F(Leases, ItEndsWithoutAnyAgentAndTheNextOneReadsWhy) {
  int64_t pid = 0;
  {
    Life life(state_.path());
    pid = life.PidOf(Start(life, Key(1), kForever, Now() + kSecond));
  }
  Life none(state_.path() + "-unused");
  ASSERT_TRUE(none.Until([&] { return !Runs(pid); }));
  Life next(state_.path());
  const ProcessId id = ProcessOf(Key(1));
  ASSERT_TRUE(next.Until([&] { return next.RecordOf(id).exit.has_value(); }));
  EXPECT_EQ(next.RecordOf(id).exit->cause, ExitCause::kLeaseEnded);
  std::filesystem::remove_all(state_.path() + "-unused");
}

TEST_F(Leases, WhatComesTooLateNeverRuns) {
  Life life(state_.path());
  const std::string ran = state_.path() + "/ran";
  const TaskExit exit = life.ExitOf(Start(life, Key(1), "touch " + ran, Now() - 1));
  EXPECT_EQ(exit.cause, ExitCause::kLeaseEnded);
  EXPECT_FALSE(std::filesystem::exists(ran));
}

#if defined(__x86_64__)
// It would run it for ever.
TEST_F(Leases, ASupervisorOfABuildBeforeStartsNothingThatNeedsOne) {
  Life life(state_.path(), {},
            ALLOT_SOURCE_DIR "/tests/fixtures/7fd9b0c/supervisor/allot-supervisor.x86_64");
  const std::string ran = state_.path() + "/ran";
  const TaskExit exit = life.ExitOf(Start(life, Key(1), "touch " + ran, Now() + 3600 * kSecond));
  EXPECT_EQ(exit.code, 127);
  EXPECT_FALSE(std::filesystem::exists(ran));
}
#endif

// It ends as it wants to while it has its lease, and nobody adds to that.
TEST_F(Leases, WhatEndsBeforeEndsByItself) {
  Life life(state_.path());
  const TaskExit exit = life.ExitOf(Start(life, Key(1), "exit 3", Now() + 3600 * kSecond));
  EXPECT_EQ(exit.code, 3);
  EXPECT_EQ(exit.cause, ExitCause::kTask);
}

}  // namespace
}  // namespace allot::agent
