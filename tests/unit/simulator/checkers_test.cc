// Every checker can fail: each is fed what must never happen.
#include "gtest/gtest.h"
#include "simulator/checkers/acknowledged.h"
#include "simulator/checkers/black_hole.h"
#include "simulator/checkers/fencing.h"
#include "simulator/checkers/fold.h"
#include "simulator/checkers/job_ledger.h"
#include "simulator/checkers/lease_ledger.h"
#include "simulator/checkers/power_ledger.h"
#include "simulator/checkers/process_ledger.h"
#include "simulator/checkers/promptness.h"
#include "simulator/checkers/request_ledger.h"
#include "simulator/checkers/silence.h"
#include "simulator/checkers/together.h"

namespace allot::simulator {
namespace {

const Time kAt = FromMicros(1);
const JobId kJob(1);

scheduler::JobSpecPtr Spec(uint32_t tasks) {
  auto spec = std::make_shared<JobSpec>();
  spec->tasks = tasks;
  return spec;
}
scheduler::JobAccepted Accepted(JobId job, uint32_t tasks = 1, std::string key = "") {
  return {kAt, job, Spec(tasks), "user", std::move(key)};
}
scheduler::TaskPlacement On(uint32_t node, uint32_t device) {
  scheduler::TaskPlacement placement;
  placement.node = NodeId(node);
  placement.devices.Add(device);
  return placement;
}
scheduler::JobPlaced Placed(JobId job, uint32_t attempt,
                            std::vector<scheduler::TaskPlacement> tasks) {
  scheduler::JobPlaced placed;
  placed.job = job;
  placed.attempt = Attempt(attempt);
  placed.tasks = std::move(tasks);
  return placed;
}
TaskKey Key(JobId job, uint32_t index, uint32_t attempt) {
  return {{job, index}, Attempt(attempt)};
}
scheduler::TaskExited Exited(const TaskKey& key, int32_t code = 0) {
  scheduler::TaskExited exited;
  exited.key = key;
  exited.exit.code = code;
  return exited;
}
scheduler::NodeRegistered Registered(uint32_t node, uint64_t epoch, uint32_t devices = 2) {
  auto info = std::make_shared<NodeInfo>();
  info->name = fmt::format("n{}", node);
  for (uint32_t i = 0; i < devices; ++i) {
    info->devices.emplace_back();
    info->devices.back().id = fmt::format("gpu{}", i);
  }
  return {kAt, NodeId(node), Epoch(epoch), 1, info};
}

// What the ledger finds in these records; "" if nothing.
template <class Ledger>
std::string Find(const std::vector<scheduler::Record>& records) {
  Findings findings;
  Ledger ledger(findings);
  for (const auto& record : records) ledger.Kept(record);
  return findings.first();
}

#define EXPECT_FINDS(finding, part) EXPECT_NE((finding).find(part), std::string::npos) << (finding)

// A cluster of two nodes whose n1 is a black hole from second 10 on; work runs well on n2.
class BlackHoleTest : public testing::Test {
 protected:
  BlackHoleTest() {
    ledger.Kept(Registered(1, 1));
    ledger.Kept(Registered(2, 1));
    Run(1, 2, 0);
    ledger.Opened("n1", "gpu0", Second(10));
    second = 10;
  }
  static Time Second(int64_t s) { return kAt + std::chrono::seconds(s); }
  // One job on gpu0 of a node, a second long.
  void Run(uint64_t job, uint32_t node, int32_t code) {
    ledger.Kept(Accepted(JobId(job)));
    scheduler::JobPlaced placed = Placed(JobId(job), 1, {On(node, 0)});
    placed.at = Second(++second);
    ledger.Kept(placed);
    scheduler::TaskExited exited = Exited(Key(JobId(job), 0, 1), code);
    exited.at = Second(++second);
    ledger.Kept(exited);
    ledger.Kept(scheduler::JobFinished{exited.at, JobId(job)});
  }
  void Quarantine(uint32_t node) {
    ledger.Kept(scheduler::DeviceQuarantined{Second(second), NodeId(node), "gpu0", kTimeMax, 1,
                                             "the last 3 jobs"});
  }
  Findings findings;
  BlackHole ledger{findings};
  int64_t second = 0;
};

TEST_F(BlackHoleTest, FindsAFourthJob) {
  for (uint64_t job = 2; job <= 4; ++job) Run(job, 1, BlackHole::kCode);
  EXPECT_EQ(findings.first(), "");
  Run(5, 1, BlackHole::kCode);
  EXPECT_FINDS(findings.first(), "job-5 placed on n1 gpu0, which has failed 3 jobs");
}

TEST_F(BlackHoleTest, AcceptsOneThatIsQuarantinedInTime) {
  for (uint64_t job = 2; job <= 4; ++job) Run(job, 1, BlackHole::kCode);
  Quarantine(1);
  ledger.Kept(scheduler::DeviceOnProbation{Second(second), NodeId(1), "gpu0"});
  Run(5, 1, BlackHole::kCode);
  EXPECT_EQ(findings.first(), "");
  EXPECT_EQ(ledger.found_out(), 1u);
}

TEST_F(BlackHoleTest, FindsAQuarantineWithoutAsManyFailures) {
  for (uint64_t job = 2; job <= 3; ++job) Run(job, 1, BlackHole::kCode);
  Quarantine(1);
  EXPECT_FINDS(findings.first(), "quarantined after 2 of 3 jobs");
}

// Where the work fails elsewhere as well, or the scheduler has forgotten, nothing is promised.
TEST_F(BlackHoleTest, PromisesNothingWhereNobodyCouldKnow) {
  Run(2, 2, 1);
  for (uint64_t job = 3; job <= 7; ++job) Run(job, 1, BlackHole::kCode);
  ledger.Kept(scheduler::TermBegun{Second(second), Term(2)});
  for (uint64_t job = 8; job <= 12; ++job) Run(job, 1, BlackHole::kCode);
  EXPECT_EQ(findings.first(), "");
}

// Nor where several people run several things: who fails elsewhere is not told apart here.
TEST_F(BlackHoleTest, PromisesNothingOfSeveralKindsOfWork) {
  scheduler::JobAccepted other = Accepted(JobId(99));
  other.user = "somebody else";
  ledger.Kept(other);
  for (uint64_t job = 2; job <= 8; ++job) Run(job, 1, BlackHole::kCode);
  EXPECT_EQ(findings.first(), "");
}

TEST(JobLedger, AcceptsAnHonestLife) {
  EXPECT_EQ(Find<JobLedger>({scheduler::TermBegun{kAt, Term(1)}, Accepted(kJob, 2),
                             Placed(kJob, 1, {On(1, 0), On(1, 1)}), Exited(Key(kJob, 0, 1), 1),
                             scheduler::JobStopping{kAt, kJob}, Exited(Key(kJob, 1, 1)),
                             scheduler::JobRequeued{kAt, kJob},
                             Placed(kJob, 2, {On(1, 0), On(2, 0)}), Exited(Key(kJob, 0, 2)),
                             Exited(Key(kJob, 1, 2)), scheduler::JobFinished{kAt, kJob}}),
            "");
}

TEST(JobLedger, FindsATermThatDoesNotGrow) {
  EXPECT_FINDS(
      Find<JobLedger>({scheduler::TermBegun{kAt, Term(2)}, scheduler::TermBegun{kAt, Term(2)}}),
      "term 2 after 2");
}

TEST(JobLedger, FindsTwoJobsOfOneKey) {
  EXPECT_FINDS(Find<JobLedger>({Accepted(kJob, 1, "k"), Accepted(JobId(2), 1, "k")}), "two jobs");
}

TEST(JobLedger, FindsHalfAGang) {
  EXPECT_FINDS(Find<JobLedger>({Accepted(kJob, 2), Placed(kJob, 1, {On(1, 0)})}), "1 of 2 tasks");
}

TEST(JobLedger, FindsAPlacementOnTopOfAnother) {
  EXPECT_FINDS(
      Find<JobLedger>({Accepted(kJob), Placed(kJob, 1, {On(1, 0)}), Placed(kJob, 2, {On(1, 1)})}),
      "placed while it is placed");
}

TEST(JobLedger, FindsARequeueOfAGangThatIsStillThere) {
  EXPECT_FINDS(Find<JobLedger>({Accepted(kJob, 2), Placed(kJob, 1, {On(1, 0), On(1, 1)}),
                                Exited(Key(kJob, 0, 1), 1), scheduler::JobRequeued{kAt, kJob}}),
               "while 1 tasks of it hold leases");
}

TEST(JobLedger, FindsATaskThatEndsTwice) {
  EXPECT_FINDS(Find<JobLedger>({Accepted(kJob), Placed(kJob, 1, {On(1, 0)}),
                                Exited(Key(kJob, 0, 1)), Exited(Key(kJob, 0, 1))}),
               "that attempt of it is over");
}

TEST(JobLedger, FindsASecondRunAfterASuccess) {
  EXPECT_FINDS(Find<JobLedger>({Accepted(kJob), Placed(kJob, 1, {On(1, 0)}),
                                Exited(Key(kJob, 0, 1)), scheduler::JobRequeued{kAt, kJob}}),
               "every task of it succeeded");
}

TEST(JobLedger, FindsAFinishedJobThatMoves) {
  EXPECT_FINDS(
      Find<JobLedger>({Accepted(kJob), Placed(kJob, 1, {On(1, 0)}), Exited(Key(kJob, 0, 1)),
                       scheduler::JobFinished{kAt, kJob}, Placed(kJob, 2, {On(1, 0)})}),
      "which has finished");
}

TEST(JobLedger, FindsASuccessWithoutItsTasks) {
  EXPECT_FINDS(Find<JobLedger>({Accepted(kJob), scheduler::JobFinished{kAt, kJob}}),
               "succeeded with 0 of 1");
}

TEST(JobLedger, FindsAPlacementAfterAnAcknowledgedCancel) {
  Findings findings;
  JobLedger ledger(findings);
  ledger.Kept(Accepted(kJob));
  ledger.CancelAcknowledged(kJob);
  ledger.Kept(Placed(kJob, 1, {On(1, 0)}));
  EXPECT_FINDS(findings.first(), "after its cancellation was acknowledged");
}

TEST(LeaseLedger, FindsADeviceLeasedTwice) {
  EXPECT_FINDS(Find<LeaseLedger>({Registered(1, 1), Placed(kJob, 1, {On(1, 0)}),
                                  Placed(JobId(2), 1, {On(1, 0)})}),
               "while job-1/0#1 has it");
  EXPECT_EQ(Find<LeaseLedger>({Registered(1, 1), Placed(kJob, 1, {On(1, 0)}),
                               Exited(Key(kJob, 0, 1)), Placed(JobId(2), 1, {On(1, 0)})}),
            "");
}

TEST(LeaseLedger, FindsALeaseOnALostNode) {
  EXPECT_FINDS(Find<LeaseLedger>({Registered(1, 1), scheduler::NodeLost{kAt, NodeId(1), Epoch(2)},
                                  Placed(kJob, 1, {On(1, 0)})}),
               "not alive");
}

TEST(LeaseLedger, FindsAPlacementOnADrainingNode) {
  EXPECT_FINDS(Find<LeaseLedger>({Registered(1, 1), scheduler::NodeDrainSet{kAt, NodeId(1), true},
                                  Placed(kJob, 1, {On(1, 0)})}),
               "draining");
}

TEST(LeaseLedger, FindsAnEpochThatDoesNotGrow) {
  EXPECT_FINDS(Find<LeaseLedger>({Registered(1, 3), Registered(1, 3)}), "epoch 3 after 3");
}

TEST(LeaseLedger, FindsADeviceTheNodeDoesNotHave) {
  EXPECT_FINDS(Find<LeaseLedger>({Registered(1, 1, 1), Placed(kJob, 1, {On(1, 1)})}),
               "which has 1");
}

TEST(LeaseLedger, FindsALeaseOnWhatIsQuarantined) {
  const scheduler::DeviceQuarantined device{kAt, NodeId(1), "gpu0", kTimeMax, 1, ""};
  const scheduler::DeviceQuarantined node{kAt, NodeId(1), "", kTimeMax, 1, ""};
  EXPECT_FINDS(Find<LeaseLedger>({Registered(1, 1), device, Placed(kJob, 1, {On(1, 0)})}),
               "gpu0 of n1, which is quarantined");
  EXPECT_EQ(Find<LeaseLedger>({Registered(1, 1), device, Placed(kJob, 1, {On(1, 1)})}), "");
  EXPECT_FINDS(Find<LeaseLedger>({Registered(1, 1), node, Placed(kJob, 1, {On(1, 1)})}),
               "n1, which is quarantined");
  EXPECT_EQ(Find<LeaseLedger>({Registered(1, 1), node, scheduler::DeviceCleared{kAt, NodeId(1), ""},
                               Placed(kJob, 1, {On(1, 1)})}),
            "");
  const scheduler::DeviceOnProbation probation{kAt, NodeId(1), ""};
  EXPECT_FINDS(Find<LeaseLedger>({Registered(1, 1), node, probation, Placed(kJob, 1, {On(1, 0)}),
                                  Placed(JobId(2), 1, {On(1, 1)})}),
               "two jobs at once on probation");
  EXPECT_EQ(
      Find<LeaseLedger>({Registered(1, 1), node, probation, Placed(kJob, 1, {On(1, 0), On(1, 1)})}),
      "");
}

TEST(LeaseLedger, FindsDevicesThatCannotBeUsedTogether) {
  struct Row {
    DeviceGroup group;
    std::vector<std::string> devices;
    bool joined;
    const char* found;  // empty: nothing is
  };
  const DeviceGroup slice{"tpu-slice", {"d0", "d1", "d2", "d3", "d4", "d5", "d6", "d7"}, "2,4,1"};
  const DeviceGroup ring{"neuronlink-ring", {"d0", "d1", "d2", "d3", "d4"}, ""};
  const DeviceGroup line{"neuronlink-ring", {"d0", "d1", "d2", "d3", "d4"}, "line"};
  const DeviceGroup torus{"neuronlink-torus", slice.members, "4,2"};
  const DeviceGroup island{"nvlink", {"d0", "d1", "d2"}, ""};
  const std::vector<Row> rows = {
      {slice, {"d0", "d1"}, false, ""},
      {slice, {"d4", "d5", "d6", "d7"}, false, ""},
      {slice, {"d0", "d3"}, false, "no set that a tpu-slice"},
      {slice, {"d0", "d1", "d2"}, false, "no set that a tpu-slice"},
      {slice, {"d1", "d2", "d3", "d4"}, false, "no set that a tpu-slice"},
      {ring, {"d0", "d1", "d4"}, false, ""},
      {ring, {"d0", "d2"}, false, "no set that a neuronlink-ring"},
      {line, {"d0", "d4"}, false, "of shape \"line\""},
      {line, {"d2", "d3", "d4"}, false, ""},
      {torus, {"d4", "d5", "d6", "d7"}, false, ""},
      {torus, {"d2", "d3", "d4", "d5"}, false, "no set that a neuronlink-torus"},
      {torus, {"d0", "d1"}, false, "no set that a neuronlink-torus"},
      {island, {"d0", "d3"}, false, ""},
      {island, {"d0", "d3"}, true, "in no one group"},
      {island, {"d0", "d2"}, true, ""},
  };
  for (const Row& row : rows) {
    NodeInfo node;
    for (const char* id : {"d0", "d1", "d2", "d3", "d4", "d5", "d6", "d7"})
      node.devices.emplace_back().id = id;
    node.groups = {row.group};
    DeviceRequest request;
    request.count = static_cast<uint32_t>(row.devices.size());
    request.joined = row.joined;
    const std::string why = WhyNotTogether(node, row.devices, request);
    EXPECT_EQ(why.empty(), row.found[0] == '\0') << why;
    EXPECT_NE(why.find(row.found), why.npos) << why;
    // And the ledger hears of it.
    JobSpec spec;
    spec.devices = {request};
    scheduler::TaskPlacement placement{NodeId(1), {}};
    for (const std::string& id : row.devices)
      placement.devices.Add(static_cast<uint32_t>(id[1] - '0'));
    const std::string finding = Find<LeaseLedger>(
        {scheduler::NodeRegistered{kAt, NodeId(1), Epoch(1), 1,
                                   std::make_shared<const NodeInfo>(node)},
         scheduler::JobAccepted{kAt, kJob, std::make_shared<const JobSpec>(spec), "", ""},
         Placed(kJob, 1, {placement})});
    EXPECT_EQ(finding.empty(), why.empty()) << finding;
  }
}

TEST(LeaseLedger, FindsTheWrongDevices) {
  NodeInfo node;
  node.devices.resize(2);
  node.devices[0].id = "d0";
  node.devices[1].id = "d1";
  node.devices[1].isolation = Isolation::kNone;
  DeviceRequest request;
  request.count = 2;
  EXPECT_EQ(WhyNotTogether(node, {"d0", "d1"}, request), "");
  EXPECT_FINDS(WhyNotTogether(node, {"d0"}, request), "2 devices were asked for, not 1");
  request.isolation = Isolation::kHard;
  EXPECT_FINDS(WhyNotTogether(node, {"d0", "d1"}, request), "d1 is not what was asked for");
  request.isolation.reset();
  node.devices[1].model = "acme/other";
  EXPECT_FINDS(WhyNotTogether(node, {"d0", "d1"}, request), "of two models");
}

TEST(ProcessLedger, FindsAKeySpawnedTwice) {
  Findings findings;
  ProcessLedger ledger(findings);
  ledger.TaskSpawned(1, Key(kJob, 0, 1), {});
  ledger.Ended(1, "job-1/0#1");
  ledger.TaskSpawned(2, Key(kJob, 0, 1), {});
  EXPECT_FINDS(findings.first(), "before on node 1");
}

TEST(ProcessLedger, LetsAStartThatNeverWasBeMadeAgain) {
  Findings findings;
  ProcessLedger ledger(findings);
  ledger.TaskSpawned(1, Key(kJob, 0, 1), {});
  ledger.Ended(1, "job-1/0#1");
  ledger.NeverBegan(Key(kJob, 0, 1));
  ledger.TaskSpawned(1, Key(kJob, 0, 1), {});
  EXPECT_FALSE(findings.any());
}

TEST(ProcessLedger, FindsASuccessOfWhatNeverRan) {
  Findings findings;
  ProcessLedger ledger(findings);
  TaskKey lost = Key(kJob, 0, 1), next = lost;
  lost.attempt = Attempt(1, Incarnation(1));
  next.attempt = Attempt(1, Incarnation(2));
  ledger.TaskSpawned(1, lost, {});
  ledger.Succeeded(lost);
  EXPECT_FALSE(findings.any());
  ledger.Succeeded(next);
  EXPECT_FINDS(findings.first(), "job-1/0#1 of 0000000000000002 succeeded and was never spawned");
}

TEST(ProcessLedger, FindsTwoOwnersOnOneDevice) {
  Findings findings;
  ProcessLedger ledger(findings);
  ledger.TaskSpawned(1, Key(kJob, 0, 1), {"gpu0"});
  ledger.ReplicaSpawned(2, ReplicaId(1), {"gpu0"});
  EXPECT_FALSE(findings.any()) << "another node's device of the same name";
  ledger.ReplicaSpawned(1, ReplicaId(2), {"gpu1", "gpu0"});
  EXPECT_FINDS(findings.first(), "used by replica-2 while job-1/0#1 lives");
}

TEST(ProcessLedger, FindsTwoLiveAttemptsWhereOneMayBeOnly) {
  Findings findings;
  ProcessLedger ledger(findings);
  ledger.TaskSpawned(1, Key(kJob, 0, 1), {}, "checkpoints/job-1 0");
  ledger.TaskSpawned(2, Key(kJob, 1, 1), {}, "checkpoints/job-1 1");
  ledger.Ended(1, "job-1/0#1");
  ledger.TaskSpawned(2, Key(kJob, 0, 2), {}, "checkpoints/job-1 0");
  ledger.NodeDied(2);
  ledger.TaskSpawned(1, Key(kJob, 0, 3), {}, "checkpoints/job-1 0");
  EXPECT_FALSE(findings.any()) << findings.first();
  ledger.TaskSpawned(3, Key(kJob, 0, 4), {}, "checkpoints/job-1 0");
  EXPECT_FINDS(findings.first(), "job-1/0#4 spawned on node 3 while job-1/0#3 lives on node 1");
}

TEST(ProcessLedger, FindsAProcessForgottenAlive) {
  Findings findings;
  ProcessLedger ledger(findings);
  ledger.TaskSpawned(1, Key(kJob, 0, 1), {});
  ledger.Forgotten(1, "job-1/0#1");
  EXPECT_FINDS(findings.first(), "forgot job-1/0#1");
}

// As the explainer words it: what each row says of one waiting job.
TEST(Promptness, FindsAJobThatHasRoom) {
  using scheduler::WaitReason;
  struct Row {
    const char* name;
    std::vector<WaitReason> reasons;
    const char* nearest;  // verdict on the nearest node
    size_t alternatives;
    bool in_vain;
  };
  for (const Row& row : std::vector<Row>{
           {"room, and nothing against it", {}, "fits", 0, true},
           {"room for a gang", {}, "room for 4 tasks", 1, true},
           {"behind others that lack something", {WaitReason::kBehindInQueue}, "fits", 1, true},
           {"other nodes are busy", {WaitReason::kDevicesBusy}, "fits", 1, true},
           {"held", {WaitReason::kHeldForOlderJob}, "fits", 1, false},
           {"a gang too wide", {WaitReason::kGangTooWide}, "room for 1 task", 1, false},
           {"no room", {WaitReason::kDevicesBusy}, "0 of 1 devices free", 1, false},
           {"alternatives, which are not judged", {}, "fits", 2, false}}) {
    scheduler::JobExplanation why;
    for (const WaitReason reason : row.reasons) why.reasons.push_back({reason, 1, ""});
    why.candidates.emplace_back().verdict = row.nearest;
    JobSpec spec;
    spec.devices.resize(row.alternatives);
    EXPECT_EQ(Promptness::WaitsInVain(why, spec), row.in_vain) << row.name;
    why.phase = JobPhase::kRunning;
    EXPECT_FALSE(Promptness::WaitsInVain(why, spec)) << row.name;
  }
}

TEST(RequestLedger, FindsARequestThatEndsTwice) {
  Findings findings;
  RequestLedger ledger(findings);
  ledger.Arrived(RequestId(1));
  router::Effects effects;
  effects.ended.emplace_back();
  effects.ended.back().id = RequestId(1);
  ledger.Stepped(effects);
  EXPECT_FALSE(findings.any());
  ledger.Stepped(effects);
  EXPECT_FINDS(findings.first(), "which is not open");
}

TEST(RequestLedger, FindsARequestThatNeverEnds) {
  Findings findings;
  RequestLedger ledger(findings);
  ledger.Arrived(RequestId(1));
  ledger.CheckAllEnded();
  EXPECT_FINDS(findings.first(), "never ended");
}

TEST(Acknowledged, FindsAForgottenJob) {
  Findings findings;
  Acknowledged acknowledged(findings);
  acknowledged.Replied(kJob, "");
  scheduler::ClusterState state;
  acknowledged.CheckKept(state);
  EXPECT_FINDS(findings.first(), "job-1 was acknowledged and is forgotten");
}

TEST(Acknowledged, FindsOneKeyWithTwoAnswers) {
  Findings findings;
  Acknowledged acknowledged(findings);
  acknowledged.Replied(kJob, "k");
  acknowledged.Replied(kJob, "k");
  EXPECT_FALSE(findings.any());
  acknowledged.Replied(JobId(2), "k");
  EXPECT_FINDS(findings.first(), "job-1 and with job-2");
}

TEST(Fencing, FindsAnAgentThatObeysAnotherEpoch) {
  agent::Effects effects;
  effects.commands.emplace_back(agent::SpawnTask{Key(kJob, 0, 1), {}});
  const SchedulerMessage message = StartTask{Epoch(1), Key(kJob, 0, 1), {}};
  Findings same;
  CheckAgentFenced(Epoch(1), message, effects, same);
  EXPECT_FALSE(same.any());
  Findings other;
  CheckAgentFenced(Epoch(2), message, effects, other);
  EXPECT_FINDS(other.first(), "epoch 2 obeyed epoch 1");
}

TEST(Fencing, FindsASchedulerThatBelievesAnotherEpoch) {
  TaskReport report{Epoch(1), {}};
  report.tasks.emplace_back();
  report.tasks.back().key = Key(kJob, 0, 1);
  scheduler::Effects effects;
  effects.records.emplace_back(Exited(Key(kJob, 0, 1)));
  Findings same;
  CheckSchedulerFenced(Epoch(1), report, effects, same);
  EXPECT_FALSE(same.any());
  Findings other;
  CheckSchedulerFenced(Epoch(2), report, effects, other);
  EXPECT_FINDS(other.first(), "believed a report of epoch 1");
}

TEST(Silence, FindsALossOfANodeThatWasHeard) {
  const Duration lease = std::chrono::seconds(3);
  Findings findings;
  Silence silence(findings);
  silence.Arrived("n1", Epoch(1), kAt);
  silence.Lost("n1", {kAt + lease, NodeId(1), Epoch(2)}, lease);
  silence.Lost("n1", {kAt + lease / 2, NodeId(1), Epoch(4)}, lease);  // heard in an older epoch
  EXPECT_FALSE(findings.any());
  silence.Lost("n1", {kAt + lease / 2, NodeId(1), Epoch(2)}, lease);
  EXPECT_FINDS(findings.first(), "n1 was lost, though it was heard");
}

TEST(Fold, FindsAStateThatIsNotItsRecords) {
  scheduler::ClusterState fold, state;
  Findings findings;
  CheckFold(fold, state, "now", findings);
  EXPECT_FALSE(findings.any());
  state.Apply(scheduler::TermBegun{kAt, Term(1)});
  CheckFold(fold, state, "now", findings);
  EXPECT_FINDS(findings.first(), "not the fold");
}

// Two nodes in a rack, each with two devices of 500 W, under a policy with these caps.
std::vector<scheduler::Record> PoweredNodes(const PowerCaps& caps) {
  auto policy = std::make_shared<Policy>();
  policy->power = caps;
  std::vector<scheduler::Record> records = {scheduler::PolicySet{kAt, policy}};
  for (uint32_t n = 1; n <= 2; ++n) {
    scheduler::NodeRegistered node = Registered(n, 1);
    auto info = std::make_shared<NodeInfo>(*node.info);
    info->labels["rack"] = "r1";
    for (Device& device : info->devices) device.power_max = 500'000;
    node.info = info;
    records.push_back(node);
  }
  return records;
}
scheduler::TaskPlacement Drawing(uint32_t node, uint32_t device, MilliWatt power = 500'000) {
  scheduler::TaskPlacement placement = On(node, device);
  placement.power = power;
  return placement;
}
std::string FindPower(const PowerCaps& caps, const std::vector<scheduler::Record>& more) {
  std::vector<scheduler::Record> records = PoweredNodes(caps);
  records.insert(records.end(), more.begin(), more.end());
  return Find<PowerLedger>(records);
}

TEST(PowerLedger, AcceptsLeasesUpToEachCap) {
  PowerCaps caps;
  caps.cluster = caps.rack = 1'500'000;
  caps.node = 1'000'000;
  EXPECT_EQ(FindPower(caps, {Accepted(kJob, 3),
                             Placed(kJob, 1, {Drawing(1, 0), Drawing(1, 1), Drawing(2, 0)}),
                             Exited(Key(kJob, 0, 1)), Accepted(JobId(2)),
                             Placed(JobId(2), 1, {Drawing(2, 1)})}),
            "");
}

TEST(PowerLedger, FindsEachCapExceeded) {
  const auto gang = [](uint32_t nodes) {
    return std::vector<scheduler::Record>{Accepted(kJob, 2),
                                          Placed(kJob, 1, {Drawing(1, 0), Drawing(nodes, 1)})};
  };
  PowerCaps node, rack, cluster, named;
  node.node = 999'999;
  rack.rack = 999'999;
  cluster.cluster = 999'999;
  named.racks["r1"] = 999'999;
  EXPECT_FINDS(FindPower(node, gang(1)), "above its cap");
  EXPECT_EQ(FindPower(node, gang(2)), "");
  EXPECT_FINDS(FindPower(rack, gang(2)), "rack r1");
  EXPECT_FINDS(FindPower(named, gang(2)), "rack r1");
  EXPECT_FINDS(FindPower(cluster, gang(2)), "the cluster");
}

TEST(PowerLedger, FindsAnythingPlacedAboveALoweredCap) {
  auto low = std::make_shared<Policy>();
  low->power.cluster = 100'000;
  const std::vector<scheduler::Record> lowered = {Accepted(kJob), Placed(kJob, 1, {Drawing(1, 0)}),
                                                  scheduler::PolicySet{kAt, low}};
  EXPECT_EQ(FindPower({}, lowered), "");
  std::vector<scheduler::Record> more = lowered;
  more.push_back(Accepted(JobId(2)));
  more.push_back(Placed(JobId(2), 1, {Drawing(2, 0)}));
  EXPECT_FINDS(FindPower({}, more), "above its cap");
}

TEST(PowerLedger, FindsALeaseWrittenDownWithTooLittle) {
  EXPECT_FINDS(FindPower({}, {Accepted(kJob), Placed(kJob, 1, {Drawing(1, 0, 499'999)})}),
               "may draw 500000");
}

TEST(PowerLedger, FindsAReplicaAboveTheCap) {
  PowerCaps caps;
  caps.cluster = 400'000;
  scheduler::ReplicaPlaced replica;
  replica.replica = ReplicaId(1);
  replica.placement = Drawing(1, 0);
  EXPECT_FINDS(FindPower(caps, {replica}), "replica-1");
}

}  // namespace
}  // namespace allot::simulator
