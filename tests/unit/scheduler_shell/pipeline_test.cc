// What was decided reaches nobody before it is on disk: the journal is held back here, between two
// of its transactions, for as long as a test likes.
#include "scheduler/shell/pipeline.h"

#include <future>
#include <sstream>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "scheduler/shell/compactor.h"
#include "scheduler/shell/journal.h"
#include "scheduler/shell/store.h"
#include "tests/log_kept.h"
#include "tests/unit/scheduler_shell/support.h"

namespace allot::scheduler {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::MakeJob;
using testing::MakeNode;
using testing::TempFolder;

class PipelineTest : public ::testing::Test {
 protected:
  PipelineTest() { Open(); }
  ~PipelineTest() override {
    if (held_) LetGo();
  }

  void Open(CoreOptions core = {}) {
    auto pipeline = Pipeline::Open(loop_,
                                   {.state_dir = folder_.path(),
                                    .core = core,
                                    .compaction = compaction_,
                                    .waiting_records_max = kWaitingMax},
                                   metrics_);
    ASSERT_TRUE(pipeline.ok()) << pipeline.status();
    pipeline_ = *std::move(pipeline);
    const Status begun = pipeline_->Begin(
        {.prepare_send =
             [this](const SendToAgent& send) {
               return Says(fmt::format("to {}: {}", send.node, send.message.index()));
             },
         .prepare_routes =
             [this](const auto& table) {
               return Says(fmt::format("routes to {}", table->deployments.size()));
             },
         .prepare_reply =
             [this](const Reply& reply) {
               return Says(fmt::format("reply {} {}{}", reply.token,
                                       reply.status.ok() ? "ok" : "refused",
                                       reply.job.valid() ? " " + ToString(reply.job) : ""));
             },
         .prepare_job_ended = [this](JobId job) { return Says("ended " + ToString(job)); },
         .performed = [this] { ++performed_; }});
    ASSERT_TRUE(begun.ok()) << begun;
    Settle();
    said_at_start_ = std::exchange(said_, {});
  }
  Pipeline::Action Says(std::string text) {
    return [this, text = std::move(text)] { said_.push_back(text); };
  }

  // From here on nothing becomes durable, until LetGo.
  void HoldJournal() {
    std::promise<void> taken;
    release_ = std::promise<void>();
    pipeline_->journal().WithJournal([&taken, released = release_.get_future().share()](Journal&) {
      taken.set_value();
      released.wait();
    });
    taken.get_future().wait();
    held_ = true;
  }
  void LetGo() {
    held_ = false;
    release_.set_value();
  }
  // All that can happen without the disk.
  void RunLoop() {
    loop_.restart();
    while (loop_.poll() > 0) {
    }
  }
  // And all that waits for it.
  void Settle() {
    RunLoop();
    ASSERT_TRUE(pipeline_->Stop().ok());
    while (pipeline_->waiting_records() > 0 || Unperformed()) RunLoop();
  }
  // Whatever was decided so far leaves in order, so a mark at its end tells when all has left.
  bool Unperformed() {
    auto left = std::make_shared<bool>(false);
    pipeline_->WhenDurable([left] { *left = true; });
    RunLoop();
    while (!*left && pipeline_->waiting_records() == 0) RunLoop();
    return !*left;
  }

  // Runs what the clock brings, until `there()`; false after a time no healthy machine needs.
  bool Until(const std::function<bool()>& there) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    loop_.restart();
    while (!there())
      if (loop_.run_one_until(end) == 0) return false;
    return true;
  }
  // The value of a metric, with its labels as they are shown; 0 where there is none.
  double Shown(const std::string& metric) const {
    std::istringstream lines(metrics_.registry.Text());
    for (std::string line; std::getline(lines, line);)
      if (line.starts_with(metric + " ")) return std::stod(line.substr(metric.size() + 1));
    return 0;
  }

