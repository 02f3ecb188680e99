// Worlds that are larger than any bound in the code (a search's window is 8 nodes): two dozen nodes
// of six models, gangs that need most of them. After every single step nothing waits that has room,
// by an oracle that knows nothing of how the core looks for it: a wake-up that is lost shows at
// once, also where the next event would have made up for it.
#include <rapidcheck.h>

#include "common/base/rng.h"
#include "gtest/gtest.h"
#include "scheduler/core/placement_search.h"
#include "tests/unit/scheduler_core/oracle.h"
#include "tests/unit/scheduler_core/world.h"

namespace allot::scheduler {
namespace {

constexpr uint32_t kWideNodes = 24;
static_assert(kWideNodes > 2 * PlacementSearch::kWindow);

class WideWorld {
 public:
  WideWorld(uint64_t seed, bool capped) : rng_(seed), capped_(capped) {
    SwitchPolicy();
    for (uint32_t i = 0; i < kWideNodes; ++i) {
      if (!rng_.OneIn(8)) Register(i);
    }
  }

  // One event, and what must hold after it. Empty: it does.
  std::string One() {
    Act();
    if (std::string wrong = WaitingJob(); !wrong.empty()) return wrong;
    return WaitingReplica();
  }

 private:
  static std::string Name(uint64_t i) { return fmt::format("n{}", i + 1); }
  NodeShape Shape(uint64_t i) const {
    static const char* const kWords[] = {"h200", "a100", "groq", "tpu", "inf2", "trn1"};
    NodeShape shape;
    shape.name = Name(i);
    // From one seed to the next the same: what a node has does not change by chance.
    shape.devices = {{static_cast<uint32_t>(1 + i % 4), kWords[i % 3]}};
    if (i % 5 == 0) shape.devices.emplace_back(2, kWords[3 + i % 3]);
    shape.cpus = static_cast<MilliCpu>(2'000 + 2'000 * (i % 3));
    shape.memory = static_cast<Bytes>(8 + 8 * (i % 2)) * kGiB;
    shape.powered = capped_ && i % 7 != 0;
    if (i % 4 != 0) shape.rack = fmt::format("r{}", i % 3);
    return shape;
  }

  void Register(uint64_t i) {
    std::vector<TaskStatus> tasks;
    std::vector<ReplicaStatus> replicas;
    if (const NodeState* node = world_.state().FindNode(Name(i))) {
      for (const TaskKey& key : node->tasks)
        if (!rng_.OneIn(8)) tasks.push_back(rng_.OneIn(8) ? Exited(key) : Running(key));
      for (const ReplicaId id : node->replicas)
        if (!rng_.OneIn(8)) replicas.push_back({id, ReplicaPhase::kReady, 0, 1, ""});
    }
    world_.Register(Shape(i), std::move(tasks), std::move(replicas));
  }

  DeviceRequest MakeRequest() {
    DeviceRequest request;
    switch (rng_.Below(5)) {
      case 0:
        request.kind = DeviceKind::kGpu;
        break;
      case 1:
        request.kind = DeviceKind::kAsic;
        break;
      case 2:
        request.kind = rng_.OneIn(3) ? DeviceKind::kCpu : DeviceKind::kGpu;
        break;
      case 3:
        request.model = rng_.OneIn(2) ? "*h200*" : "*a100*";
        break;
      case 4:
        request.model = rng_.OneIn(2) ? "groq/*" : "aws/*";
        break;
    }
    request.count = static_cast<uint32_t>(1 + rng_.Below(rng_.OneIn(3) ? 4 : 2));
    request.worth = rng_.OneIn(2) ? 1.0 : 2.0;
    return request;
  }

