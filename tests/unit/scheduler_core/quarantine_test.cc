// What must hold of quarantines whatever the jobs: good ones never bring one about, broken ones of
// one user none that lasts, and a device that fails everything takes no more than it may.
#include <rapidcheck.h>

#include <deque>

#include "common/base/rng.h"
#include "gtest/gtest.h"
#include "scheduler/core/quarantine.h"
#include "tests/unit/scheduler_core/world.h"

namespace allot::scheduler {
namespace {

class Fleet {
 public:
  explicit Fleet(uint64_t seed, uint64_t nodes_min = 1) : rng_(seed) {
    Policy policy = TestPolicy();
    policy.placement.algorithm = rng_.OneIn(2) ? "spread" : "best_fit";
    world_.Step(PolicyApplied{0, std::make_shared<const Policy>(policy)});
    const uint64_t nodes = nodes_min + rng_.Below(3);
    for (uint64_t i = 0; i < nodes; ++i) {
      NodeShape shape;
      shape.name = fmt::format("n{}", i + 1);
      shape.devices = {{static_cast<uint32_t>(1 + rng_.Below(4)), "h200"}};
      shape.cpus = 8'000;
      world_.Register(shape);
    }
  }

  void Submit(const std::string& user, bool gangs = true) {
    JobSpec spec;
    spec.command = {"work"};
    spec.tasks = gangs && rng_.OneIn(4) ? 2 : 1;
    spec.restarts_max = static_cast<uint32_t>(rng_.Below(3));
    if (!rng_.OneIn(3)) {
      DeviceRequest request;
      request.kind = DeviceKind::kGpu;
      request.count = 1;
      spec.devices.push_back(request);
    }
    world_.Submit(std::move(spec), "", user);
  }

  // Every lease there is, in order of placement.
  std::vector<std::pair<std::string, TaskKey>> Leases() {
    std::vector<std::pair<std::string, TaskKey>> leases;
    for (const NodeState& node : world_.state().nodes()) {
      for (const TaskKey& key : node.tasks) leases.emplace_back(node.info->name, key);
    }
    const auto placed = [this](const TaskKey& key) { return world_.job(key.task.job).placed; };
    std::stable_sort(leases.begin(), leases.end(), [&](const auto& a, const auto& b) {
      return placed(a.second) != placed(b.second) ? placed(a.second) < placed(b.second)
                                                  : a.second < b.second;
    });
    return leases;
  }
  void Exit(const std::pair<std::string, TaskKey>& lease, int32_t code) {
    world_.Report(lease.first, Running(lease.second));
    world_.PassTime(std::chrono::milliseconds(100 + rng_.Below(900)));
    world_.Report(lease.first, Exited(lease.second, code));
  }
  size_t Held() {
    size_t held = 0;
    for (const NodeState& node : world_.state().nodes()) held += node.quarantines.size();
    return held;
  }
  size_t EverHeld() {
    return static_cast<size_t>(std::count_if(
        world_.journal().begin(), world_.journal().end(),
        [](const Record& record) { return std::holds_alternative<DeviceQuarantined>(record); }));
  }