  void Submit(ReplyToken token, const std::string& key = "") {
    pipeline_->Feed(
        JobSubmitted{token, std::make_shared<const JobSpec>(MakeJob(1, 1)), "ann", key});
  }
  void Say(AgentMessage message) { pipeline_->Feed(AgentSaid{"n1", std::move(message)}); }
  void Register() { Say(RegisterNode{.registration = 1, .info = MakeNode("n1", 4)}); }

  static constexpr size_t kWaitingMax = 5;
  TempFolder folder_;
  CompactionOptions compaction_;
  boost::asio::io_context loop_;
  Metrics metrics_;
  std::unique_ptr<Pipeline> pipeline_;
  std::vector<std::string> said_;  // what has left, in order
  std::vector<std::string> said_at_start_;
  int performed_ = 0;
  std::promise<void> release_;
  bool held_ = false;
};

TEST_F(PipelineTest, NoAnswerLeavesBeforeItsRecordIsDurable) {
  HoldJournal();
  Submit(1);
  RunLoop();
  EXPECT_THAT(said_, IsEmpty());
  LetGo();
  Settle();
  EXPECT_THAT(said_, ElementsAre("reply 1 ok job-1"));
}

TEST_F(PipelineTest, NoCommandLeavesBeforeWhatItFollowsFromIsDurable) {
  HoldJournal();
  Submit(1);
  Register();
  RunLoop();
  EXPECT_THAT(said_, IsEmpty());
  LetGo();
  Settle();
  // The Welcome, and the start of the task that the node made room for.
  ASSERT_EQ(said_.size(), 3u);
  EXPECT_EQ(said_[0], "reply 1 ok job-1");
  EXPECT_THAT(said_[1], ::testing::StartsWith("to n1"));
}

// The second request with a key brings about no record of its own; what it tells is the first's.
TEST_F(PipelineTest, TheSameKeyIsNotAnsweredBeforeTheFirstIsDurable) {
  HoldJournal();
  Submit(1, "once");
  RunLoop();  // the first is with the journal
  Submit(2, "once");
  RunLoop();
  EXPECT_THAT(said_, IsEmpty());
  LetGo();
  Settle();
  EXPECT_THAT(said_, ElementsAre("reply 1 ok job-1", "reply 2 ok job-1"));
}

TEST_F(PipelineTest, TheSameKeyInOneTurnOfTheLoop) {
  HoldJournal();
  Submit(1, "once");
  Submit(2, "once");
  RunLoop();
  EXPECT_THAT(said_, IsEmpty());
  LetGo();
  Settle();
  EXPECT_THAT(said_, ElementsAre("reply 1 ok job-1", "reply 2 ok job-1"));
}

// A refusal follows from what was decided before it as well: "there is no job-2" may be told only
// when nothing that is still to be written could have made one.
TEST_F(PipelineTest, CommandsWithoutRecordsDoNotOvertake) {
  HoldJournal();
  Submit(1);
  RunLoop();
  pipeline_->Feed(JobCancelRequested{2, JobId(7), "ann"});
  RunLoop();
  Submit(3);
  RunLoop();
  EXPECT_THAT(said_, IsEmpty());
  LetGo();
  Settle();
  EXPECT_THAT(said_, ElementsAre("reply 1 ok job-1", "reply 2 refused job-7", "reply 3 ok job-2"));
}

TEST_F(PipelineTest, WhereNothingWaitsACommandWithoutRecordsLeavesAtOnce) {
  HoldJournal();
  pipeline_->Feed(JobCancelRequested{1, JobId(7), "ann"});
  RunLoop();
  EXPECT_THAT(said_, ElementsAre("reply 1 refused job-7"));
}

// An answer that shows state: behind what is decided, behind what is with the journal, at once when
// there is neither.
TEST_F(PipelineTest, WhatShowsStateWaitsForAllThatItShows) {
  HoldJournal();
  pipeline_->WhenDurable(Says("before"));
  EXPECT_THAT(said_, ElementsAre("before"));
  Submit(1);
  pipeline_->WhenDurable(Says("decided"));  // nothing is with the journal yet
  RunLoop();
  EXPECT_THAT(said_, ElementsAre("before"));
  pipeline_->WhenDurable(Says("with the journal"));  // no batch begun since
  RunLoop();
  EXPECT_THAT(said_, ElementsAre("before"));
  LetGo();
  Settle();
  EXPECT_THAT(said_, ElementsAre("before", "reply 1 ok job-1", "decided", "with the journal"));
}