  void Submit() {
    JobSpec spec;
    spec.tenant = rng_.OneIn(2) ? "ann" : "bob";
    spec.priority = static_cast<int32_t>(rng_.Below(3));
    spec.command = {"train"};
    // Of gangs under caps the oracle does not tell.
    if (!capped_ && rng_.OneIn(2)) spec.tasks = static_cast<uint32_t>(1 + rng_.Below(20));
    spec.resources.cpus = static_cast<MilliCpu>(rng_.Below(5)) * 500;
    spec.resources.memory = static_cast<Bytes>(rng_.Below(5)) * kGiB;
    for (uint64_t i = rng_.Below(4); i > 0; --i) spec.devices.push_back(MakeRequest());
    world_.Submit(std::move(spec), "");
  }

  void Deploy() {
    DeploymentSpec spec;
    spec.name = fmt::format("d{}", rng_.Below(4));
    spec.command = {"serve"};
    spec.resources.cpus = static_cast<MilliCpu>(rng_.Below(4)) * 500;
    for (uint64_t i = 1 + rng_.Below(2); i > 0; --i) {
      ReplicaGroup& group = spec.groups.emplace_back();
      group.device = MakeRequest();
      group.count = static_cast<uint32_t>(rng_.Below(12));
    }
    world_.Step(DeploymentApplied{0, std::make_shared<const DeploymentSpec>(std::move(spec))});
  }

