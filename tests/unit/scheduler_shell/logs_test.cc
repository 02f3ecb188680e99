// Logs as people ask for them: of tasks that run, that ended, and of earlier attempts.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/scheduler_shell/cluster.h"

namespace allot::scheduler {
namespace {

using testing::Answer;
using testing::Cluster;
using testing::FakeAgent;
using ::testing::HasSubstr;

constexpr char kTwoTries[] = R"({"command": ["train"], "restarts_max": 1})";

// A job whose first attempt fails on n1, and whose second succeeds on n2.
class EarlierAttempts : public ::testing::Test {
 protected:
  void SetUp() override {
    cluster_.Start();
    first_ = std::make_unique<FakeAgent>(
        cluster_, FakeAgent::Options{.name = "n1", .finish_tasks = false, .log = "on n1\n"});
    ASSERT_TRUE(first_->WaitForWelcome());
    ASSERT_EQ(cluster_.Fetch("POST", "/v1/jobs", kTwoTries).status, 201);
    first_->WaitForTasks(1);
    second_ = std::make_unique<FakeAgent>(
        cluster_, FakeAgent::Options{.name = "n2", .finish_tasks = false, .log = "on n2\n"});
    ASSERT_TRUE(second_->WaitForWelcome());
    ASSERT_EQ(cluster_.Fetch("POST", "/v1/nodes/n1/drain").status, 200);
    first_->Finish(1);
    second_->WaitForTasks(1);
  }
  Answer Log(const std::string& query) { return cluster_.Get("/v1/jobs/job-1/logs?" + query); }
  void End() {
    second_->Finish(0);
    const Answer answer = cluster_.Get("/v1/jobs/job-1/wait?timeout_seconds=60");
    ASSERT_EQ(answer.job().at("outcome").as_string(), "succeeded") << answer.body;
  }

  Cluster cluster_;
  std::unique_ptr<FakeAgent> first_, second_;
};

TEST_F(EarlierAttempts, AreReadFromTheNodesTheyRanOn) {
  EXPECT_EQ(Log("attempt=1").body, "on n1\n") << "while the second runs";
  End();
  EXPECT_EQ(Log("attempt=1").body, "on n1\n");
  EXPECT_EQ(Log("attempt=1&follow=1&offset=3").body, "n1\n");
  EXPECT_EQ(Log("attempt=2").body, "on n2\n");
  EXPECT_EQ(Log("").body, "on n2\n");
  const Answer never = Log("attempt=3");
  EXPECT_EQ(never.status, 404);
  EXPECT_THAT(never.body, HasSubstr("2 attempts"));
}

TEST_F(EarlierAttempts, AreFoundAfterARestart) {
  End();
  first_.reset();
  second_.reset();
  cluster_.Kill();
  cluster_.Start();
  EXPECT_EQ(Log("attempt=1").status, 503) << "the node is known, and not connected";
  FakeAgent back(cluster_, {.name = "n1", .log = "still here\n", .registration = 2});
  ASSERT_TRUE(back.WaitForWelcome());
  EXPECT_EQ(Log("attempt=1").body, "still here\n");
}

TEST(Logs, OfAJobThatOnlyTheHistoryKnowsAreFoundToo) {
  Cluster cluster;
  {
    const auto spec = std::make_shared<const JobSpec>(testing::MakeJob(1, 0));
    JobState old{.id = JobId(1),
                 .spec = spec,
                 .phase = JobPhase::kFinished,
                 .finished = FromMicros(4'000'000'000'000'000),  // so that it is not old
                 .attempt = Attempt(2),
                 .earlier = {{Attempt(1), {NodeId(1)}}},
                 .outcome = JobOutcome::kSucceeded};
    old.tasks.push_back({.placement = {.node = NodeId(1)}, .phase = TaskPhase::kExited});
    // The state begins with job 2, as if it had forgotten the first.
    const JournalBatch batch{.records = {JobAccepted{.job = JobId(2), .spec = spec}},
                             .finished = {old}};
    auto journal = Journal::Open(cluster.folder().path());
    ASSERT_TRUE(journal.ok() && (*journal)->Append({&batch}).ok());
  }
  cluster.Start();
  EXPECT_EQ(cluster.Get("/v1/jobs/job-1/logs").status, 404) << "its node is not known yet";
  FakeAgent agent(cluster, {.log = "long ago\n"});
  ASSERT_TRUE(agent.WaitForWelcome());
  EXPECT_EQ(cluster.Get("/v1/jobs/job-1/logs").body, "long ago\n");
  EXPECT_EQ(cluster.Get("/v1/jobs/job-1/logs?attempt=1").body, "long ago\n");
  EXPECT_EQ(cluster.Get("/v1/jobs/job-9/logs").status, 404);
}

}  // namespace
}  // namespace allot::scheduler
