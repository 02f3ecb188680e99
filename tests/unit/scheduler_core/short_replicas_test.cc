// Groups of deployments for which no node has room: they wait without costing anything, hold up
// nobody, and are placed as soon as a node has room.
#include "gtest/gtest.h"
#include "tests/unit/scheduler_core/world.h"

namespace allot::scheduler {
namespace {

class ShortReplicas : public testing::Test {
 protected:
  // Each of `groups` wants one replica of so much memory on one h200.
  Effects Deploy(const std::string& name, uint32_t groups, Bytes memory) {
    DeploymentSpec spec;
    spec.name = name;
    spec.command = {"serve"};
    spec.resources.memory = memory;
    for (uint32_t g = 0; g < groups; ++g) {
      ReplicaGroup group;
      group.device.model = "*h200*";
      group.count = 1;
      spec.groups.push_back(group);
    }
    return world_.Step(
        DeploymentApplied{0, std::make_shared<const DeploymentSpec>(std::move(spec))});
  }
  JobId Submit(uint32_t h200s, Bytes memory = 0) {
    JobSpec spec;
    spec.command = {"true"};
    spec.resources.memory = memory;
    if (h200s > 0) {
      DeviceRequest request;
      request.model = "*h200*";
      request.count = h200s;
      spec.devices = {request};
    }
    world_.Submit(std::move(spec));
    return world_.last_job();
  }
  void Register(const std::string& name) { world_.Register({name, {{8, "h200"}}}); }
  size_t Replicas() const { return world_.state().replicas().size(); }
  static uint32_t Searched(const Effects& effects) {
    uint32_t searched = 0;
    for (const Note& note : effects.notes) {
      if (const auto* planned = std::get_if<ReplicasPlanned>(&note)) searched += planned->searched;
    }
    return searched;
  }

  World world_;
};

TEST_F(ShortReplicas, MoreThanAStepCanSearchForHoldUpNoJob) {
  for (int n = 1; n <= 3; ++n) Register(fmt::format("n{}", n));
  // A job end is what grows; until its room is looked at, all that is short was looked at once.
  for (int d = 0; d < 8; ++d) Deploy(fmt::format("d{}", d), 64, 100 * 1024 * kGiB);
  const JobId job = Submit(0);
  EXPECT_EQ(world_.job(job).phase, JobPhase::kRunning);
  Register("n4");
  EXPECT_EQ(world_.job(Submit(0)).phase, JobPhase::kRunning);
  EXPECT_EQ(Replicas(), 0U);
}

TEST_F(ShortReplicas, HoldUpNoJobThatCameFirst) {
  for (int d = 0; d < 8; ++d) Deploy(fmt::format("d{}", d), 64, 100 * 1024 * kGiB);
  const JobId job = Submit(1);
  EXPECT_EQ(world_.job(job).phase, JobPhase::kPending);
  Register("n1");
  EXPECT_EQ(world_.job(job).phase, JobPhase::kRunning);
}

TEST_F(ShortReplicas, AreNotSearchedForWhileNothingGrows) {
  Register("n1");
  EXPECT_EQ(Searched(Deploy("big", 10, 100 * 1024 * kGiB)), 10U);
  EXPECT_EQ(Searched(world_.Beat("n1")), 0U);
  EXPECT_EQ(Searched(world_.Advance(std::chrono::milliseconds(10))), 0U);
}

TEST_F(ShortReplicas, AreNotSearchedForWhereWhatGrewIsTooSmall) {
  Register("n1");
  Deploy("big", 10, 100 * 1024 * kGiB);
  Register("n2");
  const JobId job = Submit(0);
  const std::string node =
      world_.state().FindNode(world_.job(job).tasks[0].placement.node)->info->name;
  EXPECT_EQ(Searched(world_.Report(node, Exited(KeyOf(world_.state(), job, 0)))), 0U);
}

TEST_F(ShortReplicas, ArePlacedWhenAJobMakesRoom) {
  Register("n1");
  const JobId job = Submit(8);
  Deploy("chat", 2, kGiB);
  EXPECT_EQ(Replicas(), 0U);
  world_.Report("n1", Exited(KeyOf(world_.state(), job, 0)));
  EXPECT_EQ(Replicas(), 2U);
}

TEST_F(ShortReplicas, ArePlacedWhenANodeComes) {
  Register("n1");
  Submit(8);
  Deploy("chat", 2, kGiB);
  Register("n2");
  EXPECT_EQ(Replicas(), 2U);
}

TEST_F(ShortReplicas, ArePlacedWhenTheSpecAsksForLess) {
  Register("n1");
  Deploy("chat", 2, 100 * 1024 * kGiB);
  Deploy("chat", 2, kGiB);
  EXPECT_EQ(Replicas(), 2U);
}

TEST_F(ShortReplicas, ArePlacedAfterARestart) {
  Register("n1");
  const JobId job = Submit(8);
  Deploy("chat", 2, kGiB);
  world_.Crash();
  world_.Step(Restarted{});
  Register("n1");
  world_.Report("n1", Exited(KeyOf(world_.state(), job, 0)));
  EXPECT_EQ(Replicas(), 2U);
}

TEST_F(ShortReplicas, AreCountedWithoutLookingForReasons) {
  Register("n1");
  Deploy("big", 2, 100 * 1024 * kGiB);
  const auto reasons = world_.core().ExplainDeployment("big");
  const auto counts = world_.core().ExplainDeployment("big", WaitDetail::kCounts);
  ASSERT_EQ(reasons->size(), 2U);
  ASSERT_EQ(counts->size(), 2U);
  EXPECT_EQ(reasons->back().reasons.size(), 1U);
  EXPECT_EQ(reasons->back().reasons[0].detail, reasons->front().reasons[0].detail);
  EXPECT_EQ(counts->back().count, 1U);
  EXPECT_TRUE(counts->back().reasons.empty());
}

// Wide enough that a round outlasts a step: it goes on where it stopped and comes to an end.
TEST_F(ShortReplicas, ARoundThatOutlastsAStepGoesOn) {
  for (int n = 1; n <= 200; ++n) Register(fmt::format("n{}", n));
  uint32_t searched = Searched(Deploy("many", 700, 8 * kGiB));
  EXPECT_EQ(Replicas(), 700U);
  EXPECT_EQ(searched, 700U);
  searched = Searched(Deploy("more", 1000, 8 * kGiB));
  EXPECT_EQ(Replicas(), 1600U);
  // A place for each of 900, and 100 that find none.
  EXPECT_EQ(searched, 1000U);
}

}  // namespace
}  // namespace allot::scheduler
