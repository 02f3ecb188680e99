// What agents and gateways are told, field by field: a field that is not copied would be missed by
// whoever reads it, and by no other test.
#include "gtest/gtest.h"
#include "tests/unit/scheduler_core/world.h"

namespace allot::scheduler {
namespace {

// The last message of a type to a node.
template <class Message>
const Message* Told(const Effects& effects, const std::string& node) {
  const Message* last = nullptr;
  for (const Command& command : effects.commands) {
    const auto* send = std::get_if<SendToAgent>(&command);
    if (send == nullptr || send->node != node) continue;
    if (const auto* message = std::get_if<Message>(&send->message)) last = message;
  }
  return last;
}

template <class Message>
int Times(const Effects& effects) {
  int times = 0;
  for (const Command& command : effects.commands) {
    const auto* send = std::get_if<SendToAgent>(&command);
    times += send != nullptr && std::holds_alternative<Message>(send->message);
  }
  return times;
}

DeviceRequest H200(uint32_t count) {
  DeviceRequest request;
  request.model = "*/h200*";
  request.count = count;
  return request;
}

TEST(Told, OfATask) {
  CoreOptions options;
  options.checkpoint_root = "/checkpoints";
  World world(options);
  world.Register({"n1", {{2, "h200"}}});
  world.Register({"n2", {{2, "h200"}}});
  JobSpec spec;
  spec.name = "wide";
  spec.tenant = "physics";
  spec.tasks = 2;
  spec.command = {"train", "--fast"};
  spec.environment = {{"A", "1"}};
  spec.work_dir = "/work";
  spec.resources = {3'000, 5 * kGiB};
  spec.devices = {H200(2)};
  spec.grace = std::chrono::seconds(7);
  spec.runtime = TaskRuntime::kNoop;
  const Effects effects = world.Submit(spec);

  TaskLaunch launch;
  launch.job_name = "wide";
  launch.tenant = "physics";
  launch.world_size = 2;
  launch.command = {"train", "--fast"};
  launch.environment = {{"A", "1"}};
  launch.work_dir = "/work";
  launch.checkpoint_dir = "/checkpoints/job-1";
  launch.resources = spec.resources;
  launch.device_ids = {"h200-0", "h200-1"};
  launch.main_address = "n1.cluster";
  launch.main_port = world.job(JobId(1)).main_port;
  launch.peer_addresses = {"n1.cluster", "n2.cluster"};
  launch.grace = std::chrono::seconds(7);
  launch.runtime = TaskRuntime::kNoop;
  launch.user = "ann";
  launch.checkpoint_dir_named = false;
  for (uint32_t rank = 0; rank < 2; ++rank) {
    const auto* start = Told<StartTask>(effects, rank == 0 ? "n1" : "n2");
    ASSERT_NE(start, nullptr);
    EXPECT_EQ(start->key, KeyOf(world.state(), JobId(1), rank));
    EXPECT_EQ(start->launch, launch);
  }

  spec.checkpoint_dir = "/mine";
  world.Step(JobCancelRequested{1, JobId(1), "ann"});
  for (const char* node : {"n1", "n2"}) {
    const uint32_t rank = node == std::string("n1") ? 0 : 1;
    world.Report(node, Exited(KeyOf(world.state(), JobId(1), rank)));
  }
  const Effects again = world.Submit(spec);
  ASSERT_NE(Told<StartTask>(again, "n1"), nullptr);
  EXPECT_EQ(Told<StartTask>(again, "n1")->launch.checkpoint_dir, "/mine");
  EXPECT_TRUE(Told<StartTask>(again, "n1")->launch.checkpoint_dir_named);
}

DeploymentSpec Chat() {
  DeploymentSpec spec;
  spec.name = "chat";
  spec.tenant = "physics";
  spec.model = "llama";
  spec.command = {"serve"};
  spec.environment = {{"B", "2"}};
  spec.work_dir = "/serve";
  spec.resources = {4'000, 6 * kGiB};
  spec.health.path = "/alive";
  spec.grace = std::chrono::seconds(8);
  spec.drain = std::chrono::seconds(9);
  spec.objective.percentile = 0.5;
  spec.queue_max = 77;
  spec.queue_timeout = std::chrono::seconds(5);
  spec.groups = {{H200(2), 1, 11}};
  return spec;
}

TEST(Told, OfAReplica) {
  World world;
  world.Register({"n1", {{3, "h200"}}});
  const DeploymentSpec spec = Chat();
  const Effects effects =
      world.Step(DeploymentApplied{1, std::make_shared<const DeploymentSpec>(spec), "bob"});
  const auto* start = Told<StartReplica>(effects, "n1");
  ASSERT_NE(start, nullptr);
  EXPECT_EQ(start->id, ReplicaId(1));
  ReplicaLaunch launch;
  launch.deployment = "chat";
  launch.model = "llama";
  launch.command = {"serve"};
  launch.environment = {{"B", "2"}};
  launch.work_dir = "/serve";
  launch.resources = spec.resources;
  launch.device_ids = {"h200-0", "h200-1"};
  launch.health = spec.health;
  launch.grace = std::chrono::seconds(8);
  launch.concurrency = 11;
  launch.tenant = "physics";
  launch.user = "bob";
  EXPECT_EQ(start->launch, launch);

  const Effects end = world.Step(DeploymentDeleteRequested{1, "chat"});
  const auto* stop = Told<StopReplica>(end, "n1");
  ASSERT_NE(stop, nullptr);
  EXPECT_EQ(stop->epoch, world.EpochOf("n1"));
  EXPECT_EQ(stop->id, ReplicaId(1));
  EXPECT_EQ(stop->grace, std::chrono::seconds(8));
  EXPECT_EQ(stop->drain, std::chrono::seconds(9));
}

TEST(Told, OfRoutes) {
  Policy policy = TestPolicy();
  policy.name = "cheap";
  policy.routing.algorithm = "round_robin";
  policy.routing.explore_ratio = 0.25;
  policy.routing.history = std::chrono::seconds(12);
  policy.prices.value_nanos_per_second = 34;
  World world({}, policy);
  NodeShape shape{"n1", {{3, "h200"}}};
  shape.powered = true;
  world.Register(shape);
  const DeploymentSpec spec = Chat();
  const Time created = world.now();
  world.Step(DeploymentApplied{1, std::make_shared<const DeploymentSpec>(spec)});
  world.Report("n1", ReplicaStatus{ReplicaId(1), ReplicaPhase::kReady, 0, 1, ""});

  RouteReplica replica;
  replica.id = ReplicaId(1);
  replica.node = "n1";
  replica.kind = DeviceKind::kGpu;
  replica.device_model = "nvidia/h200-sxm-141g";
  replica.device_count = 2;
  replica.concurrency = 11;
  replica.price = {2 * 4'000'000 + 4 * 50'000};
  replica.power = 2 * 700'000 + 320'000 * 4 / 64;
  replica.ready = true;
  RouteDeployment chat;
  chat.name = "chat";
  chat.model = "llama";
  chat.objective = spec.objective;
  chat.queue_max = 77;
  chat.queue_timeout = std::chrono::seconds(5);
  chat.created = created;
  chat.tenant = "physics";
  chat.replicas = {replica};
  RouteTable table;
  table.term = Term(1);
  table.version = world.core().Routes()->version;
  table.policy_name = "cheap";
  table.routing_algorithm = "round_robin";
  table.explore_ratio = 0.25;
  table.history = std::chrono::seconds(12);
  table.value_nanos_per_second = 34;
  table.deployments = {chat};
  EXPECT_EQ(*world.core().Routes(), table);

  // On processors, by its own name, and not heard since the scheduler began anew.
  DeploymentSpec small;
  small.name = "small";
  small.command = {"serve"};
  DeviceRequest processor;
  processor.kind = DeviceKind::kCpu;
  small.groups = {{processor, 1, 2}};
  world.Step(DeploymentApplied{1, std::make_shared<const DeploymentSpec>(small)});
  world.Crash();
  world.Step(Restarted{});
  const auto routes = world.core().Routes();
  EXPECT_EQ(routes->term, Term(2));
  ASSERT_EQ(routes->deployments.size(), 2u);
  const RouteDeployment& second = routes->deployments[1];
  EXPECT_EQ(second.model, "small");
  ASSERT_EQ(second.replicas.size(), 1u);
  EXPECT_EQ(second.replicas[0].kind, DeviceKind::kCpu);
  EXPECT_EQ(second.replicas[0].device_model, "intel/xeon-8480+");
  EXPECT_EQ(second.replicas[0].device_count, 1u);
  EXPECT_TRUE(second.replicas[0].unheard);
  EXPECT_FALSE(second.replicas[0].ready);
}

// A Welcome with new gateways may have been lost; it is said once a lease, however often the node
// has registered.
TEST(Told, OfGatewaysOnceALease) {
  World world;
  world.Register({"n1"});
  for (int i = 0; i < 3; ++i) {
    world.PassTime(std::chrono::seconds(1));
    world.Register({"n1"});
  }
  Effects effects = world.Step(GatewaysChanged{{{"tcp://g:1", "key"}}});
  ASSERT_EQ(Times<Welcome>(effects), 1);
  EXPECT_EQ(Told<Welcome>(effects, "n1")->gateways,
            (std::vector<GatewayAddress>{{"tcp://g:1", "key"}}));
  int times = 0;
  const auto beats = CoreOptions{}.lease / std::chrono::seconds(1);
  for (int64_t i = 0; i < beats; ++i) {
    effects = world.Advance(std::chrono::seconds(1));
    times += Times<Welcome>(effects);
    world.Beat("n1");
  }
  EXPECT_EQ(times, 1);
}

// A table of 256 replicas is not sent again within 5 ms, a smaller one at once.
TEST(Told, OfManyReplicasLessOften) {
  for (const uint32_t replicas : {255U, 256U}) {
    World world;
    world.Register({"n1"});
    DeploymentSpec spec{.name = "m", .tenant = "t", .model = "m", .command = {"serve"}};
    spec.resources = {10, kMiB};
    spec.groups.push_back({.device = {.kind = DeviceKind::kCpu}, .count = replicas});
    const auto tables = [](const Effects& effects) {
      return std::count_if(effects.commands.begin(), effects.commands.end(),
                           [](const Command& c) { return std::holds_alternative<SendRoutes>(c); });
    };
    world.Step(DeploymentApplied{1, std::make_shared<const DeploymentSpec>(spec)});
    world.Advance(std::chrono::seconds(1));
    ASSERT_EQ(world.state().replicas().size(), replicas);
    const auto ready = [&](uint64_t id) {
      return tables(world.Report("n1", {.id = ReplicaId(id), .phase = ReplicaPhase::kReady}));
    };
    EXPECT_EQ(ready(1), 1);
    EXPECT_EQ(ready(2), replicas < 256 ? 1 : 0) << replicas;
  }
}

TEST(Told, OfTheSameGatewaysNobodyIs) {
  World world;
  world.Register({"n1"});
  const GatewaysChanged gateways{{{"tcp://g:1", "key"}}, {{"key"}}};
  EXPECT_EQ(Times<Welcome>(world.Step(gateways)), 1);
  EXPECT_EQ(Times<Welcome>(world.Step(gateways)), 0);
  EXPECT_EQ(Times<Welcome>(world.Step(GatewaysChanged{gateways.gateways, {}})), 1);
}

TEST(Told, OfWhoSpeaksForAnEpochThatIsOver) {
  World world;
  world.Register({"n1"});
  const Effects effects = world.Step(AgentSaid{"n1", Heartbeat{.epoch = Epoch(7)}});
  EXPECT_EQ(Times<Refuse>(effects), 1);
  ASSERT_EQ(effects.notes.size(), 1u);
  EXPECT_EQ(std::get<StaleRefused>(effects.notes[0]).node, "n1");
}

// What only the core knows, until it dies.
TEST(Told, OfWhatAgentsSaidLast) {
  World world;
  world.Register({"n1", {{2, "h200"}}});
  JobSpec spec;
  spec.command = {"train"};
  world.Submit(spec);
  world.Step(DeploymentApplied{1, std::make_shared<const DeploymentSpec>(Chat())});
  const Core& core = world.core();
  EXPECT_EQ(core.SoftState(NodeId(2)), nullptr);
  EXPECT_EQ(core.SoftState(NodeId()), nullptr);
  ASSERT_NE(core.SoftState(NodeId(1)), nullptr);
  EXPECT_EQ(core.SoftState(NodeId(1))->last_heard, world.now());
  EXPECT_TRUE(core.SoftState(NodeId(1))->telemetry.empty());
  EXPECT_EQ(core.ProgressOf({JobId(1), 0}), nullptr);
  EXPECT_EQ(core.StatusOf(ReplicaId(1)), nullptr);

  world.PassTime(std::chrono::seconds(1));
  TaskStatus task = Running(KeyOf(world.state(), JobId(1), 0));
  task.progress = TaskProgress{3, 9, 0.5};
  world.Step(AgentSaid{"n1", Heartbeat{world.EpochOf("n1"), {DeviceTelemetry{}}, {task}}});
  EXPECT_EQ(core.SoftState(NodeId(1))->last_heard, world.now());
  EXPECT_EQ(core.SoftState(NodeId(1))->telemetry.size(), 1u);
  ASSERT_NE(core.ProgressOf({JobId(1), 0}), nullptr);
  EXPECT_EQ(*core.ProgressOf({JobId(1), 0}), (TaskProgress{3, 9, 0.5}));
  EXPECT_EQ(core.ProgressOf({JobId(1), 1}), nullptr);
  world.Beat("n1");  // Nothing new of devices is no news.
  EXPECT_EQ(core.SoftState(NodeId(1))->telemetry.size(), 1u);

  // A replica's phase: as it was said, unless it is to end.
  const auto phase = [&] { return core.PhaseOf(world.state().replicas().at(ReplicaId(1))); };
  EXPECT_EQ(phase(), ReplicaPhase::kStarting);
  world.Report("n1", ReplicaStatus{ReplicaId(1), ReplicaPhase::kReady, 2, 1, "m"});
  EXPECT_EQ(phase(), ReplicaPhase::kReady);
  ASSERT_NE(core.StatusOf(ReplicaId(1)), nullptr);
  EXPECT_EQ(core.StatusOf(ReplicaId(1))->restarts, 2u);
  world.Step(DeploymentDeleteRequested{1, "chat"});
  EXPECT_EQ(phase(), ReplicaPhase::kStopping);
  world.Report("n1", ReplicaStatus{ReplicaId(1), ReplicaPhase::kDraining, 2, 1, ""});
  EXPECT_EQ(phase(), ReplicaPhase::kDraining);
  world.Report("n1", ReplicaStatus{ReplicaId(1), ReplicaPhase::kUnhealthy, 2, 1, ""});
  EXPECT_EQ(phase(), ReplicaPhase::kStopping);
  world.Report("n1", ReplicaStatus{ReplicaId(1), ReplicaPhase::kGone, 2, 1, ""});
  EXPECT_EQ(core.StatusOf(ReplicaId(1)), nullptr);
  world.Report("n1", Exited(KeyOf(world.state(), JobId(1), 0)));
  EXPECT_EQ(core.ProgressOf({JobId(1), 0}), nullptr);
}

TEST(Told, OfAReplicaThatIsToEndBeforeItWasHeard) {
  World world;
  world.Register({"n1", {{2, "h200"}}});
  world.Step(DeploymentApplied{1, std::make_shared<const DeploymentSpec>(Chat())});
  world.Step(DeploymentDeleteRequested{1, "chat"});
  EXPECT_EQ(world.core().PhaseOf(world.state().replicas().at(ReplicaId(1))),
            ReplicaPhase::kStopping);
}

}  // namespace
}  // namespace allot::scheduler
