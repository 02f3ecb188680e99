// What a job's code says.
#include "gtest/gtest.h"
#include "tests/unit/scheduler_core/world.h"

namespace allot::scheduler {
namespace {

// Whatever an agent says of why it could not start a task: a job that failed has not succeeded.
TEST(Codes, OfAFailedJobIsNeverThatOfSuccess) {
  World world;
  world.Register({.name = "n1", .devices = {{1, "h200"}}});
  JobSpec spec;
  spec.command = {"train"};
  spec.resources = {1'000, kGiB};
  world.Submit(std::move(spec));
  const JobId id = world.last_job();
  for (int round = 0; round < 2'000 && world.job(id).phase != JobPhase::kFinished; ++round) {
    if (world.job(id).phase == JobPhase::kRunning) {
      TaskStatus status = Exited(KeyOf(world.state(), id, 0));
      status.exit->cause = ExitCause::kNotStarted;
      world.Report("n1", status);
    }
    world.Beat("n1");
    world.Advance(std::chrono::seconds(5));
  }
  ASSERT_EQ(world.job(id).phase, JobPhase::kFinished);
  EXPECT_EQ(world.job(id).outcome, JobOutcome::kFailed);
  EXPECT_NE(world.job(id).code, 0);
}

// Builds that wrote no code with the decision to end it were stopped in the middle of that.
TEST(Codes, OfAJobThatAnOlderBuildWasEndingIsThatOfItsTask) {
  World world;
  const NodeShape shape{.name = "n1", .devices = {{1, "h200"}}};
  world.Register(shape);
  JobSpec spec;
  spec.command = {"train"};
  spec.resources = {1'000, kGiB};
  world.Submit(std::move(spec));
  const JobId id = world.last_job();
  JobStopping stopping{world.now(), id};
  stopping.outcome = JobOutcome::kFailed;
  world.Wrote(stopping);
  world.Crash();
  world.Step(Restarted{});
  world.Register(shape, {Exited(KeyOf(world.state(), id, 0), 3)});
  EXPECT_EQ(world.job(id).outcome, JobOutcome::kFailed);
  EXPECT_EQ(world.job(id).code, 3);
}

}  // namespace
}  // namespace allot::scheduler
