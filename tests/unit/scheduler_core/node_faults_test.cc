// What nodes do to jobs: how often a job is forgiven what it is not to blame for, and what is
// learnt of the node.
#include "gtest/gtest.h"
#include "tests/unit/scheduler_core/world.h"

namespace allot::scheduler {
namespace {

JobSpec Gang() {
  JobSpec spec;
  spec.command = {"train"};
  spec.tasks = 2;
  DeviceRequest request;
  request.kind = DeviceKind::kGpu;
  request.count = 1;
  spec.devices.push_back(request);
  return spec;
}

class NodeFaults : public testing::Test {
 protected:
  NodeFaults() {
    for (const char* name : {"n1", "n2"}) world_.Register({.name = name, .devices = {{1, "h200"}}});
  }
  const JobState& job() { return world_.job(world_.last_job()); }
  std::string NodeOf(uint32_t rank) {
    return world_.state().FindNode(job().tasks[rank].placement.node)->info->name;
  }
  void Ends(uint32_t rank, ExitCause cause, int32_t code) {
    TaskStatus status = Exited(KeyOf(world_.state(), job().id, rank), code);
    status.exit->cause = cause;
    world_.Report(NodeOf(rank), status);
  }
  void AwaitAttempt() {
    for (int i = 0; i < 1'000 && job().phase != JobPhase::kRunning; ++i) {
      for (const char* name : {"n1", "n2"}) world_.Beat(name);
      world_.Advance(std::chrono::seconds(5));
    }
    ASSERT_EQ(job().phase, JobPhase::kRunning);
  }

  World world_;
};

// A gang fails, and then one of its nodes says that it could not start its part: whether that
// excuses the failure is asked of the same count as when the node says so first.
TEST_F(NodeFaults, ExcuseAFailureUntilTheJobHasHadItsShareOfThem) {
  for (const int faults : {18, 19}) {
    world_.Submit(Gang());
    for (int i = 0; i < faults; ++i) {
      ASSERT_NO_FATAL_FAILURE(AwaitAttempt());
      Ends(0, ExitCause::kNotStarted, 127);
      Ends(1, ExitCause::kStopped, 0);
    }
    ASSERT_NO_FATAL_FAILURE(AwaitAttempt());
    EXPECT_EQ(job().node_faults, static_cast<uint32_t>(faults));
    Ends(0, ExitCause::kTask, 3);
    ASSERT_EQ(job().phase, JobPhase::kStopping);
    Ends(1, ExitCause::kNotStarted, 127);
    if (faults == 18) {
      EXPECT_EQ(job().phase, JobPhase::kPending);
      ASSERT_NO_FATAL_FAILURE(AwaitAttempt());
      Ends(0, ExitCause::kTask, 0);
      Ends(1, ExitCause::kTask, 0);
    } else {
      EXPECT_EQ(job().outcome, JobOutcome::kFailed);
      EXPECT_EQ(job().code, 3);
    }
    EXPECT_EQ(job().phase, JobPhase::kFinished);
  }
}

// Where nothing is ever quarantined, what is not answered for is still placed anew.
TEST_F(NodeFaults, AreNoEvidenceWhereThePolicyAsksForNone) {
  Policy policy = TestPolicy();
  policy.quarantine.failures = 0;
  world_.Step(PolicyApplied{0, std::make_shared<const Policy>(policy)});
  JobSpec spec = Gang();
  spec.tasks = 1;
  world_.Submit(spec);
  for (int i = 0; i < 1'000 && job().attempt == Attempt(1); ++i) {
    for (const char* name : {"n1", "n2"}) world_.Beat(name);
    world_.Advance(std::chrono::seconds(1));
  }
  EXPECT_EQ(job().attempt, Attempt(2));
  EXPECT_EQ(job().phase, JobPhase::kRunning);
}

}  // namespace
}  // namespace allot::scheduler
