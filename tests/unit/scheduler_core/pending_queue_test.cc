// Tenants in the queue: those that come and go leave nothing behind.
#include "scheduler/core/pending_queue.h"

#include "gtest/gtest.h"
#include "policies/api/registry.h"

namespace allot::scheduler {
namespace {

class FairQueue : public testing::Test {
 protected:
  FairQueue() {
    QueueKnobs knobs;
    knobs.algorithm = "fair_share";
    policy_ = *policies::MakeQueuePolicy(knobs);
    queue_.SetPolicy(policy_.get(), knobs);
  }
  JobState Job(const std::string& tenant) {
    auto spec = std::make_shared<JobSpec>();
    spec->tenant = tenant;
    JobState job;
    job.id = JobId(++last_);
    job.spec = spec;
    return job;
  }
  // Whose job is next, and what finding it took.
  JobId Next() {
    work_ = 0;
    const auto line = queue_.Next(work_);
    return line ? queue_.line(*line).first() : JobId();
  }

  std::unique_ptr<policies::QueuePolicy> policy_;
  PendingQueue queue_;
  uint64_t last_ = 0, work_ = 0;
};

TEST_F(FairQueue, ForgetsATenantThatNeitherWaitsNorRuns) {
  for (int i = 0; i < 1000; ++i) {
    const JobState job = Job(fmt::format("t{}", i));
    queue_.Add(job);
    queue_.Remove(job);
    queue_.AddUsage(job.spec->tenant, 5);
    queue_.AddUsage(job.spec->tenant, -5);
  }
  EXPECT_EQ(queue_.tenant_count(), 0U);
  const JobState job = Job("t7");
  queue_.Add(job);
  EXPECT_EQ(queue_.tenant_count(), 1U);
  EXPECT_EQ(queue_.FindLineOf(job)->tenant, 0U) << "it takes the room of those that went";
  EXPECT_EQ(Next(), job.id);
}

// Of what never waited here (it ran before a restart) there is no line, whoever else waits.
TEST_F(FairQueue, FindsNoLineForWhatNeverWaited) {
  const JobState waits = Job("waits");
  queue_.Add(waits);
  EXPECT_NE(queue_.FindLineOf(waits), nullptr);
  EXPECT_EQ(queue_.FindLineOf(Job("runs")), nullptr) << "its shape is known, its tenant is not";
  EXPECT_EQ(queue_.JobsAhead(Job("runs")), 0u);
  JobState other = Job("waits");
  auto spec = std::make_shared<JobSpec>(*other.spec);
  spec->resources.cpus = 7'000;
  other.spec = spec;
  EXPECT_EQ(queue_.FindLineOf(other), nullptr) << "its tenant is known, its shape is not";
}

TEST_F(FairQueue, ItsBlockedShapesAreThoseThatWaitForRoom) {
  const JobState fits = Job("a");
  JobState large = Job("a"), gone = Job("a");
  const auto asks = [](JobState& job, MilliCpu cpus) {
    auto spec = std::make_shared<JobSpec>(*job.spec);
    spec->resources.cpus = cpus;
    job.spec = spec;
  };
  asks(large, 7'000);
  asks(gone, 9'000);
  for (const JobState& job : {fits, large, gone}) queue_.Add(job);
  EXPECT_TRUE(queue_.BlockedShapes().empty());
  const ShapeId shape = queue_.FindLineOf(large)->shape;
  queue_.Block(shape);
  queue_.Block(queue_.FindLineOf(gone)->shape);
  queue_.Remove(gone);
  EXPECT_EQ(queue_.BlockedShapes(), std::vector<ShapeId>{shape});
  queue_.Unblock(shape);
  EXPECT_TRUE(queue_.BlockedShapes().empty());
}

// Who is held by whom is found anew only when this says so.
TEST_F(FairQueue, AnOlderJobAtTheHeadOfAHeldLineMayChangeWhoHolds) {
  const JobState older = Job("a"), first = Job("a"), later = Job("a");
  queue_.Add(first);
  queue_.Add(later);
  uint64_t before = queue_.standings();
  queue_.Remove(later);
  queue_.Add(later);
  EXPECT_EQ(queue_.standings(), before) << "the head is the same";
  queue_.Hold(*queue_.Next(work_), {});
  before = queue_.standings();
  queue_.Add(older);
  EXPECT_GT(queue_.standings(), before);
}

TEST_F(FairQueue, RemembersWhatATenantRunsWhileItHasNothingWaiting) {
  const JobState first = Job("busy");
  queue_.Add(first);
  queue_.Remove(first);
  queue_.AddUsage("busy", 1'000'000);
  const JobState second = Job("busy"), other = Job("idle");
  queue_.Add(second);
  queue_.Add(other);
  EXPECT_EQ(Next(), other.id);
  queue_.AddUsage("busy", -1'000'000);
  EXPECT_EQ(Next(), second.id);
}

// They rank before whoever waits, since each uses less; none of them is looked at.
TEST_F(FairQueue, IsNotSlowedByTenantsThatHaveNothingWaiting) {
  for (int i = 0; i < 1000; ++i) queue_.AddUsage(fmt::format("t{}", i), 1);
  queue_.AddUsage("waits", 1'000'000);
  const JobState job = Job("waits");
  queue_.Add(job);
  EXPECT_EQ(Next(), job.id);
  EXPECT_LT(work_, 10U);
}

TEST_F(FairQueue, CountsTheTenantsItLooksAt) {
  for (int i = 0; i < 50; ++i) queue_.Add(Job(fmt::format("t{}", i)));
  EXPECT_EQ(Next(), JobId(1));
  EXPECT_GE(work_, 50U);  // equal ranks are merged
}

TEST_F(FairQueue, KeepsItsOrderWhenThePolicyChanges) {
  QueueKnobs fifo;
  fifo.algorithm = "fifo";
  const auto other = *policies::MakeQueuePolicy(fifo);
  queue_.AddUsage("a", 100);
  const JobState a = Job("a"), b = Job("b");
  queue_.Add(a);
  queue_.Add(b);
  EXPECT_EQ(Next(), b.id);
  queue_.SetPolicy(other.get(), fifo);
  EXPECT_EQ(Next(), a.id);
  queue_.Remove(a);
  EXPECT_EQ(Next(), b.id);
  queue_.Remove(b);
  EXPECT_EQ(Next(), JobId());
  QueueKnobs fair;
  fair.algorithm = "fair_share";
  queue_.SetPolicy(policy_.get(), fair);
  queue_.Add(a);
  EXPECT_EQ(Next(), a.id);
}

// What has left a line is cut off now and then, which the rest must not notice.
TEST_F(FairQueue, GoesThroughALineOfManyJobsInOrder) {
  std::vector<JobState> jobs;
  for (int i = 0; i < 5'000; ++i) queue_.Add(jobs.emplace_back(Job("t")));
  for (size_t i = 0; i + 1 < jobs.size(); ++i) {
    ASSERT_EQ(Next(), jobs[i].id);
    ASSERT_EQ(queue_.JobsAhead(jobs.back()), jobs.size() - 1 - i);
    queue_.Remove(jobs[i]);
    ASSERT_EQ(queue_.size(), jobs.size() - 1 - i);
  }
  EXPECT_EQ(Next(), jobs.back().id);
  EXPECT_EQ(queue_.JobsAhead(jobs.back()), 0u);
  queue_.Remove(jobs.back());
  EXPECT_FALSE(queue_.AnyReady());
}

}  // namespace
}  // namespace allot::scheduler
