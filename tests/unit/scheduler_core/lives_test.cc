// What a scheduler does at its start about lives that its store does not tell rightly of: numbers
// that were given and are not in it, times that a wrong clock has written.
#include "gtest/gtest.h"
#include "tests/unit/scheduler_core/world.h"

namespace allot::scheduler {
namespace {

using namespace std::chrono_literals;

JobSpec SmallJob() { return {.name = "a", .command = {"true"}, .resources = {.cpus = 1'000}}; }

DeploymentSpecPtr Chat(uint32_t count) {
  DeploymentSpec spec{.name = "chat", .model = "m", .command = {"serve"}};
  DeviceRequest device;
  device.model = "*h200*";
  device.count = 1;
  spec.groups = {{.device = device, .count = count}};
  return std::make_shared<const DeploymentSpec>(std::move(spec));
}

TEST(Numbers, AreNoneThatALostLifeHasGiven) {
  World world;
  world.Register({"n1", {{4, "h200"}}});
  world.Submit(SmallJob());
  world.Step(DeploymentApplied{.spec = Chat(1)});
  ASSERT_EQ(world.last_job(), JobId(1));
  ASSERT_EQ(world.state().last_replica(), ReplicaId(1));
  world.Crash();
  world.Step(Restarted{.jobs_from = 1'001, .replicas_from = 501});
  world.Register({"n1", {{4, "h200"}}});
  world.Submit(SmallJob());
  EXPECT_EQ(world.last_job(), JobId(1'001));
  world.Submit(SmallJob());
  EXPECT_EQ(world.last_job(), JobId(1'002));
  EXPECT_EQ(world.state().jobs_accepted(), 3u);
  world.Step(DeploymentApplied{.spec = Chat(4)});
  EXPECT_GE(world.state().last_replica(), ReplicaId(503));
  for (const auto& [id, replica] : world.state().replicas())
    EXPECT_TRUE(id <= ReplicaId(1) || id >= ReplicaId(501)) << ToString(id);
  // Told once more, or no more, where the store has come past it.
  for (const uint64_t from : {1'001, 0}) {
    world.Crash();
    world.Step(Restarted{.jobs_from = from, .replicas_from = from});
    const JobId before = world.last_job();
    world.Submit(SmallJob());
    EXPECT_EQ(world.last_job(), JobId(before.value() + 1));
  }
}

class WrongClock : public ::testing::Test {
 protected:
  // A life whose clock is `ahead` of the one before and of the one after.
  void Life(Duration ahead, std::vector<TaskStatus> tasks = {}, bool doubted = false) {
    world_.PassTime(ahead);
    world_.Crash();
    world_.Step(Restarted{.trust = {.doubted = doubted ? world_.now() : Time()}});
    world_.Register({"n1", {{4, "h200"}}}, std::move(tasks));
  }
  void Run(Duration time) {
    for (const Time end = world_.now() + time; world_.now() < end;) {
      world_.Beat("n1");
      world_.Advance(10s);
    }
  }
  World world_;
};

TEST_F(WrongClock, LeavesNoTimeOfTheFutureBehind) {
  world_.Register({"n1", {{4, "h200"}}});
  world_.Submit(SmallJob());  // from before
  const Time before = world_.job(JobId(1)).submitted;
  const Duration years = 24h * 3'650;
  Life(years);
  JobSpec limited = SmallJob();
  limited.time_limit = 10min;
  world_.Submit(limited);
  const JobId job = world_.last_job();
  world_.Report("n1", Running(KeyOf(world_.state(), job, 0)));
  JobSpec pausing = SmallJob();
  pausing.restarts_max = 3;
  pausing.restart_pause = 1h;
  pausing.restart_pause_max = 1h;
  world_.Submit(pausing);
  const JobId paused = world_.last_job();
  world_.Report("n1", Exited(KeyOf(world_.state(), paused, 0), 1));
  ASSERT_EQ(world_.job(paused).phase, JobPhase::kPending);
  world_.Step(DeviceServiceRequested{.node = "n1", .device = "", .user = "ann"});
  world_.Step(DeploymentApplied{.spec = Chat(1)});

  Life(-years, {Running(KeyOf(world_.state(), job, 0))});
  const Time now = world_.now();
  EXPECT_EQ(world_.state().newest(), now);
  EXPECT_EQ(world_.job(JobId(1)).submitted, before);
  EXPECT_EQ(world_.job(job).placed, now);
  EXPECT_EQ(world_.job(job).tasks[0].started, now);
  EXPECT_EQ(world_.job(paused).not_before, now + 1h);
  EXPECT_EQ(world_.state().FindNode("n1")->quarantines.at("").until, kTimeMax);
  EXPECT_EQ(world_.state().deployments().at("chat").created, now);
  // And what waits for a time waits for one that comes.
  Run(9min);
  EXPECT_EQ(world_.job(job).phase, JobPhase::kRunning);
  Run(2min);
  EXPECT_NE(world_.job(job).phase, JobPhase::kRunning);
}

// Nor does it undo anything while it may be wrong.
TEST_F(WrongClock, EndsNothingWhileItIsDoubted) {
  for (const bool doubted : {true, false}) {
    SCOPED_TRACE(doubted);
    world_.Register({"n1", {{4, "h200"}}});
    JobSpec limited = SmallJob();
    limited.time_limit = 10min;
    world_.Submit(limited);
    const JobId job = world_.last_job();
    world_.Report("n1", Running(KeyOf(world_.state(), job, 0)));
    Life(24h * 3'650, {Running(KeyOf(world_.state(), job, 0))}, doubted);
    if (doubted) {
      Run(9min);
      EXPECT_EQ(world_.job(job).phase, JobPhase::kRunning);
      Run(2min);
    } else {
      Run(10s);
    }
    EXPECT_NE(world_.job(job).phase, JobPhase::kRunning);
  }
}

TEST(WrongClockKeys, NoneLapsesUntilTheClockHasStoodForADay) {
  ClusterState state;
  const auto spec = std::make_shared<const JobSpec>(SmallJob());
  Time at = FromMicros(1'800'000'000'000'000);
  const auto finish = [&](uint64_t id) {
    state.Apply(JobAccepted{at, JobId(id), spec, "ann", "key-" + std::to_string(id)});
    state.Apply(JobFinished{.at = at, .job = JobId(id), .outcome = JobOutcome::kCancelled});
  };
  const std::string owner = ClusterState::KeyOwner(*spec, "ann");
  uint64_t last = 0;
  while (last < ClusterState::kFinishedJobsKept + 5) finish(++last);
  ASSERT_EQ(state.FindJob(JobId(1)), nullptr);
  at += 24h * 3'650;
  state.Apply(TermBegun{at, Term(2), {}, {.doubted = at}});
  finish(++last);
  EXPECT_EQ(state.FindByIdempotencyKey(owner, "key-1"), JobId(1));
  at += 24h;
  finish(++last);
  EXPECT_FALSE(state.FindByIdempotencyKey(owner, "key-1").valid());
}

}  // namespace
}  // namespace allot::scheduler
