// What the core tells and a scenario's line does not show.
#include "agent/core/core.h"

#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace allot::agent {
namespace {

constexpr ReplicaId kReplica(1);
const TaskKey kTask{{JobId(1), 0}, Attempt(1)};

class AgentCore : public ::testing::Test {
 protected:
  AgentCore() {
    AgentStarted start;
    start.boot = 1;
    start.info.name = "n1";
    Step(start);
    Step(LinkUp{});
    Welcome welcome;
    welcome.registration = (1 << 20) + 1;
    welcome.epoch = Epoch(1);
    welcome.term = Term(1);
    welcome.heartbeat_every = std::chrono::seconds(1);
    Say(welcome);
  }
  void Step(const Event& event) {
    out_.Clear();
    core_.Step(now_, event, out_);
  }
  void Say(SchedulerMessage message) { Step(SchedulerSaid{std::move(message)}); }
  void Advance(Duration time) {
    now_ += time;
    Step(ClockTicked{});
  }
  template <typename Wanted>
  const Wanted* Find() const {
    for (const Command& command : out_.commands)
      if (const auto* found = std::get_if<Wanted>(&command)) return found;
    return nullptr;
  }
  TaskStatus Task() const { return core_.Tasks().at(0); }
  ReplicaStatus Replica() const { return core_.Replicas().at(0); }

