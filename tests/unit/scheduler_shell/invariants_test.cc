// The invariants of the state find what is broken: each row breaks a snapshot at one place. They
// watch over all other tests of the core, so a hole in them would be seen nowhere else.
#include "scheduler/core/invariants.h"

#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "scheduler/shell/snapshot.h"
#include "tests/unit/scheduler_shell/support.h"

namespace allot::scheduler {
namespace {

struct Broken {
  std::vector<records::SnapshotPart> parts;

  records::SnapshotHead& head() { return *parts.front().mutable_head(); }
  records::NodeState& node(uint32_t id) {
    return *Find([id](const auto& p) {
              return p.has_node() && p.node().id() == id;
            }).mutable_node();
  }
  records::JobState& job(uint64_t id) {
    return *Find([id](const auto& p) { return p.has_job() && p.job().id() == id; }).mutable_job();
  }
  records::DeploymentState& chat() {
    return *Find([](const auto& p) { return p.has_deployment(); }).mutable_deployment();
  }
  records::ReplicaState& replica(uint64_t id) {
    return *Find([id](const auto& p) {
              return p.has_replica() && p.replica().id() == id;
            }).mutable_replica();
  }
  records::SnapshotPart& Find(const std::function<bool(const records::SnapshotPart&)>& is) {
    return *std::find_if(parts.begin(), parts.end(), is);
  }
};

// Job 1 runs on n1 and n2, job 2 is finished, job 3 is to be stopped on n2, job 4 waits. Replicas 1
// and 2 are on n2.
ClusterState Whole() {
  Time at = FromMicros(1'700'000'000'000'000);
  const auto on = [](uint32_t node, uint32_t device) {
    TaskPlacement placement{.node = NodeId(node)};
    placement.devices.Add(device);
    return placement;
  };
  const auto spec = [](uint32_t tasks) {
    return std::make_shared<const JobSpec>(testing::MakeJob(tasks, 1));
  };
  DeploymentSpec chat;
  chat.name = "chat";
  chat.command = {"/bin/server"};
  chat.groups.push_back({.device = {.kind = DeviceKind::kGpu}, .count = 2});
  const auto task = [](uint64_t job, uint32_t rank) {
    return TaskKey{TaskId{JobId(job), rank}, Attempt(1)};
  };
  ClusterState state;
  const std::vector<Record> records = {
      NodeRegistered{at, NodeId(1), Epoch(1), 1,
                     std::make_shared<const NodeInfo>(testing::MakeNode("n1", 4))},
      NodeRegistered{at, NodeId(2), Epoch(1), 1,
                     std::make_shared<const NodeInfo>(testing::MakeNode("n2", 4))},
      DeploymentSet{at, std::make_shared<const DeploymentSpec>(chat), 2, "bob"},
      ReplicaPlaced{at, ReplicaId(1), "chat", 2, 0, on(2, 1), {}, Resources{500, kGiB}, 7},
      ReplicaPlaced{at, ReplicaId(2), "chat", 2, 0, on(2, 2), {}, Resources{500, kGiB}, 7},
      JobAccepted{at, JobId(1), spec(2), "ann", ""},
      JobPlaced{at, JobId(1), Attempt(1), {on(1, 1), on(2, 3)}},
      TaskStarted{at, task(1, 0), 7},
      TaskStarted{at, task(1, 1), 7},
      JobAccepted{at, JobId(2), spec(1), "ann", ""},
      JobPlaced{at, JobId(2), Attempt(1), {on(1, 2)}},
      TaskStarted{at, task(2, 0), 7},
      TaskExited{at, task(2, 0), TaskExit{}},
      JobFinished{at, JobId(2)},
      JobAccepted{at, JobId(3), spec(1), "ann", ""},
      JobPlaced{at, JobId(3), Attempt(1), {on(2, 4)}},
      JobStopping{at, JobId(3), JobOutcome::kCancelled},
      JobAccepted{at, JobId(4), spec(1), "ann", "once"},
  };
  for (const Record& record : records) state.Apply(record);
  return state;
}

Status Check(const std::function<void(Broken&)>& change) {
  Broken broken;
  RETURN_IF_ERROR(StateCodec::Write(Whole(), [&](const records::SnapshotPart& part) {
    broken.parts.push_back(part);
    return absl::OkStatus();
  }));
  change(broken);
  StateCodec::Reader reader;
  for (const records::SnapshotPart& part : broken.parts) RETURN_IF_ERROR(reader.Add(part));
  ASSIGN_OR_RETURN(const ClusterState state, reader.Finish());
  return CheckInvariants(state);
}

constexpr int kExited = static_cast<int>(TaskPhase::kExited);

TEST(Invariants, HoldOfAStateThatTheCoreMakes) {
  EXPECT_TRUE(CheckInvariants(Whole()).ok());
  EXPECT_TRUE(Check([](Broken&) {}).ok());
}

TEST(Invariants, FindWhatIsBroken) {
  const struct {
    const char* said;
    std::function<void(Broken&)> change;
  } rows[] = {
      {"a device of n2 is leased twice, the second time by job-3/0",
       [](Broken& b) {
         b.job(3).mutable_tasks(0)->mutable_placement()->set_devices_low(
             b.job(1).tasks(1).placement().devices_low());
       }},
      {"a device of n2 is leased twice, the second time by replica-1",
       [](Broken& b) {
         b.replica(1).mutable_placement()->set_devices_low(
             b.job(1).tasks(1).placement().devices_low());
       }},
      {"n1 holds a lease of job-1/0#2, which is no current task",
       [](Broken& b) { b.node(1).mutable_tasks(0)->set_attempt(2); }},
      {"n1 holds a lease of job-2/0#1, which is not there any more",
       [](Broken& b) {
         *b.node(1).add_tasks() = b.node(1).tasks(0);
         b.node(1).mutable_tasks(1)->set_job(2);
       }},
      {"n2 holds a lease of job-1/1#1, which is not there any more",
       [](Broken& b) { b.job(1).mutable_tasks(1)->mutable_placement()->set_node(1); }},
      {"n2 holds a lease of job-3/0#1, which is not there any more",
       [](Broken& b) { b.job(3).mutable_tasks(0)->set_abandoned(true); }},
      {"n2 holds a lease of replica-2, which is not there",
       [](Broken& b) { b.replica(2).mutable_placement()->set_node(1); }},
      {"n1 is lost but still holds leases", [](Broken& b) { b.node(1).set_alive(false); }},
      {"n2 is lost but still holds leases",
       [](Broken& b) {
         b.node(2).set_alive(false);
         b.node(2).clear_tasks();
       }},
      {"n2 is lost but still holds leases",
       [](Broken& b) {
         b.node(2).set_alive(false);
         b.node(2).clear_replicas();
       }},
      {"n1 has no epoch", [](Broken& b) { b.node(1).set_epoch(0); }},
      {"job-1/0#1 is alive but its node does not hold its lease",
       [](Broken& b) { b.node(1).clear_tasks(); }},
      {"job-2/0#1 is on a node that does not exist",
       [](Broken& b) { b.job(2).mutable_tasks(0)->mutable_placement()->set_node(3); }},
      {"job-2/0#1 has an exit without having exited, or the reverse",
       [](Broken& b) { b.job(2).mutable_tasks(0)->clear_exit(); }},
      {"job-1/0#1 has an exit without having exited, or the reverse",
       [](Broken& b) { b.job(1).mutable_tasks(0)->mutable_exit(); }},
      {"job-4 is younger than the last job", [](Broken& b) { b.head().set_last_job(3); }},
      {"job-3 has a reason to stop without stopping, or the reverse",
       [](Broken& b) { b.job(3).clear_stopping(); }},
      {"job-1 has a reason to stop without stopping, or the reverse",
       [](Broken& b) { b.job(1).mutable_stopping()->set_job(1); }},
      {"job-2 has an outcome without being finished, or the reverse",
       [](Broken& b) { b.job(2).clear_outcome(); }},
      {"job-4 has an outcome without being finished, or the reverse",
       [](Broken& b) { b.job(4).set_outcome(0); }},
      {"job-2 has 0 of 1 tasks placed", [](Broken& b) { b.job(2).clear_tasks(); }},
      {"job-2 has 1 of 1 tasks placed", [](Broken& b) { b.job(2).set_attempt(0); }},
      {"job-2 is finished but rank 0 has not ended",
       [](Broken& b) {
         b.job(2).mutable_tasks(0)->set_phase(static_cast<int>(TaskPhase::kRunning));
       }},
      {"job-3 is stopping without a task left",
       [](Broken& b) {
         b.node(2).mutable_tasks()->RemoveLast();
         b.job(3).mutable_tasks(0)->set_abandoned(true);
       }},
      {"job-1 runs on although part of its gang is gone",
       [](Broken& b) {
         b.node(1).clear_tasks();
         b.job(1).mutable_tasks(0)->set_abandoned(true);
       }},
      {"job-1 runs on although part of its gang is gone",
       [](Broken& b) {
         b.node(1).clear_tasks();
         b.job(1).mutable_tasks(0)->set_phase(kExited);
         b.job(1).mutable_tasks(0)->mutable_exit()->set_code(1);
       }},
      {"replicas of chat are out of order",
       [](Broken& b) { b.chat().mutable_replicas()->SwapElements(0, 1); }},
      {"chat lists replica-1, which is not its own",
       [](Broken& b) { b.replica(1).set_deployment("other"); }},
      {"chat lists replica-3, which is not its own", [](Broken& b) { b.chat().add_replicas(3); }},
      {"replica-1 is of a generation of chat that is still to come",
       [](Broken& b) { b.chat().set_generation(1); }},
      {"1 replicas belong to no deployment",
       [](Broken& b) { b.chat().mutable_replicas()->RemoveLast(); }},
      {"replica-2 is on a node that does not hold its lease",
       [](Broken& b) { b.node(2).mutable_replicas()->RemoveLast(); }},
      {"replica-2 is on a node that does not hold its lease",
       [](Broken& b) {
         b.node(2).mutable_replicas()->RemoveLast();
         b.replica(2).mutable_placement()->set_node(3);
       }},
  };
  for (const auto& row : rows) {
    const Status status = Check(row.change);
    EXPECT_THAT(MessageOf(status), ::testing::StartsWith(row.said));
  }
}

// One that ended well may end before the others do.
TEST(Invariants, AllowATaskToEndBeforeTheOthers) {
  EXPECT_TRUE(Check([](Broken& b) {
                b.node(1).clear_tasks();
                b.job(1).mutable_tasks(0)->set_phase(kExited);
                b.job(1).mutable_tasks(0)->mutable_exit();
              }).ok());
}

}  // namespace
}  // namespace allot::scheduler
