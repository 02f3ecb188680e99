// A store that is put back to an earlier state counts its numbers again. Nothing that nodes still
// have from before may pass for what the numbers mean now (ADR 18).
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/scheduler_core/world.h"

namespace allot::scheduler {
namespace {

constexpr Incarnation kFirst(0xA), kSecond(0xB), kThird(0xC);

JobSpec Training(std::string tenant = "default") {
  JobSpec spec;
  spec.name = "train";
  spec.tenant = std::move(tenant);
  spec.command = {"train"};
  spec.resources = {1'000, kGiB};
  return spec;
}

template <class Wanted>
const Wanted* Sent(const Effects& effects) {
  for (const Command& command : effects.commands)
    if (const auto* send = std::get_if<SendToAgent>(&command))
      if (const auto* found = std::get_if<Wanted>(&send->message)) return found;
  return nullptr;
}

template <class Wanted>
const Wanted* Noted(const Effects& effects) {
  for (const Note& note : effects.notes)
    if (const auto* found = std::get_if<Wanted>(&note)) return found;
  return nullptr;
}

class Incarnations : public testing::Test {
 protected:
  Incarnations() { Begin(kFirst); }

  // Another start on the same store.
  void Begin(Incarnation life) {
    world_.Crash();
    world_.Step(Restarted{life});
  }
  void Restore(size_t records, Incarnation life) {
    world_.Restore(records);
    world_.Step(Restarted{life});
  }
  Effects Register(std::vector<TaskStatus> tasks = {}, std::vector<ReplicaStatus> replicas = {},
                   bool names_them = true) {
    RegisterNode message{++registration_, MakeInfo({"n1", {{1, "h200"}}}), std::move(tasks),
                         std::move(replicas)};
    message.incarnations = names_them;
    return world_.Step(AgentSaid{"n1", std::move(message)});
  }
  TaskKey Submit(JobSpec spec = Training()) {
    world_.Submit(std::move(spec));
    return Key(world_.last_job());
  }
  TaskKey Key(JobId job) const { return KeyOf(world_.state(), job, 0); }

  World world_;
  uint64_t registration_ = 0;
};

TEST_F(Incarnations, AreInTheNamesThatTheirLifeGives) {
  Register();
  const TaskKey first = Submit();
  EXPECT_EQ(first.attempt, Attempt(1, kFirst));
  world_.Report("n1", Running(first));
  Begin(kSecond);
  Register({Running(first)});
  EXPECT_EQ(Key(first.task.job), first) << "what runs keeps its name";
  const TaskKey second = Submit();
  EXPECT_EQ(second.attempt, Attempt(1, kSecond));
  EXPECT_EQ(world_.job(first.task.job).incarnation, kFirst);
  EXPECT_EQ(world_.job(second.task.job).incarnation, kSecond);
  EXPECT_EQ(world_.state().incarnation(), kSecond);
}

TEST_F(Incarnations, OfAnEarlierStartAreOurs) {
  Register();
  const TaskKey key = Submit();
  world_.Report("n1", Running(key));
  Begin(kSecond);
  const Effects effects = Register({Running(key)});
  EXPECT_EQ(Noted<ForeignWork>(effects), nullptr);
  EXPECT_EQ(Sent<StopTask>(effects), nullptr);
  EXPECT_EQ(world_.job(key.task.job).phase, JobPhase::kRunning);
  EXPECT_FALSE(world_.core().SoftState(NodeId(1))->foreign);
}

TEST_F(Incarnations, AfterARestoreNoNameIsGivenTwice) {
  Register();
  const size_t backup = world_.journal().size();
  const TaskKey lost = Submit(Training("a"));
  world_.Report("n1", Running(lost));

  Restore(backup, kSecond);
  const Effects effects = Register({Running(lost)});
  const auto* foreign = Noted<ForeignWork>(effects);
  ASSERT_NE(foreign, nullptr);
  EXPECT_EQ(foreign->incarnation, kFirst) << "the life that placed it, before it was lost";
}

// The backup was made in the very life that was lost, so its name is known; and numbers are skipped
// after a restore, so those of the lost jobs and replicas lie below the newest.
TEST_F(Incarnations, WhatALifeGaveAfterItsBackupIsForeignAmongNumbersThatWereSkipped) {
  Register();
  const TaskKey kept = Submit();
  world_.Report("n1", Running(kept));
  const size_t backup = world_.journal().size();
  const TaskKey lost = Submit(Training("a"));
  world_.Report("n1", Running(lost));
  const ReplicaId replica(7, kFirst);

  world_.Restore(backup);
  world_.Step(Restarted{.incarnation = kSecond, .jobs_from = 1'001, .replicas_from = 501});
  Register({Running(kept)});
  EXPECT_GT(Submit(Training("b")).task.job, lost.task.job);
  DeploymentSpec chat{.name = "chat", .model = "m", .command = {"serve"}};
  chat.groups = {{.device = {.model = "*h200*", .count = 1}, .count = 1}};
  world_.Step(DeploymentApplied{.spec = std::make_shared<const DeploymentSpec>(chat)});
  EXPECT_GT(world_.state().last_replica().value(), replica.value());
  Begin(kThird);
  EXPECT_TRUE(world_.state().Gave(kept));
  EXPECT_FALSE(world_.state().Gave(lost));
  EXPECT_FALSE(world_.state().Gave(replica));
  ReplicaStatus served;
  served.id = replica;
  const Effects effects = Register({Running(kept), Running(lost)}, {served});
  const auto* foreign = Noted<ForeignWork>(effects);
  ASSERT_NE(foreign, nullptr);
  EXPECT_EQ(foreign->tasks, 1);
  EXPECT_EQ(foreign->replicas, 1);
  EXPECT_EQ(foreign->incarnation, kFirst);
}

TEST_F(Incarnations, WorkOfALostLifeEndsAndIsForNobody) {
  Register();
  const size_t backup = world_.journal().size();
  // Between the backup and the loss the scheduler was started again, and so it is after the restore:
  // the two lives have the same term.
  Begin(kSecond);
  Register();
  const TaskKey lost = Submit(Training("a"));
  world_.Report("n1", Running(lost));
  const Term term = world_.state().term();

  Restore(backup, kThird);
  EXPECT_EQ(world_.state().term(), term);
  const Effects effects = Register({Running(lost)});
  const auto* foreign = Noted<ForeignWork>(effects);
  ASSERT_NE(foreign, nullptr);
  EXPECT_EQ(foreign->incarnation, kSecond);
  EXPECT_EQ(foreign->tasks, 1u);
  ASSERT_NE(Sent<StopTask>(effects), nullptr);
  EXPECT_EQ(Sent<StopTask>(effects)->key, lost);
  ASSERT_TRUE(world_.core().SoftState(NodeId(1))->foreign);

  // Of another tenant, by the same number.
  const TaskKey next = Submit(Training("b"));
  EXPECT_EQ(next.task, lost.task);
  EXPECT_NE(next, lost);
  // The lost one ends well; that says nothing of the other.
  const Effects end = world_.Report("n1", Exited(lost));
  ASSERT_NE(Sent<AckTasks>(end), nullptr) << "so that the node may forget it";
  EXPECT_EQ(world_.job(next.task.job).phase, JobPhase::kRunning);
  EXPECT_FALSE(world_.core().SoftState(NodeId(1))->foreign) << "nothing of it is left";
  world_.Report("n1", Running(next));
  world_.Report("n1", Exited(next));
  EXPECT_EQ(world_.job(next.task.job).outcome, JobOutcome::kSucceeded);
}

// Its node may have run it and forgotten it in a life that was lost: nobody can tell from one that never
// arrived, and the same name must not run twice.
TEST_F(Incarnations, WhatAnEarlierLifePlacedAndNobodyHasIsPlacedAnew) {
  Register();
  const TaskKey key = Submit();
  ASSERT_EQ(world_.job(key.task.job).tasks[0].phase, TaskPhase::kAssigned);
  const Effects again = Register();
  ASSERT_NE(Sent<StartTask>(again), nullptr) << "in this life: it never arrived";
  EXPECT_EQ(Sent<StartTask>(again)->key, key);

  Begin(kSecond);
  const Effects effects = Register();
  const TaskKey next = Key(key.task.job);
  EXPECT_EQ(next.attempt, Attempt(2, kSecond));
  EXPECT_EQ(world_.job(key.task.job).failures, 0u);
  ASSERT_NE(Sent<StartTask>(effects), nullptr);
  EXPECT_EQ(Sent<StartTask>(effects)->key, next);
}

TEST_F(Incarnations, AReplicaOfALostLifeIsStoppedThoughItsNumberIsGivenAgain) {
  Register();
  const size_t backup = world_.journal().size();
  const auto deploy = [&](std::string name) {
    DeploymentSpec spec;
    spec.name = std::move(name);
    spec.command = {"serve"};
    spec.resources = {1'000, kGiB};
    ReplicaGroup group;
    group.device.kind = DeviceKind::kCpu;
    group.count = 1;
    spec.groups = {group};
    world_.Step(DeploymentApplied{1, std::make_shared<const DeploymentSpec>(spec)});
    return world_.state().last_replica();
  };
  const ReplicaId lost = deploy("lost");
  ASSERT_EQ(lost.incarnation(), kFirst);
  Restore(backup, kSecond);
  const ReplicaId next = deploy("next");
  EXPECT_EQ(next.value(), lost.value());
  const Effects effects = Register({}, {{lost, ReplicaPhase::kReady, 0, 1, ""}});
  ASSERT_NE(Sent<StopReplica>(effects), nullptr);
  EXPECT_EQ(Sent<StopReplica>(effects)->id, lost);
  ASSERT_NE(Sent<StartReplica>(effects), nullptr);
  EXPECT_EQ(Sent<StartReplica>(effects)->id, next);
  EXPECT_FALSE(world_.core().Routes()->deployments.at(0).replicas.at(0).ready)
      << "the one that is ready is another's";
  EXPECT_EQ(world_.state().Named(ReplicaId(next.value())), next);
}

TEST_F(Incarnations, WhatAnAgentOfAnotherLifeSaysIsRefusedWhateverItsEpoch) {
  Register();
  const TaskKey key = Submit();
  const Epoch epoch = world_.EpochOf("n1");
  const AgentMessage report = TaskReport{epoch, {Running(key)}};
  const Effects refused = world_.Step(AgentSaid{"n1", report, kSecond});
  ASSERT_NE(Sent<Refuse>(refused), nullptr);
  EXPECT_EQ(Sent<Refuse>(refused)->reason, RefuseReason::kStaleEpoch);
  EXPECT_EQ(world_.job(key.task.job).tasks[0].phase, TaskPhase::kAssigned);
  world_.Step(AgentSaid{"n1", report, kFirst});
  EXPECT_EQ(world_.job(key.task.job).tasks[0].phase, TaskPhase::kRunning);
}

// An agent of the build before is told names whole and says them without what it does not know.
TEST_F(Incarnations, ANodeThatDoesNotNameThemIsBelievedByTheNumber) {
  Register({}, {}, false);
  const TaskKey key = Submit();
  TaskKey bare = key;
  bare.attempt = Attempt(key.attempt.value());
  world_.Report("n1", Running(bare));
  EXPECT_EQ(world_.job(key.task.job).tasks[0].phase, TaskPhase::kRunning);
  Begin(kSecond);
  EXPECT_EQ(Sent<StopTask>(Register({Running(bare)}, {}, false)), nullptr);
  world_.Report("n1", Exited(bare));
  EXPECT_EQ(world_.job(key.task.job).outcome, JobOutcome::kSucceeded);
}

// One that names them has what was given without one from a build before, and nothing else.
TEST_F(Incarnations, ANodeThatNamesThemMeansNoneWhereItSaysNone) {
  Register();
  const TaskKey key = Submit();
  TaskKey bare = key;
  bare.attempt = Attempt(key.attempt.value());
  const Effects effects = Register({Running(bare)});
  ASSERT_NE(Sent<StopTask>(effects), nullptr);
  EXPECT_EQ(Sent<StopTask>(effects)->key, bare);
  EXPECT_EQ(world_.job(key.task.job).tasks[0].phase, TaskPhase::kAssigned);
}

TEST_F(Incarnations, CheckpointsAreOfTheLifeThatAcceptedTheJob) {
  Register();
  const size_t backup = world_.journal().size();
  const auto folder = [&] {
    world_.Submit(Training("a"));
    const Effects effects = Register();  // Its StartTask comes once more.
    return Sent<StartTask>(effects)->launch.checkpoint_dir;
  };
  const std::string lost = folder();
  EXPECT_THAT(lost, testing::EndsWith("/job-1.000000000000000a"));
  Restore(backup, kSecond);
  Register();
  EXPECT_THAT(folder(), testing::EndsWith("/job-1.000000000000000b"));

  JobSpec thief = Training("a");
  thief.checkpoint_dir = lost;  // Of job-1, which today is this tenant's: but not that one.
  const Effects effects = world_.Submit(thief);
  EXPECT_EQ(std::get<Reply>(effects.commands.at(0)).status.code(),
            absl::StatusCode::kPermissionDenied);
}

TEST_F(Incarnations, AliveIsWhoObeysNotWhoIsOnlyHeard) {
  Register();
  world_.Beat("n1");
  for (int i = 0; i < 40; ++i) {
    world_.Advance(std::chrono::seconds(1));
    Register();
  }
  const NodeState& node = *world_.state().FindNode(NodeId(1));
  EXPECT_GT(std::count_if(world_.journal().begin(), world_.journal().end(),
                          [](const Record& r) { return std::holds_alternative<NodeLost>(r); }),
            0)
      << "it registered forty times and never followed";
  Register();
  for (int i = 0; i < 40; ++i) {
    world_.Advance(std::chrono::seconds(1));
    world_.Beat("n1");
    Register();
  }
  EXPECT_TRUE(node.alive);
}

TEST_F(Incarnations, TheLineageIsAsLongAsIsKept) {
  for (uint64_t life = 1; life <= ClusterState::kLineageKept; ++life)
    world_.Wrote(TermBegun{world_.now(), Term(100 + life), Incarnation(1'000 + life)});
  world_.Crash();
  EXPECT_FALSE(world_.state().Knows(kFirst));
  EXPECT_TRUE(world_.state().Knows(Incarnation(1'001)));
  EXPECT_FALSE(world_.state().Knows(Incarnation()));
  // By a build that knew of none: nothing is added.
  world_.Wrote(TermBegun{world_.now(), Term(9'999)});
  world_.Crash();
  EXPECT_TRUE(world_.state().Knows(Incarnation(1'001)));
  EXPECT_EQ(world_.state().incarnation(), Incarnation(1'000 + ClusterState::kLineageKept));
}

}  // namespace
}  // namespace allot::scheduler
