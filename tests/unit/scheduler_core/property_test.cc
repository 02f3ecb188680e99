// Random sequences of events: whatever happens, the invariants hold after every step, the fold of
// the records equals the state, and a core made from the records goes on from there. World checks
// the first two on each step.
#include <rapidcheck.h>

#include "common/base/rng.h"
#include "gtest/gtest.h"
#include "scheduler/core/topology.h"
#include "tests/unit/scheduler_core/world.h"

namespace allot::scheduler {
namespace {

constexpr uint32_t kNodes = 4;

// Agents that mostly behave, driven by one seed.
class Chaos {
 public:
  explicit Chaos(uint64_t seed) : rng_(seed) {}

  void Run(uint32_t steps) {
    for (uint32_t i = 0; i < kNodes && world_.state().nodes().size() < kNodes; ++i) Register(i);
    for (uint32_t i = 0; i < steps; ++i) One();
  }

  // Faults end: nodes are back, nothing drains, every task soon ends well. All work must finish.
  void Heal() {
    if (rng_.OneIn(2)) world_.Step(PolicyApplied{0, std::make_shared<const Policy>(TestPolicy())});
    for (uint32_t i = 0; i < kNodes; ++i) {
      world_.Step(NodeDrainRequested{0, Name(i), false});
      // What chance has quarantined would come back too, but not within this test.
      const std::map<std::string, Quarantine> held = world_.state().FindNode(Name(i))->quarantines;
      for (const auto& [device, quarantine] : held)
        world_.Step(DeviceServiceRequested{0, Name(i), device, true, ""});
      Register(i);  // After a restart of the scheduler every agent is asked to.
    }
    // What is left to wait for is then a gang wider than the cluster: a few rounds show that.
    for (int round = 0, idle = 0; idle < 20 && round < 2'000 && Unfinished() > 0; ++round) {
      const JobCounts counts = world_.core().Counts();
      idle = counts.running + counts.stopping == 0 ? idle + 1 : 0;
      for (uint32_t i = 0; i < kNodes; ++i) {
        const std::vector<TaskKey> tasks = world_.state().FindNode(Name(i))->tasks;
        for (const TaskKey& key : tasks) world_.Report(Name(i), Exited(key));
        const std::vector<ReplicaId> replicas = world_.state().FindNode(Name(i))->replicas;
        for (const ReplicaId id : replicas)
          world_.Report(Name(i), ReplicaStatus{id, Phase(id), 0, 1, ""});
        world_.Beat(Name(i));
      }
      world_.Advance(std::chrono::milliseconds(500));
    }
  }

  uint64_t Unfinished() {
    const JobCounts counts = world_.core().Counts();
    return counts.pending + counts.running + counts.stopping;
  }
  World& world() { return world_; }

 private:
  static std::string Name(uint64_t i) { return fmt::format("n{}", i + 1); }
  ReplicaPhase Phase(ReplicaId id) {
    return world_.state().replicas().at(id).stopping ? ReplicaPhase::kGone : ReplicaPhase::kReady;
  }

  NodeShape Shape(uint64_t i) {
    NodeShape shape;
    shape.name = Name(i);
    shape.cpus = 8'000;
    shape.memory = 16 * kGiB;
    if (i == 0) {
      shape.devices = {{4, "h200"}};
      shape.fabrics = {{"nvlink", "h200", 2, ""}};
    }
    if (i == 1) {
      shape.devices = {{2, "h200"}, {2, "groq"}};
      shape.isolation = Isolation::kNone;
    }
    if (i == 2) {
      shape.devices = {{4, "a100"}};
      shape.fabrics = {{"neuronlink-ring", "a100", 0, "line"}};
      shape.numa_nodes = 2;
    }
    shape.powered = i < 3;
    if (i > 0) shape.rack = i == 1 ? "r1" : "r2";
    return shape;
  }

  void Register(uint64_t i) {
    const NodeState* node = world_.state().FindNode(Name(i));
    std::vector<TaskStatus> tasks;
    std::vector<ReplicaStatus> replicas;
    if (node != nullptr) {
      for (const TaskKey& key : node->tasks) {
        if (rng_.OneIn(4)) continue;  // Lost with the machine.
        tasks.push_back(rng_.OneIn(4) ? Exited(key, static_cast<int32_t>(rng_.Below(2)))
                                      : Running(key));
      }
      for (const ReplicaId id : node->replicas) {
        if (!rng_.OneIn(4)) replicas.push_back({id, ReplicaPhase::kReady, 0, 1, ""});
      }
      // Something of long ago that nobody wants any more.
      if (rng_.OneIn(3)) tasks.push_back(Running(AnyKey()));
    }
    world_.Register(Shape(i), std::move(tasks), std::move(replicas));
  }