  Rng rng_;
  World world_;
};

TEST(QuarantineProperty, JobsThatSucceedNeverBringOneAbout) {
  EXPECT_TRUE(rc::check("successes", [](uint64_t seed) {
    Fleet fleet(seed);
    for (int i = 0; i < 60; ++i) {
      fleet.Submit(fleet.rng_.OneIn(2) ? "ann" : "bob");
      const auto leases = fleet.Leases();
      if (!leases.empty() && !fleet.rng_.OneIn(3))
        fleet.Exit(leases[fleet.rng_.Below(leases.size())], 0);
    }
    RC_ASSERT(fleet.EverHeld() == 0u);
  }));
}

// Of one task each: what the others of a gang that is stopped would have said about their places is
// never known, so there a place may be out for a while (ADR 7, Where nobody knows).
TEST(QuarantineProperty, JobsThatFailEverywhereNeverBringOneAbout) {
  EXPECT_TRUE(rc::check("failures in order", [](uint64_t seed) {
    Fleet fleet(seed);
    for (int i = 0; i < 60; ++i) {
      fleet.Submit("bob", /*gangs=*/false);
      const auto leases = fleet.Leases();
      if (!leases.empty() && !fleet.rng_.OneIn(4)) fleet.Exit(leases.front(), 1);
      RC_ASSERT(fleet.EverHeld() == 0u);
    }
  }));
}

// A slow failure looks well until it comes: a place may be out for so long, and no longer.
TEST(QuarantineProperty, JobsThatFailEverywhereBringNoneAboutThatLasts) {
  EXPECT_TRUE(rc::check("failures in any order", [](uint64_t seed) {
    Fleet fleet(seed, 2);
    for (int i = 0; i < 40; ++i) {
      fleet.Submit("bob");
      const auto leases = fleet.Leases();
      if (!leases.empty() && !fleet.rng_.OneIn(3))
        fleet.Exit(leases[fleet.rng_.Below(leases.size())], 1);
    }
    for (auto leases = fleet.Leases(); !leases.empty(); leases = fleet.Leases())
      fleet.Exit(leases[fleet.rng_.Below(leases.size())], 1);
    RC_ASSERT(fleet.Held() == 0u);
  }));
}

TEST(QuarantineProperty, ADeviceThatFailsEverythingTakesNoMoreThanItMay) {
  EXPECT_TRUE(rc::check("black hole", [](uint64_t seed) {
    Fleet fleet(seed, 2);
    World& world = fleet.world_;
    const uint32_t position = 1;  // h200-0 of n1
    std::set<JobId> eaten;
    for (int i = 0; i < 80; ++i) {
      fleet.Submit(fleet.rng_.OneIn(3) ? "ann" : "bob");
      // The bad device fails within a second, others take a few; all else goes well.
      for (const auto& lease : fleet.Leases()) {
        const JobState& job = world.job(lease.second.task.job);
        if (job.phase != JobPhase::kRunning) continue;
        const bool bad = lease.first == "n1" &&
                         job.tasks[lease.second.task.index].placement.devices.Has(position);
        if (bad) eaten.insert(lease.second.task.job);
        if (bad || fleet.rng_.OneIn(4)) fleet.Exit(lease, bad ? 1 : 0);
      }
      for (const auto& lease : fleet.Leases()) {
        if (world.job(lease.second.task.job).phase == JobPhase::kStopping)
          world.Report(lease.first, Exited(lease.second, 0, 15));
      }
    }
    RC_ASSERT(eaten.size() <= 3u);
    const NodeState& node = *world.state().FindNode("n1");
    RC_ASSERT(!node.Quarantined(""));
    for (const NodeState& other : world.state().nodes()) {
      for (const auto& [device, quarantine] : other.quarantines)
        RC_ASSERT(other.id == node.id && device == "h200-0");
    }
  }));
}

TEST(Quarantine, SwitchedOffItDoesNothing) {
  Policy policy = TestPolicy();
  policy.quarantine.failures = 0;
  World world({}, policy);
  world.Register({"n1", {{2, "h200"}}});
  for (int i = 0; i < 20; ++i) {
    JobSpec spec;
    spec.command = {"work"};
    spec.devices.push_back(DeviceRequest{DeviceKind::kGpu});
    world.Submit(spec);
    const TaskKey key = KeyOf(world.state(), world.last_job(), 0);
    EXPECT_EQ(world.job(key.task.job).tasks[0].placement.devices.words()[0], uint64_t{2});
    world.Report("n1", Exited(key, 1));
  }
  EXPECT_TRUE(world.state().FindNode("n1")->quarantines.empty());
}

// A core that has just restarted remembers quarantines and nothing of what led to others.
TEST(Quarantine, ProbationComesAfterARestartToo) {
  World world;
  world.Register({"n1", {{1, "h200"}}});
  world.Register({"n2", {{1, "h200"}}});
  const auto run = [&](const std::string& node, int32_t code) {
    JobSpec spec;
    spec.command = {"work"};
    spec.devices.push_back(DeviceRequest{DeviceKind::kGpu});
    world.Step(NodeDrainRequested{0, node == "n1" ? "n2" : "n1", true});
    world.Submit(spec);
    world.Report(node, Exited(KeyOf(world.state(), world.last_job(), 0), code));
    world.Step(NodeDrainRequested{0, node == "n1" ? "n2" : "n1", false});
  };
  run("n2", 0);
  for (int i = 0; i < 3; ++i) run("n1", 1);
  ASSERT_TRUE(world.state().FindNode("n1")->Quarantined("h200-0"));
  world.Crash();
  world.Step(Restarted{});
  const auto next = world.core().NextWakeup();
  ASSERT_TRUE(next.has_value());
  world.Advance(std::chrono::minutes(10));
  EXPECT_TRUE(world.state().FindNode("n1")->quarantines.at("h200-0").probation);
}

// What outlives the doubt is cleared in that moment, whatever else is due later.
TEST(Quarantine, OfWhatOutlivesItEndsInTime) {
  Policy policy = TestPolicy();
  policy.quarantine.probation_after = std::chrono::minutes(2);
  World world({}, policy);
  world.Register({"n1", {{1, "h200"}}});
  world.Register({"n2", {{1, "h200"}}});
  world.Register({"n3", {{1, "a100"}}});
  const auto submit = [&](const std::string& model) {
    JobSpec spec;
    spec.command = {"work"};
    spec.devices.emplace_back().model = model;
    world.Submit(spec);
    return KeyOf(world.state(), world.last_job(), 0);
  };
  const auto pass = [&](int seconds) {
    Effects all;
    for (int i = 0; i < seconds; ++i) {
      Effects out = world.Advance(std::chrono::seconds(1));
      for (const char* node : {"n1", "n2", "n3"}) world.Beat(node);
      std::move(out.records.begin(), out.records.end(), std::back_inserter(all.records));
    }
    return all;
  };
  world.Report("n3", Exited(submit("*a100*")));
  const auto convict = [&](const std::string& drained, const std::string& node) {
    world.Step(NodeDrainRequested{0, drained, true});
    for (int i = 0; i < 3; ++i) world.Report(node, Exited(submit("*h200*"), 1));
    ASSERT_TRUE(world.state().FindNode(node)->Quarantined("h200-0"));
    world.Step(NodeDrainRequested{0, drained, false});
  };
  convict("n2", "n1");
  pass(119);
  convict("n1", "n2");  // Until long after the other's trial.
  pass(1);
  world.Advance(std::chrono::milliseconds(300));
  const TaskKey trial = submit("*h200*");
  ASSERT_EQ(world.job(trial.task.job).tasks[0].placement.node, NodeId(1));
  world.Report("n1", Running(trial));
  const Time began = world.now();
  const Effects effects = pass(80);
  const auto cleared =
      std::find_if(effects.records.begin(), effects.records.end(),
                   [](const Record& r) { return std::holds_alternative<DeviceCleared>(r); });
  ASSERT_NE(cleared, effects.records.end());
  EXPECT_EQ(std::get<DeviceCleared>(*cleared).node, NodeId(1));
  EXPECT_EQ(std::get<DeviceCleared>(*cleared).at,
            began + policy.quarantine.within + QuarantineMachine::kToldWithin);
}

// A sweep: one program with one word that differs. That it fails on one device explains what it
// does on another.
TEST(Quarantine, TheRunsOfASweepAreOfOneKind) {
  World world;
  world.Register({.name = "n1", .devices = {{2, "h200"}}});
  for (int i = 0; i < 9; ++i) {
    JobSpec spec;
    spec.command = {"python", "train.py", fmt::format("corpus-{}", i)};
    DeviceRequest request;
    request.kind = DeviceKind::kGpu;
    request.count = 1;
    spec.devices.push_back(request);
    world.Submit(std::move(spec));
    ASSERT_EQ(world.job(world.last_job()).phase, JobPhase::kRunning) << i;
    world.Report("n1", Exited(KeyOf(world.state(), world.last_job(), 0), 1));
  }
  EXPECT_TRUE(world.state().FindNode("n1")->quarantines.empty());
}

}  // namespace
}  // namespace allot::scheduler
