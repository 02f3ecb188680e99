// What shows only at a limit, in a second attempt, or in figures that no scenario prints.
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/scheduler_core/world.h"

namespace allot::scheduler {
namespace {

JobSpec Spec(const std::string& model = "", uint32_t count = 1) {
  JobSpec spec;
  spec.command = {"train"};
  if (!model.empty()) {
    DeviceRequest request;
    request.model = model;
    request.count = count;
    spec.devices = {request};
  }
  return spec;
}

absl::StatusCode AnswerOf(const Effects& effects) {
  for (const Command& command : effects.commands) {
    if (const auto* reply = std::get_if<Reply>(&command)) return reply->status.code();
  }
  ADD_FAILURE() << "no answer";
  return absl::StatusCode::kUnknown;
}

TEST(PendingJobsMax, IsTheMostThatWait) {
  CoreOptions options;
  options.pending_jobs_max = 3;
  World world(options);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(AnswerOf(world.Submit(Spec("*h200*"))), absl::StatusCode::kOk) << i;
  EXPECT_EQ(AnswerOf(world.Submit(Spec("*h200*"))), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(world.state().jobs().size(), 3u);
  // Each that leaves the queue, by whatever door, makes room for one.
  world.Step(JobCancelRequested{1, JobId(2), "ann"});
  EXPECT_EQ(AnswerOf(world.Submit(Spec("*h200*"))), absl::StatusCode::kOk);
  EXPECT_EQ(AnswerOf(world.Submit(Spec("*h200*"))), absl::StatusCode::kResourceExhausted);
  world.Register({"n1", {{1, "h200"}}});
  EXPECT_EQ(AnswerOf(world.Submit(Spec("*h200*"))), absl::StatusCode::kOk);
  EXPECT_EQ(AnswerOf(world.Submit(Spec("*h200*"))), absl::StatusCode::kResourceExhausted);
}

TEST(PendingJobsMax, DoesNotRefuseWhatWasAcceptedBefore) {
  CoreOptions options;
  options.pending_jobs_max = 1;
  World world(options);
  world.Submit(Spec(), "once");
  EXPECT_EQ(AnswerOf(world.Submit(Spec(), "once")), absl::StatusCode::kOk);
  EXPECT_EQ(AnswerOf(world.Submit(Spec(), "twice")), absl::StatusCode::kResourceExhausted);
}

// Jobs that are requeued were accepted long ago: they are never refused, and count as waiting.
TEST(PendingJobsMax, CountsRequeuedJobs) {
  CoreOptions options;
  options.pending_jobs_max = 1;
  World world(options);
  world.Register({"n1", {{1, "h200"}}});
  world.Submit(Spec("*h200*"));
  world.Advance(std::chrono::minutes(1));  // the node is lost
  ASSERT_EQ(world.job(JobId(1)).phase, JobPhase::kPending);
  EXPECT_EQ(AnswerOf(world.Submit(Spec("*h200*"))), absl::StatusCode::kResourceExhausted);
}

class MainPort : public testing::Test {
 protected:
  MainPort() : world_(Options()) { world_.Register({"n1", {{4, "h200"}}}); }
  static CoreOptions Options() {
    CoreOptions options;
    options.task_port_min = 30'000;
    options.task_port_max = 30'003;
    return options;
  }
  JobId Submit(uint32_t restarts = 0) {
    JobSpec spec = Spec("*h200*");
    spec.restarts_max = restarts;
    world_.Submit(std::move(spec));
    return world_.last_job();
  }
  uint16_t Of(JobId job) { return world_.job(job).main_port; }
  World world_;
};

// The attempt before may have left its port in TIME_WAIT.
TEST_F(MainPort, GoesRoundWithTheAttempt) {
  const JobId job = Submit(/*restarts=*/2);
  std::vector<uint16_t> ports{Of(job)};
  for (int attempt = 2; attempt <= 3; ++attempt) {
    world_.Report("n1", Exited(KeyOf(world_.state(), job, 0), 1));
    for (int i = 0; i < 600 && world_.job(job).phase != JobPhase::kRunning; ++i) {
      world_.Beat("n1");
      world_.Advance(std::chrono::seconds(1));
    }
    ASSERT_EQ(world_.job(job).phase, JobPhase::kRunning);
    ports.push_back(Of(job));
  }
  EXPECT_NE(ports[0], ports[1]);
  EXPECT_NE(ports[1], ports[2]);
  for (const uint16_t port : ports) {
    EXPECT_GE(port, 30'000);
    EXPECT_LE(port, 30'003);
  }
}

TEST_F(MainPort, IsNotThatOfAnotherGangOnTheNode) {
  std::set<uint16_t> ports;
  for (int i = 0; i < 4; ++i) ports.insert(Of(Submit()));
  EXPECT_THAT(ports, testing::ElementsAre(30'000, 30'001, 30'002, 30'003));
}

// One that holds all but one port leaves that one, wherever the turn begins.
TEST_F(MainPort, PassesOverThoseInUse) {
  std::vector<JobId> jobs;
  for (int i = 0; i < 4; ++i) jobs.push_back(Submit());
  const uint16_t free = Of(jobs[1]);
  world_.Report("n1", Exited(KeyOf(world_.state(), jobs[1], 0)));
  EXPECT_EQ(Of(Submit()), free);
}

class Energy : public testing::Test {
 protected:
  Energy() {
    NodeShape shape{.name = "n1", .devices = {{2, "h200"}}};
    shape.powered = true;
    world_.Register(shape);
  }
  World world_;
};

// What a lost node's tasks drew nobody can tell any more: as much as they could, until it was lost.
TEST_F(Energy, OfALostTaskIsModelled) {
  world_.Submit(Spec("*h200*"));
  const JobId job = world_.last_job();
  const MilliWatt power = world_.job(job).tasks[0].placement.power;
  ASSERT_GT(power, 0);
  world_.Advance(std::chrono::seconds(2));
  world_.Report("n1", Running(KeyOf(world_.state(), job, 0)));
  const Time started = world_.now();
  world_.Beat("n1");
  world_.Advance(std::chrono::minutes(1));
  ASSERT_EQ(world_.job(job).phase, JobPhase::kPending);
  const Time lost = world_.state().FindNode("n1")->since;
  ASSERT_GT(lost, started);
  EXPECT_EQ(world_.job(job).energy, EnergyOf(power, lost - started));
  EXPECT_TRUE(world_.job(job).energy_modelled);
}

TEST_F(Energy, OfALostTaskThatNeverStartedIsNone) {
  world_.Submit(Spec("*h200*"));
  world_.Advance(std::chrono::minutes(1));
  ASSERT_EQ(world_.job(world_.last_job()).phase, JobPhase::kPending);
  EXPECT_EQ(world_.job(world_.last_job()).energy, 0);
  EXPECT_FALSE(world_.job(world_.last_job()).energy_modelled);
}

// A node that reports start and end together says itself how long it was in between.
TEST_F(Energy, OfATaskOverBeforeItsStartWasToldIsOfItsNodesTime) {
  world_.Submit(Spec("*h200*"));
  const JobId job = world_.last_job();
  const MilliWatt power = world_.job(job).tasks[0].placement.power;
  world_.Advance(std::chrono::seconds(2));
  TaskStatus status = Exited(KeyOf(world_.state(), job, 0));
  status.exit->started = Time(std::chrono::hours(1));  // whatever its clock shows
  status.exit->finished = status.exit->started + std::chrono::milliseconds(300);
  world_.Report("n1", status);
  EXPECT_EQ(world_.job(job).energy, EnergyOf(power, std::chrono::milliseconds(300)));
}

// … and is believed no further than since it was given the task.
TEST_F(Energy, IsOfNoMoreTimeThanItsDevicesWereLeased) {
  world_.Submit(Spec("*h200*"));
  const JobId job = world_.last_job();
  const MilliWatt power = world_.job(job).tasks[0].placement.power;
  world_.Advance(std::chrono::seconds(2));
  TaskStatus status = Exited(KeyOf(world_.state(), job, 0));
  status.exit->started = Time(std::chrono::hours(1));
  status.exit->finished = status.exit->started + std::chrono::hours(1);
  world_.Report("n1", status);
  EXPECT_EQ(world_.job(job).energy, EnergyOf(power, world_.now() - world_.job(job).placed));
}

TEST_F(Energy, OfAttemptsAddsUp) {
  JobSpec spec = Spec("*h200*");
  spec.tasks = 2;
  world_.Submit(std::move(spec));
  const JobId job = world_.last_job();
  for (uint32_t rank = 0; rank < 2; ++rank) {
    world_.Report("n1", Running(KeyOf(world_.state(), job, rank)));
    TaskStatus status = Exited(KeyOf(world_.state(), job, rank));
    status.exit->energy = 1'000 + rank;
    world_.Report("n1", status);
  }
  EXPECT_EQ(world_.job(job).energy, 2'001);
  EXPECT_FALSE(world_.job(job).energy_modelled);
}

// A gang that lacks nothing but power keeps all devices free of small jobs, or these would take it
// away for ever. That must be known before the first of them is tried: also right after a restart,
// when nobody has been refused anything yet.
TEST(PowerHolder, KeepsItsPowerOverARestart) {
  Policy policy = TestPolicy();
  policy.queue.head_hold_after = std::chrono::seconds(10);
  policy.power.cluster = 1'500'000;
  World world({}, policy);
  NodeShape h200{.name = "n1", .devices = {{2, "h200"}}},
      a100{.name = "n2", .devices = {{2, "a100"}}};
  h200.powered = a100.powered = true;
  world.Register(h200);
  world.Register(a100);
  world.Submit(Spec("*a100*", 1));  // 400 W and a share of processors
  const JobId first = world.last_job();
  world.Report("n2", Running(KeyOf(world.state(), first, 0)));
  world.Submit(Spec("*h200*", 2));  // 1,400 W: waits for that
  const JobId wide = world.last_job();
  ASSERT_EQ(world.job(wide).phase, JobPhase::kPending);
  for (int i = 0; i < 11; ++i) {
    world.Beat("n1");
    world.Beat("n2");
    world.Advance(std::chrono::seconds(1));
  }
  world.Submit(Spec("*a100*", 1));
  const JobId small = world.last_job();
  EXPECT_EQ(world.job(small).phase, JobPhase::kPending);
  world.Crash();
  world.Step(Restarted{});
  EXPECT_EQ(world.job(small).phase, JobPhase::kPending);
  world.Register(h200);
  world.Register(a100, {Running(KeyOf(world.state(), first, 0))});
  EXPECT_EQ(world.job(small).phase, JobPhase::kPending);
  world.Report("n2", Exited(KeyOf(world.state(), first, 0)));
  EXPECT_EQ(world.job(wide).phase, JobPhase::kRunning);
}

// The least that can be asked for is no nothing: it waits where it is not there.
TEST(LeastOfAll, IsTakenAndWaitedFor) {
  for (const bool memory : {true, false}) {
    World world;
    NodeShape shape{"n1"};
    shape.memory = memory ? 1 : kGiB;
    shape.cpus = memory ? 1'000 : 1;
    world.Register(shape);
    JobSpec spec = Spec();
    spec.resources.cpus = memory ? 0 : 1;
    spec.resources.memory = memory ? 1 : 0;
    world.Submit(spec);
    EXPECT_EQ(world.job(JobId(1)).phase, JobPhase::kRunning);
    world.Submit(spec);
    EXPECT_EQ(world.job(JobId(2)).phase, JobPhase::kPending);
    const auto why = world.core().ExplainJob(world.now(), JobId(2));
    ASSERT_TRUE(why.ok());
    ASSERT_EQ(why->reasons.size(), 1u);
    EXPECT_EQ(why->reasons[0].reason,
              memory ? WaitReason::kTooLittleMemory : WaitReason::kTooFewCpus);
    spec.tasks = 2;
    EXPECT_EQ(AnswerOf(world.Submit(spec)), absl::StatusCode::kOk);
    (memory ? spec.resources.memory : spec.resources.cpus) = 2;
    EXPECT_EQ(AnswerOf(world.Submit(spec)), absl::StatusCode::kFailedPrecondition);
    // Nothing at all runs beside it.
    spec.tasks = 1;
    spec.resources = {0, 0};
    world.Submit(spec);
    EXPECT_EQ(world.job(world.last_job()).phase, JobPhase::kRunning);
  }
}

// To the byte: of a node without accelerators all goes with its processors, else a quarter.
TEST(MemoryShare, OfAllProcessorsIsAllThatGoesWithThem) {
  for (const uint32_t accelerators : {0, 1}) {
    World world;
    NodeShape shape{"n1"};
    if (accelerators > 0) shape.devices = {{accelerators, "h200"}};
    world.Register(shape);
    JobSpec spec = Spec();
    spec.resources = {shape.cpus, 0, true};
    world.Submit(spec);
    ASSERT_EQ(world.job(JobId(1)).phase, JobPhase::kRunning);
    EXPECT_EQ(world.job(JobId(1)).tasks[0].placement.memory,
              accelerators > 0 ? shape.memory / 4 : shape.memory);
  }
}

}  // namespace
}  // namespace allot::scheduler