TEST_F(PipelineTest, EachBatchLetsGoOnlyWhatWaitedForIt) {
  Submit(1);
  RunLoop();
  ASSERT_TRUE(pipeline_->Stop().ok());
  HoldJournal();  // the first is durable, and its word is on the way to the loop
  Submit(2);
  RunLoop();
  RunLoop();
  EXPECT_THAT(said_, ElementsAre("reply 1 ok job-1"));
  LetGo();
  Settle();
  EXPECT_THAT(said_, ElementsAre("reply 1 ok job-1", "reply 2 ok job-2"));
}

TEST_F(PipelineTest, NewWorkIsRefusedWhereTooMuchWaits) {
  HoldJournal();
  for (ReplyToken token = 1; token <= kWaitingMax + 1; ++token) {
    EXPECT_TRUE(pipeline_->Accepting().ok()) << token;
    Submit(token);
    RunLoop();
  }
  EXPECT_FALSE(pipeline_->Accepting().ok());
  LetGo();
  Settle();
  EXPECT_TRUE(pipeline_->Accepting().ok());
}

TEST_F(PipelineTest, WhatIsCutOffWasNeverSaid) {
  HoldJournal();
  Submit(1);
  RunLoop();
  // The process dies: destruction drops what is queued as soon as the journal's thread comes back.
  std::thread later([this] { LetGo(); });
  pipeline_.reset();
  later.join();
  loop_.restart();
  loop_.poll();
  EXPECT_THAT(said_, IsEmpty());
}

TEST_F(PipelineTest, AFinishedJobIsFoundInTheHistory) {
  Register();
  Submit(1);
  Settle();
  const NodeState& node = *pipeline_->core().state().FindNode("n1");
  ASSERT_EQ(node.tasks.size(), 1u);
  TaskStatus status{.key = node.tasks[0], .phase = TaskPhase::kExited};
  status.exit = TaskExit{.code = 3};
  Say(TaskReport{node.epoch, {status}});
  Settle();
  EXPECT_THAT(said_, Contains("ended job-1"));
  const auto history = History::Open(folder_.path());
  ASSERT_TRUE(history.ok()) << history.status();
  const StatusOr<JobState> found = (*history)->Find(JobId(1));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->phase, JobPhase::kFinished);
  EXPECT_EQ(found->outcome, JobOutcome::kFailed);
  EXPECT_EQ(found->code, 3);
}

TEST_F(PipelineTest, AJobCancelledBeforeItRanIsFoundToo) {
  Submit(1);
  pipeline_->Feed(JobCancelRequested{2, JobId(1), "ann"});
  Settle();
  const auto history = History::Open(folder_.path());
  ASSERT_TRUE(history.ok()) << history.status();
  const StatusOr<JobState> found = (*history)->Find(JobId(1));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->outcome, JobOutcome::kCancelled);
}

// The timer is set for the heartbeat, far away, when something sooner comes up.
TEST_F(PipelineTest, WhatIsDueSoonerDoesNotWaitForWhatIsDueLater) {
  pipeline_.reset();
  Open({.heartbeat_every = std::chrono::hours(1),
        .lease = std::chrono::hours(2),
        .resend_after = std::chrono::milliseconds(1)});
  Register();
  Settle();
  Submit(1);
  Settle();
  said_.clear();
  EXPECT_TRUE(Until([this] { return !said_.empty(); })) << "the start was not sent again";
  EXPECT_THAT(said_[0], ::testing::StartsWith("to n1"));
  // And once more: the timer goes on by itself.
  said_.clear();
  EXPECT_TRUE(Until([this] { return !said_.empty(); }));
}