  TaskKey AnyKey() {
    const uint64_t last = world_.state().last_job().value();
    return TaskKey{TaskId{JobId(1 + rng_.Below(last + 2)), static_cast<uint32_t>(rng_.Below(3))},
                   Attempt(static_cast<uint32_t>(1 + rng_.Below(3)))};
  }

  JobSpec MakeJob() {
    JobSpec spec;
    spec.tenant = rng_.OneIn(2) ? "ann" : "bob";
    spec.priority = static_cast<int32_t>(rng_.Below(3));
    spec.tasks = static_cast<uint32_t>(1 + rng_.Below(4));
    spec.command = {"train"};
    spec.restarts_max = static_cast<uint32_t>(rng_.Below(3));
    spec.resources.cpus = static_cast<MilliCpu>(rng_.Below(4)) * 1'000;
    spec.resources.memory = static_cast<Bytes>(rng_.Below(4)) * kGiB;
    if (rng_.OneIn(4)) spec.time_limit = std::chrono::seconds(1 + rng_.Below(30));
    const char* models[] = {"*h200*", "*a100*", "groq/*"};
    for (uint64_t i = rng_.Below(3); i > 0; --i) {
      DeviceRequest request;
      request.model = models[rng_.Below(3)];
      request.count = static_cast<uint32_t>(1 + rng_.Below(3));
      request.joined = rng_.OneIn(3);
      if (rng_.OneIn(4)) request.isolation = Isolation::kHard;
      spec.devices.push_back(request);
    }
    return spec;
  }

  void Deploy() {
    DeploymentSpec spec;
    spec.name = rng_.OneIn(2) ? "chat" : "embed";
    spec.command = {"serve", std::to_string(rng_.Below(2))};
    spec.resources.cpus = 500;
    for (uint64_t i = 1 + rng_.Below(2); i > 0; --i) {
      ReplicaGroup group;
      group.device.kind = rng_.OneIn(2) ? DeviceKind::kCpu : DeviceKind::kGpu;
      group.count = static_cast<uint32_t>(rng_.Below(4));
      if (rng_.OneIn(2)) group.device.count = 2;
      group.device.joined = rng_.OneIn(3);
      spec.groups.push_back(group);
    }
    if (rng_.OneIn(4)) spec.price_cap = PriceRate{3'000'000};
    world_.Step(DeploymentApplied{0, std::make_shared<const DeploymentSpec>(std::move(spec))});
  }