  void SwitchPolicy() {
    Policy policy = TestPolicy();
    policy.queue.algorithm = rng_.OneIn(2) ? "fair_share" : rng_.OneIn(2) ? "fifo" : "priority";
    policy.placement.algorithm = rng_.OneIn(2) ? "spread" : "best_fit";
    policy.queue.head_hold_after = std::chrono::seconds(rng_.OneIn(2) ? 30 : 3'600);
    policy.quarantine.failures = static_cast<uint32_t>(rng_.Below(3));
    policy.quarantine.probation_after = std::chrono::seconds(1 + rng_.Below(20));
    if (capped_) {
      const auto watts = [this] { return static_cast<MilliWatt>(rng_.Below(60)) * 100'000; };
      if (rng_.OneIn(2)) policy.power.cluster = watts() * 3;
      if (rng_.OneIn(2)) policy.power.rack = watts();
      if (rng_.OneIn(3)) policy.power.node = watts();
      if (rng_.OneIn(4)) policy.power.racks["r1"] = watts();
    }
    world_.Step(PolicyApplied{0, std::make_shared<const Policy>(std::move(policy))});
  }

  void Act() {
    const uint64_t i = rng_.Below(kWideNodes);
    const NodeState* node = world_.state().FindNode(Name(i));
    const uint64_t dice = rng_.Below(40);
    if (node == nullptr || dice == 0) return Register(i);
    if (dice < 12) return Submit();
    if (dice < 24) {
      // On some node: of a random one most would have nothing.
      for (uint64_t n = 0; n < kWideNodes; ++n) {
        const NodeState* busy = world_.state().FindNode(Name((i + n) % kWideNodes));
        if (busy == nullptr || !busy->alive || busy->tasks.empty()) continue;
        const TaskKey key = busy->tasks[rng_.Below(busy->tasks.size())];
        const std::string name = busy->info->name;
        world_.Report(name, rng_.OneIn(3) ? Running(key) : Exited(key, rng_.OneIn(6) ? 1 : 0));
        return;
      }
      return;
    }
    if (dice < 27) return Deploy();
    if (dice < 30) {
      if (!node->alive || node->replicas.empty()) return;
      const ReplicaId id = node->replicas[rng_.Below(node->replicas.size())];
      const bool gone = world_.state().replicas().at(id).stopping || rng_.OneIn(4);
      world_.Report(Name(i),
                    ReplicaStatus{id, gone ? ReplicaPhase::kGone : ReplicaPhase::kReady, 0, 1, ""});
      return;
    }
    if (dice < 32) {
      world_.Step(NodeDrainRequested{0, Name(i), !node->draining});
      return;
    }
    if (dice < 34) {
      const std::vector<Device>& devices = node->info->devices;
      const std::string device = rng_.OneIn(3) ? "" : devices[rng_.Below(devices.size())].id;
      world_.Step(DeviceServiceRequested{0, Name(i), device, rng_.OneIn(2), "olga"});
      return;
    }
    if (dice < 35) {
      world_.Step(
          JobCancelRequested{0, JobId(1 + rng_.Below(world_.state().last_job().value() + 1)), ""});
      return;
    }
    if (dice < 36) {
      world_.Step(DeploymentDeleteRequested{0, fmt::format("d{}", rng_.Below(4))});
      return;
    }
    if (dice < 38) {
      // All speak but a few, which may be lost by it.
      for (uint32_t n = 0; n < kWideNodes; ++n) {
        const NodeState* other = world_.state().FindNode(Name(n));
        if (other != nullptr && other->alive && !rng_.OneIn(12)) world_.Beat(Name(n));
      }
      world_.Advance(std::chrono::seconds(rng_.Below(12)));
      return;
    }
    if (dice < 39) return SwitchPolicy();
    if (rng_.OneIn(4)) {
      world_.Crash();
      world_.Step(Restarted{});
    }
  }

  // An older one that has waited long enough may keep others off.
  bool MayBeHeld(const JobState& job) const {
    const Duration after = world_.state().policy()->queue.head_hold_after;
    for (const auto& [id, other] : world_.state().jobs()) {
      if (id >= job.id) break;
      if (other.phase == JobPhase::kPending && world_.now() - other.submitted >= after &&
          world_.now() - other.queued >= after)
        return true;
    }
    return false;
  }

  std::string WaitingJob() const {
    const Oracle oracle(world_.state());
    for (const auto& [id, job] : world_.state().jobs()) {
      if (job.phase != JobPhase::kPending || !oracle.Fits(*job.spec) || MayBeHeld(job)) continue;
      return fmt::format("{} of {} tasks waits, and there is room", ToString(id), job.spec->tasks);
    }
    return "";
  }

  std::string WaitingReplica() const {
    const ClusterState& state = world_.state();
    const Oracle oracle(state);
    for (const auto& [name, deployment] : state.deployments()) {
      if (deployment.stopping) continue;
      std::vector<uint32_t> have(deployment.spec->groups.size());
      bool rolls = false;  // then new ones come one at a time, room or not
      for (const ReplicaId id : deployment.replicas) {
        const ReplicaState& replica = state.replicas().at(id);
        rolls |= replica.stopping || replica.generation != deployment.generation ||
                 state.FindNode(replica.placement.node)->draining;
        if (replica.group < have.size()) ++have[replica.group];
      }
      for (uint32_t g = 0; g < have.size() && !rolls; ++g) {
        if (have[g] < deployment.spec->groups[g].count && oracle.Fits(*deployment.spec, g))
          return fmt::format("group {} of {} waits, and there is room", g, name);
      }
    }
    return "";
  }

  Rng rng_;
  const bool capped_;
  World world_;
};

void CheckWorld(uint64_t seed, bool capped) {
  WideWorld world(seed, capped);
  for (int i = 0; i < 150; ++i) {
    const std::string wrong = world.One();
    if (!wrong.empty()) RC_FAIL(fmt::format("after event {}: {}", i, wrong));
    RC_ASSERT(!testing::Test::HasFailure());
  }
}

// By quarters of the worlds, side by side: each world takes half a second.
class WideWorldProperty : public ::testing::TestWithParam<uint64_t> {};

TEST_P(WideWorldProperty, NothingWaitsThatHasRoom) {
  EXPECT_TRUE(rc::check("wide", [](uint64_t seed) {
    if (seed % 4 == GetParam()) CheckWorld(seed, /*capped=*/false);
  }));
}

TEST_P(WideWorldProperty, NothingWaitsThatHasRoomUnderCaps) {
  EXPECT_TRUE(rc::check("wide, capped", [](uint64_t seed) {
    if (seed % 4 == GetParam()) CheckWorld(seed, /*capped=*/true);
  }));
}

INSTANTIATE_TEST_SUITE_P(Quarter, WideWorldProperty, ::testing::Range<uint64_t>(0, 4));

}  // namespace
}  // namespace allot::scheduler