TEST_F(PipelineTest, EverythingThatIsDecidedIsCounted) {
  Register();
  Submit(1);
  Submit(2);
  Settle();
  EXPECT_EQ(Shown("allotrope_jobs_submitted_total"), 2);
  EXPECT_EQ(Shown("allotrope_placements_total"), 2);
  const NodeState& node = *pipeline_->core().state().FindNode("n1");
  ASSERT_EQ(node.tasks.size(), 2u);
  TaskStatus status{.key = node.tasks[0], .phase = TaskPhase::kExited};
  status.exit = TaskExit{.code = 3, .energy = 5'000};
  Say(TaskReport{node.epoch, {status}});
  // The other one runs, and is not there any more when the node registers anew.
  Say(TaskReport{node.epoch, {{.key = node.tasks.back(), .phase = TaskPhase::kRunning}}});
  Say(RegisterNode{.registration = 2, .info = MakeNode("n1", 4)});
  Settle();
  EXPECT_EQ(Shown("allotrope_jobs_finished_total{outcome=\"failed\"}"), 1);
  EXPECT_EQ(Shown("allotrope_jobs_requeued_total{reason=\"task_lost\"}"), 1);
  EXPECT_EQ(Shown("allotrope_energy_joules_total{source=\"measured\",tenant=\"default\"}"), 5);
  pipeline_->Feed(DeviceServiceRequested{3, "n1", "emu0", false});
  Settle();
  EXPECT_EQ(Shown("allotrope_quarantines_total{cause=\"operator\"}"), 1);
  EXPECT_EQ(Shown("allotrope_nodes_lost_total"), 0);
}

TEST_F(PipelineTest, WhatReplicasCostAndDrewIsCountedWhenTheyAreGone) {
  Policy policy;
  policy.prices.other_gpu = PriceRate{1'000'000'000'000};  // so much that no life is too short
  pipeline_->Feed(PolicyApplied{1, std::make_shared<const Policy>(policy)});
  Register();
  DeploymentSpec spec{.name = "chat", .tenant = "ann", .model = "chat", .command = {"serve"}};
  spec.groups.push_back({.device = {.kind = DeviceKind::kGpu}});
  pipeline_->Feed(DeploymentApplied{2, std::make_shared<const DeploymentSpec>(spec)});
  Settle();
  const NodeState& node = *pipeline_->core().state().FindNode("n1");
  ASSERT_EQ(node.replicas.size(), 1u);
  const ReplicaId replica = node.replicas[0];
  Say(ReplicaReport{node.epoch, {{.id = replica, .phase = ReplicaPhase::kReady}}});
  Settle();
  EXPECT_EQ(Shown("allotrope_spend_usd_total{tenant=\"deployments\"}"), 0);
  pipeline_->Feed(DeploymentDeleteRequested{3, "chat"});
  Say(ReplicaReport{node.epoch, {{.id = replica, .phase = ReplicaPhase::kGone}}});
  Settle();
  EXPECT_GT(Shown("allotrope_spend_usd_total{tenant=\"deployments\"}"), 0);
}

TEST_F(PipelineTest, ANodeThatIsSilentIsCountedAsLost) {
  pipeline_.reset();
  Open({.heartbeat_every = std::chrono::milliseconds(1), .lease = std::chrono::milliseconds(20)});
  Register();
  pipeline_->Feed(AgentSaid{"n2", RegisterNode{.registration = 1, .info = MakeNode("n2", 4)}});
  Settle();
  // Leases stand still while nobody is heard, so the other one is.
  EXPECT_TRUE(Until([this] {
    const NodeState& other = *pipeline_->core().state().FindNode("n2");
    pipeline_->Feed(AgentSaid{"n2", Heartbeat{.epoch = other.epoch}});
    return Shown("allotrope_nodes_lost_total") > 0;
  }));
}

// Gateways are told of a replica when it is durable that it is one, and after a start of the same.
TEST_F(PipelineTest, RoutesLeaveWhenTheyAreDurableAndAgainAfterAStart) {
  Register();
  DeploymentSpec spec{.name = "chat", .tenant = "ann", .model = "chat", .command = {"serve"}};
  spec.groups.push_back({.device = {.kind = DeviceKind::kGpu}});
  HoldJournal();
  pipeline_->Feed(DeploymentApplied{2, std::make_shared<const DeploymentSpec>(spec)});
  RunLoop();
  EXPECT_THAT(said_, ::testing::Not(Contains("routes to 1")));
  LetGo();
  Settle();
  EXPECT_THAT(said_, Contains("routes to 1"));
  pipeline_.reset();
  Open();
  EXPECT_THAT(said_at_start_, Contains("routes to 1"));
}

// Planning a long queue takes more than one step; nothing from outside brings about the next.
TEST_F(PipelineTest, WhatAStepLeavesIsGoneOnWithAtOnce) {
  pipeline_.reset();
  Open({.plan_attempts_max = 1});
  for (ReplyToken token = 1; token <= 4; ++token) Submit(token);
  Register();
  Settle();
  EXPECT_EQ(Shown("allotrope_placements_total"), 4);
}

// Or the store would grow for as long as the scheduler runs.
TEST_F(PipelineTest, WhatIsWrittenIsFoldedWhenThereIsEnoughOfIt) {
  pipeline_.reset();
  compaction_.records_max = 2;
  Open();
  for (ReplyToken token = 1; token <= 4; ++token) Submit(token);
  Settle();
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (Shown("allotrope_compactions_total") == 0 && std::chrono::steady_clock::now() < end)
    std::this_thread::yield();
  EXPECT_GT(Shown("allotrope_compactions_total"), 0);
}

TEST_F(PipelineTest, WarnsOfWhatIsWrongAndTellsTheRest) {
  const LogKept log;
  Register();
  pipeline_->Feed(DeviceServiceRequested{1, "n1", "", false, "olga"});
  pipeline_->Feed(DeviceServiceRequested{2, "n1", "", true, "olga"});
  Settle();
  EXPECT_THAT(log.text(), ::testing::HasSubstr("warning quarantined node=n1"));
  EXPECT_THAT(log.text(), ::testing::HasSubstr("info back in service node=n1"));
}

// An agent that is refused asks again and again.
TEST_F(PipelineTest, SaysTheSameOnceInARow) {
  const LogKept log;
  for (uint64_t i = 1; i <= 3; ++i)
    Say(RegisterNode{.registration = i, .info = MakeNode("other", 4)});
  Settle();
  EXPECT_EQ(log.Count("registration refused"), 1);
}

TEST_F(PipelineTest, CountsWhatIsDurable) {
  HoldJournal();
  Submit(1);
  RunLoop();
  EXPECT_EQ(Shown("allotrope_journal_records_total"), 0);
  LetGo();
  Settle();
  EXPECT_EQ(Shown("allotrope_journal_records_total"), 1);
}

// ---- what a start finds

// The store holds what OneOfEachKind has up to its record number `last`, which is of `at`.
class PipelineStart : public ::testing::Test {
 protected:
  void Fill(size_t last, std::optional<Time> at = std::nullopt) {
    std::vector<Record> records = testing::OneOfEachKind();
    records.resize(last + 1);
    if (at) std::visit([&](auto& r) { r.at = *at; }, records.back());
    auto journal = Journal::Open(folder_.path());
    ASSERT_TRUE(journal.ok()) << journal.status();
    JournalBatch batch{.records = std::move(records)};
    ASSERT_TRUE((*journal)->Append({&batch}).ok());
  }
  void Fold() {
    auto db = Database::Open(StorePath(folder_.path()));
    ASSERT_TRUE(db.ok()) << db.status();
    ASSERT_TRUE(CompactStore(**db, 1'000, {}, [] { return true; }).ok());
  }
  std::unique_ptr<Pipeline> Open(PolicyPtr first_policy = nullptr,
                                 std::function<Time()> machine = MachineTime) {
    auto pipeline = Pipeline::Open(loop_,
                                   {.state_dir = folder_.path(),
                                    .first_policy = std::move(first_policy),
                                    .machine_clock = std::move(machine)},
                                   metrics_);
    EXPECT_TRUE(pipeline.ok()) << pipeline.status();
    return *std::move(pipeline);
  }

  TempFolder folder_;
  boost::asio::io_context loop_;
  Metrics metrics_;
};

// Positions in OneOfEachKind.
constexpr size_t kNodeRegistered = 2, kJobAccepted = 5, kJobPlaced = 6, kJobFinished = 12;
constexpr Time kFarAhead = FromMicros(4'000'000'000'000'000);  // of the year 2096

// A clock that is behind by less than clocks are.
Time ALittleBehind() { return kFarAhead - kClockSlack / 2; }

TEST_F(PipelineStart, NothingIsDecidedBeforeTheLastRecord) {
  Fill(kJobAccepted, kFarAhead);
  EXPECT_GE(Open(nullptr, ALittleBehind)->Now(), kFarAhead);
}

Status BeginWith(Pipeline& pipeline) {
  const auto nothing = [](const auto&) { return Pipeline::Action([] {}); };
  return pipeline.Begin({.prepare_send = nothing,
                         .prepare_routes = nothing,
                         .prepare_reply = nothing,
                         .prepare_job_ended = nothing,
                         .performed = [] {}});
}

// One life goes by a clock that is years ahead: what it wrote is of the future, and the next life,
// by the right one, makes good all of it.
TEST_F(PipelineStart, AClockThatWasAheadOnceIsMadeGoodByTheNextStart) {
  const Time now = MachineTime(), future = now + std::chrono::hours(24 * 3'650);
  const auto live = [&](Time machine, std::function<void(Pipeline&)> deeds) {
    const auto pipeline = Open(nullptr, [machine] { return machine; });
    ASSERT_TRUE(BeginWith(*pipeline).ok());
    deeds(*pipeline);
    ASSERT_TRUE(pipeline->Stop().ok());
  };
  const auto submit = [](Pipeline& pipeline) {
    pipeline.Feed(JobSubmitted{1, std::make_shared<const JobSpec>(MakeJob(1, 1)), "ann", ""});
  };
  const auto cancel = [](Pipeline& pipeline) {
    pipeline.Feed(JobCancelRequested{2, pipeline.core().state().last_job(), "ann"});
  };
  live(now, [&](Pipeline& pipeline) {
    for (int i = 0; i < 5; ++i) {
      submit(pipeline);
      cancel(pipeline);
    }
  });
  const LogKept log;
  live(future, [&](Pipeline& pipeline) {
    EXPECT_GE(pipeline.Now(), future);
    for (int i = 0; i < 5; ++i) {
      submit(pipeline);
      cancel(pipeline);
    }
    submit(pipeline);
  });
  EXPECT_THAT(log.text(), ::testing::HasSubstr("past the newest record"));
  // The history of what was before is still there, though it is ten years too old.
  const auto history = History::Open(folder_.path());
  ASSERT_TRUE(history.ok());
  EXPECT_TRUE((*history)->Find(JobId(1)).ok());
  live(now + std::chrono::hours(1), [&](Pipeline& pipeline) {
    EXPECT_LT(pipeline.Now(), now + std::chrono::hours(2));
    EXPECT_LE(pipeline.core().state().FindJob(JobId(11))->submitted, pipeline.Now());
    submit(pipeline);
    cancel(pipeline);
  });
  EXPECT_THAT(log.text(), ::testing::HasSubstr("ahead of this machine's clock"));
  auto db = Database::Open(StorePath(folder_.path()));
  ASSERT_TRUE(db.ok());
  EXPECT_EQ(*(*db)->Number("SELECT count(*) FROM history"), 11);
  EXPECT_LT(*(*db)->Number("SELECT max(finished) FROM history"),
            ToMicros(now + std::chrono::hours(2)));
}

// What is removed is counted back from the newest, so a clock that has not proven itself may not
// say what that is.
TEST_F(PipelineStart, ADoubtedClockRemovesNoHistoryUntilItHasStoodForADay) {
  auto journal = Journal::Open(folder_.path());
  ASSERT_TRUE(journal.ok());
  const auto finish = [&](uint64_t id, Time at) {
    JournalBatch batch;
    batch.finished.push_back({.id = JobId(id),
                              .spec = std::make_shared<const JobSpec>(MakeJob(1, 0)),
                              .phase = JobPhase::kFinished,
                              .finished = at});
    ASSERT_TRUE((*journal)->Append({&batch}).ok());
  };
  auto db = Database::Open(StorePath(folder_.path()));
  const auto kept = [&] { return *(*db)->Number("SELECT count(*) FROM history"); };
  (*journal)->KeepHistory(std::chrono::hours(1), kFarAhead);
  finish(1, FromMicros(0));
  finish(2, kFarAhead - Duration(1));
  EXPECT_EQ(kept(), 2);
  finish(3, kFarAhead);
  EXPECT_EQ(kept(), 2);
}

TEST_F(PipelineStart, AClockThatIsSetWhileItRunsIsToldAndNotFollowed) {
  Time machine = MachineTime();
  const auto pipeline = Open(nullptr, [&machine] { return machine; });
  EXPECT_LT(std::abs(pipeline->ClockOffset().count()), 60'000'000);
  const Time before = pipeline->Now();
  machine += std::chrono::hours(100);
  EXPECT_GT(pipeline->ClockOffset(), std::chrono::hours(99));
  EXPECT_LT(pipeline->Now(), before + std::chrono::hours(1));
}

// The numbers of a lost life are told by the mark.
TEST_F(PipelineStart, NumbersGoOnWhereTheMarkSays) {
  Fill(kJobFinished);
  auto mark = ReadMark(folder_.path());
  ASSERT_TRUE(mark.ok() && *mark);
  (*mark)->jobs_from = 5'001;
  ASSERT_TRUE(ReplaceMark(folder_.path(), **mark).ok());
  for (uint64_t expected : {5'001, 5'002}) {
    const auto pipeline = Open();
    ASSERT_TRUE(BeginWith(*pipeline).ok());
    pipeline->Feed(JobSubmitted{1, std::make_shared<const JobSpec>(MakeJob(1, 0)), "ann", ""});
    ASSERT_TRUE(pipeline->Stop().ok());
    EXPECT_EQ(pipeline->core().state().last_job(), JobId(expected));
  }
  EXPECT_GE((*ReadMark(folder_.path()))->jobs, 5'002u);
}

TEST_F(PipelineStart, AJobThatRunsIsCountedAsPlaced) {
  Fill(kJobPlaced);
  EXPECT_EQ(Open()->census().placed().size(), 1u);
}

TEST_F(PipelineStart, AJobThatHasEndedIsCountedAsEnded) {
  Fill(kJobFinished);
  const auto pipeline = Open();
  EXPECT_EQ(pipeline->census().placed().size(), 0u);
  EXPECT_EQ(pipeline->census().finished_jobs().size(), 1u);
}

// The policy that an operator has set since is the one that counts.
TEST_F(PipelineStart, AnEmptyStoreBeginsWithTheFirstPolicyAndNoOtherDoes) {
  auto first = std::make_shared<Policy>(), second = std::make_shared<Policy>();
  first->name = "first";
  second->name = "second";
  for (const PolicyPtr policy : {first, second}) {
    const auto pipeline = Open(policy);
    const Status begun = BeginWith(*pipeline);
    ASSERT_TRUE(begun.ok()) << begun;
    EXPECT_EQ(pipeline->core().state().policy()->name, "first");
  }
}

class PipelineStartFolded : public PipelineStart, public ::testing::WithParamInterface<size_t> {};

TEST_P(PipelineStartFolded, NorBeforeWhatASnapshotHolds) {
  Fill(GetParam(), kFarAhead);
  Fold();
  EXPECT_GE(Open(nullptr, ALittleBehind)->Now(), kFarAhead);
}

INSTANTIATE_TEST_SUITE_P(LastIs, PipelineStartFolded,
                         ::testing::Values(kNodeRegistered, kJobAccepted, kJobPlaced,
                                           kJobFinished));

}  // namespace
}  // namespace allot::scheduler