  Core core_{CoreOptions{}, 1};
  Time now_ = FromMicros(1'000'000'000);
  Effects out_;
};

TEST_F(AgentCore, IsRegisteredWithItsEpochFromTheWelcomeOn) {
  EXPECT_TRUE(core_.registered());
  EXPECT_EQ(core_.epoch(), Epoch(1));
  Step(LinkDown{});
  EXPECT_FALSE(core_.registered());
}

TEST_F(AgentCore, AReplicaHasAPidWhileThereIsAProcess) {
  StartReplica start{Epoch(1), kReplica, {}};
  start.launch.command = {"serve"};
  Say(start);
  ASSERT_NE(Find<SpawnReplica>(), nullptr);
  EXPECT_EQ(Find<SpawnReplica>()->launch.command, start.launch.command);
  EXPECT_EQ(Replica().pid, 0);
  Step(ReplicaSpawned{kReplica, 1, 100, 8001});
  EXPECT_EQ(Replica().pid, 100);
  Step(ReplicaProcessExited{kReplica, 1, {}});
  EXPECT_EQ(Replica().pid, 0);
  Advance(std::chrono::seconds(1));
  ASSERT_NE(Find<SpawnReplica>(), nullptr);
  EXPECT_EQ(Find<SpawnReplica>()->launch.command, start.launch.command);
  EXPECT_EQ(Replica().pid, 0);
  Step(ReplicaSpawned{kReplica, 2, 101, 8002});
  EXPECT_EQ(Replica().pid, 101);
}

TEST_F(AgentCore, ATaskIsSpawnedAsItWasLaunchedAlsoAfterAWait) {
  StartTask start{Epoch(1), kTask, {}};
  start.launch.command = {"train"};
  start.launch.device_ids = {"gpu0"};
  Say(start);
  ASSERT_NE(Find<SpawnTask>(), nullptr);
  EXPECT_EQ(Find<SpawnTask>()->launch.command, start.launch.command);
  start.key.attempt = Attempt(2);
  Say(start);
  EXPECT_EQ(Find<SpawnTask>(), nullptr);
  Step(TaskProcessExited{kTask, {}});
  ASSERT_NE(Find<SpawnTask>(), nullptr);
  EXPECT_EQ(Find<SpawnTask>()->key, start.key);
  EXPECT_EQ(Find<SpawnTask>()->launch.command, start.launch.command);
}

TEST_F(AgentCore, ATaskSaysWhenItBeganAndEnded) {
  Say(StartTask{Epoch(1), kTask, {}});
  const Time began = now_ - std::chrono::milliseconds(5);
  Step(TaskSpawned{kTask, 100, began});
  EXPECT_EQ(Task().started, began);
  EXPECT_EQ(Task().pid, 100);
  TaskExit exit{.code = 3, .message = "no", .started = began, .finished = now_};
  Step(TaskProcessExited{kTask, exit});
  EXPECT_EQ(Task().exit->code, 3);
  EXPECT_EQ(Task().exit->message, "no");
  EXPECT_EQ(Task().exit->started, began);
  EXPECT_EQ(Task().exit->finished, now_);
}

// None of these ran: it began when it ended.
TEST_F(AgentCore, ATaskThatNeverRanBeganWhenItEnded) {
  const auto check = [this](const char* what, int32_t code) {
    SCOPED_TRACE(what);
    ASSERT_TRUE(Task().exit.has_value());
    EXPECT_EQ(Task().exit->code, code);
    EXPECT_EQ(Task().exit->signal, 0);
    EXPECT_EQ(Task().exit->started, now_);
    EXPECT_EQ(Task().exit->finished, now_);
    Say(AckTasks{Epoch(1), {Task().key}});
    Advance(std::chrono::seconds(1));
  };
  TaskKey key = kTask;
  StartTask start{Epoch(1), key, {}};
  start.launch.runtime = TaskRuntime::kNoop;
  Say(start);
  EXPECT_EQ(Task().started, now_);
  check("runs nothing", 0);
  Say(start);
  check("has run already", 127);
  key.attempt = Attempt(2);
  Say(StopTask{Epoch(1), key, {}});
  check("was never heard of", 127);
  key.attempt = Attempt(3);
  Say(StartTask{Epoch(1), key, {}});
  Step(TaskSpawnFailed{key, "no such file"});
  check("cannot be started", 127);
}

TEST_F(AgentCore, OnlyWhatHasAFolderIsForgotten) {
  Say(StopTask{Epoch(1), kTask, {}});
  Say(AckTasks{Epoch(1), {kTask}});
  EXPECT_EQ(Find<ForgetTask>(), nullptr);
  EXPECT_TRUE(core_.Tasks().empty());
}

TEST_F(AgentCore, WhatRunsIsNotForgottenByAnAcknowledgement) {
  Say(StartTask{Epoch(1), kTask, {}});
  Step(TaskSpawned{kTask, 100, now_});
  Say(AckTasks{Epoch(1), {kTask, {{JobId(9), 0}, Attempt(1)}}});
  EXPECT_EQ(Find<ForgetTask>(), nullptr);
  EXPECT_EQ(Task().phase, TaskPhase::kRunning);
}

TEST_F(AgentCore, WhoseFaultItIsThatATaskIsNotThereIsNotItsStop) {
  Say(StartTask{Epoch(1), kTask, {}});
  Step(TaskSpawned{kTask, 100, now_});
  Say(StopTask{Epoch(1), kTask, {}});
  Step(TaskProcessExited{kTask, {.code = 127, .cause = ExitCause::kNotStarted}});
  EXPECT_EQ(Task().exit->cause, ExitCause::kNotStarted);
}

TEST_F(AgentCore, WhatIsNewOfTheNodeIsRegisteredAnew) {
  const auto registered = [this]() -> const NodeInfo* {
    const auto* send = Find<SendToScheduler>();
    const auto* message = send == nullptr ? nullptr : std::get_if<RegisterNode>(&send->message);
    return message == nullptr ? nullptr : &message->info;
  };
  Step(AddressFound{"a", "a:1"});
  ASSERT_NE(registered(), nullptr);
  EXPECT_EQ(registered()->address, "a");
  EXPECT_EQ(registered()->metrics_address, "a:1");
  Step(AddressFound{"a", "a:1"});
  EXPECT_EQ(registered(), nullptr);
  Step(AddressFound{"a", "a:2"});
  ASSERT_NE(registered(), nullptr);
  EXPECT_EQ(registered()->metrics_address, "a:2");
  Step(AddressFound{"b", "a:2"});
  ASSERT_NE(registered(), nullptr);
  EXPECT_EQ(registered()->address, "b");
  Step(DevicesChanged{{Device{.id = "gpu0"}}, {}, {"gpu1 is gone"}});
  ASSERT_NE(registered(), nullptr);
  EXPECT_EQ(registered()->devices.size(), 1u);
  EXPECT_EQ(registered()->warnings, std::vector<std::string>{"gpu1 is gone"});
}

// Whatever the scheduler says, it is there.
TEST_F(AgentCore, ACommandIsASignOfLife) {
  Advance(std::chrono::seconds(9));
  Say(AckTasks{Epoch(9), {}});
  Advance(std::chrono::seconds(9));
  EXPECT_TRUE(core_.registered());
  Advance(std::chrono::seconds(1));
  EXPECT_FALSE(core_.registered());
}

TEST_F(AgentCore, NoCommandIsObeyedWhereTheLinkIsDown) {
  Step(LinkDown{});
  Say(StartTask{Epoch(1), kTask, {}});
  EXPECT_EQ(out_.notes.size(), 1u);
  EXPECT_TRUE(core_.Tasks().empty());
}

// The echo of a start lets nothing go that it had in its time.
TEST_F(AgentCore, DevicesAreLetGoOnce) {
  StartTask start{Epoch(1), kTask, {}};
  start.launch.device_ids = {"gpu0"};
  const StartTask first = start;
  Say(first);
  Step(TaskProcessExited{kTask, {}});
  Say(AckTasks{Epoch(1), {kTask}});
  start.key.attempt = Attempt(2);
  Say(start);
  EXPECT_NE(Find<SpawnTask>(), nullptr);
  Say(first);
  start.key.attempt = Attempt(3);
  Say(start);
  EXPECT_EQ(Find<SpawnTask>(), nullptr);
}

// Exits are told again every 2 s; the heartbeat is in an hour.
TEST_F(AgentCore, NobodyIsWokenForExitsThatAreAcknowledged) {
  Welcome welcome;
  welcome.registration = (1 << 20) + 1;
  welcome.epoch = Epoch(1);
  welcome.heartbeat_every = std::chrono::hours(1);
  Say(welcome);
  Advance(std::chrono::seconds(1));
  const auto at_rest = core_.NextWakeup();
  TaskKey other = kTask;
  other.attempt = Attempt(2);
  Say(StopTask{Epoch(1), kTask, {}});  // Neither ran; both are told to have ended.
  Advance(std::chrono::seconds(1));
  Say(StopTask{Epoch(1), other, {}});
  EXPECT_EQ(core_.NextWakeup(), now_ + std::chrono::seconds(1));
  Say(AckTasks{Epoch(1), {kTask}});
  EXPECT_EQ(core_.NextWakeup(), now_ + std::chrono::seconds(2));
  Say(AckTasks{Epoch(1), {other}});
  EXPECT_GE(core_.NextWakeup(), at_rest);
}

// Not for the end of the start either, which went well.
TEST_F(AgentCore, NobodyIsWokenWhileACheckIsOut) {
  Welcome welcome;
  welcome.registration = (1 << 20) + 1;
  welcome.epoch = Epoch(1);
  welcome.heartbeat_every = std::chrono::hours(1);
  Say(welcome);
  Advance(std::chrono::seconds(1));
  StartReplica start{Epoch(1), kReplica, {}};
  start.launch.health.start_timeout = std::chrono::milliseconds(500);
  Say(start);
  Step(ReplicaSpawned{kReplica, 1, 100, 8001});
  Step(HealthProbed{kReplica, 1, true, ""});
  EXPECT_EQ(core_.NextWakeup(), now_ + std::chrono::seconds(1)) << "the next check";
  Advance(std::chrono::seconds(1));
  ASSERT_NE(Find<ProbeReplica>(), nullptr);
  EXPECT_GT(core_.NextWakeup(), now_ + std::chrono::seconds(5));
}

class AgentLink : public AgentCore {
 protected:
  // The number of the registration that was sent in the last step, from 1; 0 if none was.
  uint64_t Sent() const {
    for (const Command& command : out_.commands)
      if (const auto* send = std::get_if<SendToScheduler>(&command))
        if (const auto* message = std::get_if<RegisterNode>(&send->message))
          return message->registration - (1 << 20);
    return 0;
  }
  void Welcomed(uint64_t registration, Epoch epoch, const std::string& gateway,
                Duration heartbeat = std::chrono::seconds(1)) {
    Welcome welcome;
    welcome.registration = (1 << 20) + registration;
    welcome.epoch = epoch;
    welcome.term = Term(1);
    welcome.heartbeat_every = heartbeat;
    welcome.gateways.push_back({gateway, ""});
    Say(welcome);
  }
  void Refused(RefuseReason reason, uint64_t registration, Epoch epoch) {
    Refuse refuse;
    refuse.reason = reason;
    refuse.registration = (1 << 20) + registration;
    refuse.epoch = epoch;
    Say(refuse);
  }
  void Reconnects() {
    now_ = *core_.NextWakeup();
    Step(ClockTicked{});
    ASSERT_NE(Find<Reconnect>(), nullptr);
  }
};

TEST_F(AgentLink, RegistersAtOnceWheneverItIsUp) {
  Step(LinkDown{});
  Reconnects();
  Step(LinkUp{});
  EXPECT_EQ(Sent(), 2u);
  Step(LinkDown{});  // Before the answer, which was waited for until later than this.
  Reconnects();
  Step(LinkUp{});
  EXPECT_EQ(Sent(), 3u);
  Step(DevicesChanged{{Device{.id = "gpu0"}}, {}, {}});
  EXPECT_EQ(Sent(), 4u);
}

TEST_F(AgentLink, SilenceCountsFromWhenItIsUp) {
  Step(LinkDown{});
  Reconnects();
  Advance(std::chrono::seconds(9));
  Step(LinkUp{});
  Advance(std::chrono::milliseconds(9'999));
  EXPECT_TRUE(out_.notes.empty());
  Advance(std::chrono::milliseconds(1));
  EXPECT_EQ(out_.notes.size(), 1u);
}

TEST_F(AgentLink, IsDownOnce) {
  Step(LinkDown{});
  const auto reconnects = core_.NextWakeup();
  Step(LinkDown{});
  EXPECT_EQ(core_.NextWakeup(), reconnects);
}

TEST_F(AgentLink, AWelcomeThatIsNotForNowChangesNothing) {
  Welcomed(1, Epoch(2), "of another epoch");
  EXPECT_EQ(core_.epoch(), Epoch(1));
  EXPECT_EQ(Find<SetGateways>(), nullptr);
  Welcomed(9, Epoch(1), "of another number");
  EXPECT_EQ(Find<SetGateways>(), nullptr);
  Welcomed(1, Epoch(1), "of this one");
  EXPECT_NE(Find<SetGateways>(), nullptr);
  Step(LinkDown{});
  Welcomed(1, Epoch(1), "of one that is over");
  EXPECT_EQ(Find<SetGateways>(), nullptr);
  EXPECT_FALSE(core_.registered());
}

TEST_F(AgentLink, BeatsOnceAMillisecondAtMost) {
  Welcomed(1, Epoch(1), "g", Duration{});
  Advance(std::chrono::seconds(1));  // The heartbeat that was due.
  EXPECT_EQ(core_.NextWakeup(), now_ + std::chrono::milliseconds(1));
}

TEST_F(AgentLink, ARefusalThatIsNotOfNowChangesNothing) {
  Refused(RefuseReason::kNameTaken, 1, Epoch(1));
  EXPECT_TRUE(out_.notes.empty());
  EXPECT_TRUE(core_.registered());
  Refused(RefuseReason::kStaleEpoch, 1, Epoch(1));
  EXPECT_EQ(Sent(), 2u);
  Refused(RefuseReason::kStaleEpoch, 1, Epoch(1));
  EXPECT_EQ(Sent(), 0u);
  Refused(RefuseReason::kNameTaken, 1, Epoch(1));
  EXPECT_TRUE(out_.notes.empty());
  Refused(RefuseReason::kNameTaken, 2, Epoch(1));
  EXPECT_EQ(out_.notes.size(), 1u);
}

// First comes AgentStarted, and until then there is nothing to do.
TEST(AgentCoreStart, NothingIsDoneBefore) {
  Core core(CoreOptions{}, 1);
  Effects out;
  for (const Event& event : {Event(ClockTicked{}), Event(LinkUp{}), Event(LinkDown{})})
    core.Step(FromMicros(1'000'000'000), event, out);
  EXPECT_TRUE(out.commands.empty());
  EXPECT_TRUE(out.notes.empty());
  EXPECT_EQ(core.NextWakeup(), std::nullopt);
}

TEST(AgentCoreStart, WhatIsFoundIsKnownByItsKeyAndItsLaunch) {
  Core core(CoreOptions{}, 1);
  AgentStarted start;
  FoundTask task{.key = kTask};
  task.status.phase = TaskPhase::kRunning;
  start.tasks.push_back(task);
  FoundReplica replica{.id = kReplica, .starts = 2, .running = true, .pid = 100, .port = 8001};
  replica.launch.command = {"serve"};
  start.replicas.push_back(replica);
  replica = {.id = ReplicaId(2), .launch = replica.launch, .starts = 2, .why = "it was killed"};
  start.replicas.push_back(replica);
  const Time now = FromMicros(1'000'000'000);
  Effects out;
  core.Step(now, start, out);
  EXPECT_EQ(core.Tasks().at(0).key, kTask);
  EXPECT_EQ(core.Replicas().at(0).pid, 100);
  EXPECT_EQ(core.Replicas().at(1).message, "it was killed");
  out.Clear();
  core.Step(now + std::chrono::seconds(1), ClockTicked{}, out);
  const SpawnReplica* spawn = nullptr;
  for (const Command& command : out.commands)
    if (const auto* found = std::get_if<SpawnReplica>(&command)) spawn = found;
  ASSERT_NE(spawn, nullptr);
  EXPECT_EQ(spawn->start, 3u);
  EXPECT_EQ(spawn->launch.command, replica.launch.command);
}

// From half of it to all of it, so that not all nodes come back in the same moment.
TEST(AgentCoreStart, APauseIsAnythingFromHalfToAllOfIt) {
  std::set<int64_t> pauses;
  for (uint64_t seed = 1; seed <= 64; ++seed) {
    const Duration most(4);
    Core core(CoreOptions{.reconnect_backoff_min = most, .reconnect_backoff_max = most}, seed);
    Effects out;
    const Time now = FromMicros(1'000'000'000);
    core.Step(now, AgentStarted{}, out);
    core.Step(now, LinkDown{}, out);
    pauses.insert((*core.NextWakeup() - now).count());
  }
  EXPECT_THAT(pauses, ::testing::ElementsAre(2, 3, 4));
}

// The store counts epochs, so a scheduler whose store was put back may count to ours again.
TEST_F(AgentCore, CommandsOfAnotherLifeOfTheStoreAreRefusedWhateverTheirEpoch) {
  const StartTask start{Epoch(1), kTask, {}};
  Step(SchedulerSaid{start, Incarnation(7)});
  EXPECT_EQ(Find<SpawnTask>(), nullptr);
  ASSERT_EQ(out_.notes.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<StaleCommandRefused>(out_.notes[0]));
  Welcome welcome;
  welcome.registration = (1 << 20) + 1;
  welcome.epoch = Epoch(1);
  Step(SchedulerSaid{welcome, Incarnation(7)});
  EXPECT_EQ(core_.incarnation(), Incarnation()) << "it answers a registration that was answered";
  Step(LinkDown{});
  Advance(std::chrono::seconds(10));
  Step(LinkUp{});
  ASSERT_NE(Find<SendToScheduler>(), nullptr);
  const auto& registration = std::get<RegisterNode>(Find<SendToScheduler>()->message);
  EXPECT_TRUE(registration.incarnations);
  welcome.registration = registration.registration;
  Step(SchedulerSaid{welcome, Incarnation(7)});
  EXPECT_EQ(core_.incarnation(), Incarnation(7));
  Step(SchedulerSaid{start, Incarnation(7)});
  EXPECT_NE(Find<SpawnTask>(), nullptr);
}

TEST_F(AgentCore, TwoLivesMayGiveTheSameNumber) {
  TaskKey lost = kTask, next = kTask;
  lost.attempt = Attempt(1, Incarnation(7));
  next.attempt = Attempt(1, Incarnation(8));
  Say(StartTask{Epoch(1), lost, {}});
  Step(TaskSpawned{lost, 100, now_});
  Say(StartTask{Epoch(1), next, {}});
  ASSERT_NE(Find<SpawnTask>(), nullptr) << "it is another task";
  EXPECT_EQ(Find<SpawnTask>()->key, next);
  Step(TaskSpawned{next, 101, now_});
  Say(StopTask{Epoch(1), lost, {}});
  ASSERT_NE(Find<SignalTask>(), nullptr);
  EXPECT_EQ(Find<SignalTask>()->key, lost);
  Step(TaskProcessExited{lost, {}});
  Say(AckTasks{Epoch(1), {lost}});
  ASSERT_EQ(core_.Tasks().size(), 1u);
  EXPECT_EQ(Task().key, next);
  EXPECT_EQ(Task().phase, TaskPhase::kRunning);
}

// One of the build before: it was told names with incarnations, and says them without.
TEST_F(AgentCore, ASchedulerThatKnowsOfNoIncarnationsMeansTheNumber) {
  TaskKey named = kTask;
  named.attempt = Attempt(1, Incarnation(7));
  Say(StartTask{Epoch(1), named, {}});
  Step(TaskSpawned{named, 100, now_});
  Say(StartTask{Epoch(1), kTask, {}});
  EXPECT_EQ(Find<SpawnTask>(), nullptr) << "it has it";
  Say(StopTask{Epoch(1), kTask, {}});
  ASSERT_NE(Find<SignalTask>(), nullptr);
  EXPECT_EQ(Find<SignalTask>()->key, named);
  Step(TaskProcessExited{named, {}});
  Say(AckTasks{Epoch(1), {kTask}});
  EXPECT_TRUE(core_.Tasks().empty());

  StartReplica start{Epoch(1), ReplicaId(3, Incarnation(7)), {}};
  start.launch.command = {"serve"};
  Say(start);
  Step(ReplicaSpawned{start.id, 1, 100, 8001});
  Say(StopReplica{Epoch(1), ReplicaId(3), {}, {}});
  ASSERT_NE(Find<SignalReplica>(), nullptr);
  EXPECT_EQ(Find<SignalReplica>()->id, start.id);
}

}  // namespace
}  // namespace allot::agent