  // From none to one that lets a handful of devices in.
  PowerCaps MakeCaps() {
    PowerCaps caps;
    const auto watts = [this] { return static_cast<MilliWatt>(rng_.Below(40)) * 100'000; };
    if (rng_.OneIn(3)) caps.cluster = watts();
    if (rng_.OneIn(3)) caps.rack = watts();
    if (rng_.OneIn(3)) caps.node = watts();
    if (rng_.OneIn(4)) caps.racks["r2"] = watts();
    if (rng_.OneIn(4)) caps.nodes["n1"] = watts();
    return caps;
  }

  void One() {
    const uint64_t i = rng_.Below(kNodes);
    const NodeState* node = world_.state().FindNode(Name(i));
    switch (rng_.Below(16)) {
      case 0:
      case 1:
      case 2:
        world_.Submit(MakeJob(), rng_.OneIn(5) ? std::to_string(rng_.Below(5)) : "");
        break;
      case 3:
      case 4:
      case 5:
      case 6:  // A task of the node goes on.
        if (!node->tasks.empty()) {
          const TaskKey key = node->tasks[rng_.Below(node->tasks.size())];
          const bool ends = rng_.OneIn(2);
          world_.Report(Name(i), ends ? Exited(key, rng_.OneIn(3) ? 1 : 0) : Running(key));
        }
        break;
      case 7: {  // Something nobody asked about, perhaps of another epoch.
        const Epoch epoch(1 + rng_.Below(node->epoch.value() + 1));
        world_.Report(Name(i), rng_.OneIn(2) ? Exited(AnyKey()) : Running(AnyKey()), epoch);
        break;
      }
      case 8:
        world_.Step(JobCancelRequested{
            0, JobId(1 + rng_.Below(world_.state().last_job().value() + 1)), ""});
        break;
      case 9:
        Register(i);
        break;
      case 10:
        world_.Advance(std::chrono::seconds(rng_.Below(12)));
        break;
      case 11:
        if (rng_.OneIn(2)) {
          world_.Step(NodeDrainRequested{0, Name(i), rng_.OneIn(2)});
        } else {
          const std::vector<Device>& devices = node->info->devices;
          const std::string device = rng_.OneIn(3) ? "" : devices[rng_.Below(devices.size())].id;
          world_.Step(DeviceServiceRequested{0, Name(i), device, rng_.OneIn(2), "olga"});
        }
        break;
      case 12:
        rng_.OneIn(4) ? void(world_.Step(DeploymentDeleteRequested{0, "chat"})) : Deploy();
        break;
      case 13:
        if (!node->replicas.empty()) {
          const ReplicaId id = node->replicas[rng_.Below(node->replicas.size())];
          world_.Report(Name(i), ReplicaStatus{id, rng_.OneIn(5) ? ReplicaPhase::kGone : Phase(id),
                                               0, 1, ""});
        }
        break;
      case 14:
        world_.Beat(Name(i));
        break;
      case 15:
        if (rng_.OneIn(3)) {
          Policy policy = TestPolicy();
          policy.queue.algorithm = rng_.OneIn(2) ? "fair_share" : "fifo";
          policy.placement.algorithm = rng_.OneIn(2) ? "spread" : "best_fit";
          policy.queue.head_hold_after = std::chrono::seconds(rng_.Below(20));
          policy.quarantine.failures = static_cast<uint32_t>(rng_.Below(4));
          policy.quarantine.within = std::chrono::seconds(1 + rng_.Below(60));
          policy.quarantine.probation_after = std::chrono::seconds(1 + rng_.Below(20));
          policy.power = MakeCaps();
          world_.Step(PolicyApplied{0, std::make_shared<const Policy>(std::move(policy))});
        } else if (rng_.OneIn(3)) {
          world_.Crash();
          world_.Step(Restarted{});
        }
        break;
    }
  }

  Rng rng_;
  World world_;
};

TEST(CoreProperty, AnySequenceOfEventsKeepsTheInvariants) {
  EXPECT_TRUE(rc::check("invariants and replay", [](uint64_t seed) {
    Chaos chaos(seed);
    chaos.Run(200);
    RC_ASSERT(!testing::Test::HasFailure());
  }));
}

// A group that is short is searched for again only when a node has grown that would do, so each way
// to grow has to be told.
TEST(CoreProperty, NoReplicaWaitsWhereThereIsRoomForIt) {
  EXPECT_TRUE(rc::check("replicas", [](uint64_t seed) {
    Chaos chaos(seed);
    for (int turn = 0; turn < 40; ++turn) {
      chaos.Run(5);
      const ClusterState& state = chaos.world().state();
      for (const auto& [name, deployment] : state.deployments()) {
        // While old replicas serve, new ones come one at a time, room or not.
        const bool rolls = std::any_of(deployment.replicas.begin(), deployment.replicas.end(),
                                       [&, &deployment = deployment](const ReplicaId id) {
                                         const ReplicaState& replica = state.replicas().at(id);
                                         return replica.stopping ||
                                                replica.generation != deployment.generation ||
                                                state.FindNode(replica.placement.node)->draining;
                                       });
        if (rolls) continue;
        const auto waits = chaos.world().core().ExplainDeployment(name);
        for (const ReplicaWait& wait : *waits) {
          uint32_t without_room = 0;
          for (const Reason& reason : wait.reasons) without_room += reason.count;
          RC_ASSERT(without_room == state.nodes().size() ||
                    wait.reasons.front().reason == WaitReason::kNoNodes);
        }
      }
    }
  }));
}

TEST(CoreProperty, OnceFaultsHealAllWorkFinishes) {
  EXPECT_TRUE(rc::check("progress", [](uint64_t seed) {
    Chaos chaos(seed);
    chaos.Run(100);
    chaos.Heal();
    if (chaos.Unfinished() > 0) {
      for (const auto& [id, job] : chaos.world().state().jobs()) {
        if (job.phase == JobPhase::kFinished) continue;
        RC_LOG() << ToString(id) << " is " << ToString(job.phase) << "\n";
        const auto why = chaos.world().core().ExplainJob(chaos.world().now(), id);
        // A job may want more than the whole cluster has.
        if (job.phase == JobPhase::kPending) {
          for (const Reason& reason : why->reasons) RC_LOG() << "  " << reason.detail << "\n";
          bool too_wide = false;
          for (const Reason& reason : why->reasons)
            too_wide |= reason.reason == WaitReason::kGangTooWide ||
                        reason.reason == WaitReason::kPowerCap ||
                        reason.reason == WaitReason::kNoMatchingDevice;
          RC_ASSERT(too_wide);
          continue;
        }
        RC_FAIL("a job that is not waiting never ended");
      }
    }
    RC_ASSERT(!testing::Test::HasFailure());
  }));
}

// A gang is placed exactly if all of its tasks find sets of their own: topology_test.cc checks Room
// against a search through all sets, this checks that the core makes of it what it promises.
TEST(CoreProperty, AGangIsPlacedExactlyIfItsSetsFit) {
  EXPECT_TRUE(rc::check("complete", [](uint64_t seed) {
    Rng rng(seed);
    World world;
    static const std::vector<FabricShape> kFabrics = {
        {"nvlink", "h200", 2, ""},    {"nvlink", "h200", 4, ""},
        {"nvlink", "h200", 3, ""},    {"neuronlink-ring", "h200", 0, ""},
        {"tpu-slice", "h200", 0, ""}, {"neuronlink-ring", "h200", 0, "line"}};
    std::vector<NodeInfo> nodes;
    for (uint32_t n = 0; n < 3; ++n) {
      NodeShape shape;
      shape.name = fmt::format("n{}", n + 1);
      shape.devices = {{static_cast<uint32_t>(1 + rng.Below(8)), "h200"}};
      if (!rng.OneIn(4)) shape.fabrics = {kFabrics[rng.Below(kFabrics.size())]};
      if (rng.OneIn(2)) shape.numa_nodes = 2;
      nodes.push_back(MakeInfo(shape));
      world.Register(shape);
    }
    const auto make = [&rng](uint32_t tasks_max) {
      JobSpec spec;
      spec.command = {"train"};
      spec.tasks = static_cast<uint32_t>(1 + rng.Below(tasks_max));
      spec.resources.cpus = spec.resources.memory = 0;
      DeviceRequest request;
      request.kind = DeviceKind::kGpu;
      request.count = static_cast<uint32_t>(1 + rng.Below(4));
      request.joined = rng.OneIn(2);
      spec.devices = {request};
      return spec;
    };
    for (uint64_t jobs = rng.Below(8); jobs > 0; --jobs) world.Submit(make(1));
    for (const auto& [id, job] : std::map<JobId, JobState>(world.state().jobs())) {
      if (job.phase != JobPhase::kRunning || rng.OneIn(2)) continue;
      const std::string& name = world.state().FindNode(job.tasks[0].placement.node)->info->name;
      world.Report(name, Exited(KeyOf(world.state(), id, 0)));
    }
    const JobSpec gang = make(6);
    const DeviceRequest& request = gang.devices.front();
    uint64_t room = 0;
    for (uint32_t n = 0; n < nodes.size(); ++n)
      room += Topology(nodes[n]).Room(world.state().nodes()[n].devices_free, request.count,
                                      request.joined);
    const JobId before = world.last_job();
    world.Submit(gang);
    const bool placed =
        world.last_job() != before && world.job(world.last_job()).phase == JobPhase::kRunning;
    RC_ASSERT(placed == (room >= gang.tasks));
    RC_ASSERT(!testing::Test::HasFailure());
  }));
}

TEST(CoreProperty, TheSameEventsGiveTheSameRecords) {
  EXPECT_TRUE(rc::check("determinism", [](uint64_t seed) {
    Chaos a(seed), b(seed);
    a.Run(100);
    b.Run(100);
    RC_ASSERT(a.world().journal().size() == b.world().journal().size());
    for (size_t i = 0; i < a.world().journal().size(); ++i)
      RC_ASSERT(Describe(a.world().journal()[i]) == Describe(b.world().journal()[i]));
  }));
}

}  // namespace
}  // namespace allot::scheduler
