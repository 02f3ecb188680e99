// The state by itself, at limits that only a long life comes to.
#include "scheduler/core/cluster_state.h"

#include "gtest/gtest.h"

namespace allot::scheduler {
namespace {

TEST(ClusterStateFind, FindsNobodyByAnIdThatNobodyHas) {
  ClusterState state;
  auto info = std::make_shared<NodeInfo>();
  info->name = "n1";
  state.Apply(NodeRegistered{Time(), NodeId(1), Epoch(1), 1, info});
  ASSERT_NE(state.FindNode(NodeId(1)), nullptr);
  EXPECT_EQ(state.FindNode(NodeId(1))->info->name, "n1");
  EXPECT_EQ(state.FindNode(NodeId()), nullptr);
  EXPECT_EQ(state.FindNode(NodeId(2)), nullptr);
  EXPECT_EQ(state.FindNode("n1"), state.FindNode(NodeId(1)));
  EXPECT_EQ(state.FindNode("n2"), nullptr);
}

// Which nodes could not start it is of this run of bad luck alone.
TEST(ClusterStateAttempts, NodesThatCouldNotStartItAreForgottenWhenItHasRun) {
  ClusterState state;
  auto info = std::make_shared<NodeInfo>();
  info->name = "n1";
  state.Apply(NodeRegistered{Time(), NodeId(1), Epoch(1), 1, info});
  auto spec = std::make_shared<JobSpec>();
  spec->tasks = 1;
  spec->resources = {.cpus = 0, .memory = 0};
  state.Apply(JobAccepted{Time(), JobId(1), spec, "ann", ""});
  const auto attempt = [&](uint32_t number, ExitCause cause, RequeueReason reason) {
    state.Apply(JobPlaced{Time(), JobId(1), Attempt(number), {TaskPlacement{.node = NodeId(1)}}});
    TaskExit exit;
    exit.code = 1;
    exit.cause = cause;
    state.Apply(TaskExited{Time(), TaskKey{{JobId(1), 0}, Attempt(number)}, exit});
    state.Apply(JobRequeued{Time(), JobId(1), reason, Time()});
  };
  attempt(1, ExitCause::kNotStarted, RequeueReason::kNodeFault);
  EXPECT_EQ(state.FindJob(JobId(1))->unfit_nodes, std::vector<NodeId>{NodeId(1)});
  attempt(2, ExitCause::kTask, RequeueReason::kTaskFailed);
  EXPECT_TRUE(state.FindJob(JobId(1))->unfit_nodes.empty());
}

// Of a job that is placed again and again the last attempts are kept, of a wide one fewer.
TEST(ClusterStateAttempts, OnlyTheLastAreKept) {
  struct Row {
    size_t tasks, kept;
  };
  for (const Row row : {Row{1, ClusterState::kEarlierAttemptsKept}, Row{4096, 2}, Row{9000, 1}}) {
    SCOPED_TRACE(row.tasks);
    ClusterState state;
    auto info = std::make_shared<NodeInfo>();
    info->name = "n1";
    state.Apply(NodeRegistered{Time(), NodeId(1), Epoch(1), 1, info});
    auto spec = std::make_shared<JobSpec>();
    spec->tasks = static_cast<uint32_t>(row.tasks);
    spec->resources = {.cpus = 0, .memory = 0};
    state.Apply(JobAccepted{Time(), JobId(1), spec, "ann", ""});
    const std::vector<TaskPlacement> tasks(row.tasks, TaskPlacement{.node = NodeId(1)});
    constexpr uint32_t kAttempts = 20;
    for (uint32_t attempt = 1; attempt <= kAttempts; ++attempt) {
      state.Apply(JobPlaced{Time(), JobId(1), Attempt(attempt), tasks});
      for (uint32_t rank = 0; rank < row.tasks; ++rank)
        state.Apply(TaskExited{Time(), TaskKey{{JobId(1), rank}, Attempt(attempt)}, {.code = 1}});
      state.Apply(JobRequeued{Time(), JobId(1), RequeueReason::kTaskFailed, Time()});
    }
    const auto& earlier = state.FindJob(JobId(1))->earlier;
    ASSERT_EQ(earlier.size(), row.kept);
    EXPECT_EQ(earlier.front().attempt, Attempt(kAttempts - row.kept));
    EXPECT_EQ(earlier.back().attempt, Attempt(kAttempts - 1));
  }
}

// Jobs that are cancelled at once, each with a key of its own.
class Keys : public testing::Test {
 protected:
  void Submit(uint64_t id, const std::string& key) {
    state.Apply(JobAccepted{now, JobId(id), spec, "ann", key});
  }
  void Finish(uint64_t id) {
    state.Apply(JobFinished{now, JobId(id), JobOutcome::kCancelled, 130, Cost{}});
  }
  JobId Find(const std::string& key) const {
    return state.FindByIdempotencyKey(ClusterState::KeyOwner(*spec, "ann"), key);
  }
  // So many jobs without a key push the first out of those that are kept.
  void FillUp(uint64_t first) {
    for (uint64_t id = first; id < first + ClusterState::kFinishedJobsKept; ++id) {
      Submit(id, "");
      Finish(id);
    }
  }

  const JobSpecPtr spec = std::make_shared<const JobSpec>();
  Time now = FromMicros(1'000'000'000);
  ClusterState state;
};

TEST_F(Keys, OfAForgottenJobLapseADayAfterItsEnd) {
  Submit(1, "once");
  Finish(1);
  FillUp(2);
  ASSERT_EQ(state.FindJob(JobId(1)), nullptr);
  EXPECT_EQ(Find("once"), JobId(1));
  now += ClusterState::kKeyLife - Duration(1);
  Submit(50'000, "");
  EXPECT_EQ(Find("once"), JobId(1));
  now += Duration(1);
  Submit(50'001, "");
  EXPECT_FALSE(Find("once").valid());
}

TEST_F(Keys, LapseWhenAnotherJobEndsAsWellAsWhenOneComes) {
  Submit(1, "once");
  Finish(1);
  FillUp(2);
  Submit(50'000, "");
  now += ClusterState::kKeyLife;
  EXPECT_EQ(Find("once"), JobId(1));
  Finish(50'000);
  EXPECT_FALSE(Find("once").valid());
}

TEST_F(Keys, ThatAreUsedAgainAreTheLaterJobs) {
  Submit(1, "once");
  Finish(1);
  FillUp(2);
  now += ClusterState::kKeyLife - Duration(1);
  Submit(50'000,
         "once");  // Whoever asked would have been told of job 1; the journal may hold both.
  now += Duration(1);
  Submit(50'001, "");
  EXPECT_EQ(Find("once"), JobId(50'000));
}

TEST_F(Keys, OfAJobThatIsKeptDoNotLapse) {
  Submit(1, "once");
  now += ClusterState::kKeyLife * 2;
  Finish(1);
  Submit(2, "");
  EXPECT_EQ(Find("once"), JobId(1));
  EXPECT_FALSE(Find("twice").valid());
}

}  // namespace
}  // namespace allot::scheduler
