// Power caps: what is counted, what is refused, who is woken, and that a gang is placed wherever
// the caps leave room for it.
#include <rapidcheck.h>

#include <functional>

#include "common/base/rng.h"
#include "gtest/gtest.h"
#include "scheduler/core/power.h"
#include "tests/unit/scheduler_core/world.h"

namespace allot::scheduler {
namespace {

// ---- the book ---------------------------------------------------------------------------------

PowerBook ThreeNodes(const PowerCaps& caps) {
  PowerBook book;
  book.SetCaps(caps);
  book.Describe(0, "n1", "r1");
  book.Describe(1, "n2", "r1");
  book.Describe(2, "n3", "");
  return book;
}

TEST(PowerBook, AddsUpNodesRacksAndTheCluster) {
  PowerBook book = ThreeNodes({});
  book.SetLeased(0, 100, 0);
  book.SetLeased(1, 20, 20);
  book.SetLeased(2, 3, 0);
  EXPECT_EQ(book.rack(book.rack_of(0)).leased, 120);
  EXPECT_EQ(book.rack(book.rack_of(0)).lasting, 20);
  EXPECT_EQ(book.cluster().leased, 123);
  book.SetLeased(0, 50, 0);
  EXPECT_EQ(book.rack(book.rack_of(1)).leased, 70);
  EXPECT_EQ(book.cluster().leased, 73);
  EXPECT_EQ(book.rack_of(2), PowerBook::kNoRack);
}

TEST(PowerBook, ANodeThatMovesTakesItsPowerAlong) {
  PowerBook book = ThreeNodes({});
  book.SetLeased(0, 100, 0);
  book.Describe(0, "n1", "r2");
  EXPECT_EQ(book.rack(book.rack_of(1)).leased, 0);
  EXPECT_EQ(book.rack(book.rack_of(0)).leased, 100);
  book.Describe(0, "n1", "");
  EXPECT_EQ(book.rack(book.racks().at("r2")).leased, 0);
  EXPECT_EQ(book.cluster().leased, 100);
}

TEST(PowerTrial, TheNarrowestScopeRefuses) {
  PowerCaps caps;
  caps.cluster = 1'000;
  caps.rack = 500;
  caps.node = 300;
  caps.nodes = {{"n2", 450}};
  caps.racks = {{"r9", 1}};
  PowerBook book = ThreeNodes(caps);
  PowerTrial trial(book);
  EXPECT_EQ(trial.Refusal(0, 301), PowerScope::kNode);
  EXPECT_EQ(trial.Refusal(0, 300), std::nullopt);
  EXPECT_EQ(trial.Refusal(1, 450), std::nullopt);
  trial.Take(0, 300);
  EXPECT_EQ(trial.Refusal(1, 201), PowerScope::kRack);
  EXPECT_EQ(trial.Refusal(1, 200), std::nullopt);
  book.SetLeased(1, 200, 0);
  book.SetLeased(2, 290, 0);
  EXPECT_EQ(trial.Refusal(2, 10), std::nullopt);
  trial.Take(2, 10);
  book.SetLeased(2, 0, 0);
  EXPECT_EQ(trial.Refusal(2, 290), std::nullopt);
  trial.Forget();
  EXPECT_EQ(trial.Refusal(0, 300), std::nullopt);
}

// Below what is leased nothing goes in, not even what is known to draw nothing.
TEST(PowerTrial, ACapBelowWhatIsLeasedLetsNothingIn) {
  PowerCaps caps;
  caps.cluster = 100;
  PowerBook book = ThreeNodes(caps);
  book.SetLeased(0, 101, 0);
  EXPECT_EQ(PowerTrial(book).Refusal(2, 0), PowerScope::kCluster);
}

TEST(PowerBook, TellsOfFreedPowerOnlyWhoWaited) {
  PowerCaps caps;
  caps.rack = 100;
  caps.cluster = 150;
  PowerBook book = ThreeNodes(caps);
  book.SetLeased(0, 100, 0);
  book.SetLeased(2, 50, 0);
  EXPECT_FALSE(book.SetLeased(0, 90, 0));
  PowerTrial trial(book);
  EXPECT_FALSE(trial.Allows(1, 20));
  EXPECT_TRUE(trial.refused());
  EXPECT_FALSE(book.SetLeased(2, 40, 0)) << "another rack";
  EXPECT_TRUE(book.SetLeased(0, 70, 0));
  EXPECT_EQ(book.TakeFreedRacks(), std::vector<PowerBook::RackId>{book.rack_of(0)});
  EXPECT_FALSE(book.SetLeased(0, 60, 0));
}

// ---- leases -----------------------------------------------------------------------------------

class Power : public testing::Test {
 protected:
  void Apply(const PowerCaps& caps, std::function<void(Policy&)> change = nullptr) {
    Policy policy = TestPolicy();
    policy.power = caps;
    if (change) change(policy);
    world_.Step(PolicyApplied{0, std::make_shared<const Policy>(std::move(policy))});
  }
  // An h200, which draws the most, costs the least.
  void ApplyWhereTheHungryAreCheap(const PowerCaps& caps) {
    Apply(caps, [](Policy& policy) {
      policy.prices.rows[0].rate = {100'000};
      policy.prices.rows[1].rate = {9'000'000};
    });
  }
  void Register(const std::string& name, std::vector<std::pair<uint32_t, std::string>> devices,
                const std::string& rack = "") {
    NodeShape shape;
    shape.name = name;
    shape.devices = std::move(devices);
    shape.rack = rack;
    shape.powered = true;
    world_.Register(shape);
  }
  JobId Submit(const std::string& model, uint32_t count, uint32_t tasks = 1, MilliCpu cpus = 0) {
    JobSpec spec;
    spec.command = {"train"};
    spec.tasks = tasks;
    spec.resources = {cpus, kGiB};
    if (count > 0) {
      DeviceRequest request;
      request.model = model;
      if (model.empty()) request.kind = DeviceKind::kGpu;
      request.count = count;
      spec.devices = {request};
    }
    world_.Submit(std::move(spec));
    return world_.last_job();
  }
  void End(JobId id) {
    const JobState job = world_.job(id);
    for (uint32_t rank = 0; rank < job.tasks.size(); ++rank)
      world_.Report(world_.state().FindNode(job.tasks[rank].placement.node)->info->name,
                    Exited(KeyOf(world_.state(), id, rank)));
  }
  bool Runs(JobId id) const { return world_.job(id).phase == JobPhase::kRunning; }
  MilliWatt Leased() { return world_.core().power().cluster().leased; }

  World world_;
};

TEST_F(Power, OfALeaseIsThatOfItsDevicesAndItsShareOfTheProcessors) {
  Register("n1", {{4, "h200"}});
  Submit("*h200*", 2, 1, 16'000);
  // 2 × 700 W, and 16 of 64 cores that draw 320 W together.
  EXPECT_EQ(Leased(), 1'480'000);
  Submit("", 0, 1, 3'000);
  EXPECT_EQ(Leased(), 1'495'000);
}

// More than 2 MW times a share is past 64 bits' comfort; it is rounded as the usual case is.
TEST_F(Power, OfAShareOfAVeryHungryProcessorIsRoundedToTheNearest) {
  NodeInfo info = MakeInfo({.name = "n1", .devices = {}});
  info.devices[0].power_max = 3'000'000'035;
  world_.Step(AgentSaid{"n1", RegisterNode{1, info, {}, {}}});
  Submit("", 0, 1, 1'000);
  EXPECT_EQ(Leased(), 46'875'001) << "one core of 64";
}

// A node may name no processor and offer no share of one, for devices alone.
TEST_F(Power, OfNoProcessorIsNothing) {
  NodeInfo info = MakeInfo({.name = "n1", .devices = {{1, "h200"}}});
  info.devices.erase(info.devices.begin());
  info.devices[0].power_max = 500'000;
  info.cpus = 0;
  world_.Step(AgentSaid{"n1", RegisterNode{1, info, {}, {}}});
  EXPECT_TRUE(Runs(Submit("*h200*", 1)));
  EXPECT_EQ(Leased(), 500'000);
}

TEST_F(Power, OfARowOfThePriceBookWins) {
  Register("n1", {{4, "h200"}});
  Apply({}, [](Policy& policy) { policy.prices.rows[0].watts = 1'000; });
  Submit("*h200*", 2);
  EXPECT_EQ(Leased(), 2'000'000);
}

// A row says what one processor draws; a node may have several, of which a job gets a share.
TEST_F(Power, OfARowOfThePriceBookIsThatOfEachProcessor) {
  NodeInfo info = MakeInfo({.name = "n1", .devices = {}});
  info.devices.push_back(info.devices[0]);
  info.devices.back().id += "-second";
  info.cpus = 128'000;
  world_.Step(AgentSaid{"n1", RegisterNode{1, info, {}, {}}});
  Apply({}, [](Policy& policy) {
    for (PriceRow& row : policy.prices.rows) row.watts = 1'000;
  });
  Submit("", 0, 1, 64'000);
  EXPECT_EQ(Leased(), 1'000'000);
}

// What runs keeps what it was written down with, also over a restart.
TEST_F(Power, OfWhatRunsDoesNotChangeWithThePolicy) {
  Register("n1", {{4, "h200"}});
  const JobId job = Submit("*h200*", 2);
  Apply({}, [](Policy& policy) { policy.prices.rows[0].watts = 1'000; });
  EXPECT_EQ(Leased(), 1'400'000);
  world_.Crash();
  world_.Step(Restarted{});
  EXPECT_EQ(Leased(), 1'400'000);
  EXPECT_EQ(world_.core().power().node(0).leased, 1'400'000);
  Register("n1", {{4, "h200"}});
  End(job);
  EXPECT_EQ(Leased(), 0);
  Submit("*h200*", 2);
  EXPECT_EQ(Leased(), 2'000'000);
}

// Which of a node's devices of one model a task gets is decided later, so they count alike.
TEST_F(Power, DevicesOfOneModelOnANodeCountAsTheHungriest) {
  NodeInfo info = MakeInfo({.name = "n1", .devices = {{3, "h200"}}});
  info.devices[2].power_max = 500'000;
  info.devices[3].power_max = 700'000;
  world_.Step(AgentSaid{"n1", RegisterNode{1, info, {}, {}}});
  Submit("*h200*", 1);
  EXPECT_EQ(Leased(), 700'000);
}

// A node may be set to draw less or more, and is no other machine for that.
TEST_F(Power, OfWhatIsPlacedIsAsTheNodeSaidLast) {
  NodeInfo info = MakeInfo({.name = "n1", .devices = {{2, "h200"}}});
  const auto says = [&](MilliWatt processor, MilliWatt device) {
    info.devices[0].power_max = processor;
    info.devices[1].power_max = info.devices[2].power_max = device;
    static uint64_t registration = 0;
    world_.Step(AgentSaid{"n1", RegisterNode{++registration, info, {}, {}}});
    const JobId job = Submit("*h200*", 1, 1, 16'000);
    const MilliWatt leased = Leased();
    End(job);
    return leased;
  };
  EXPECT_EQ(says(320'000, 500'000), 580'000);
  EXPECT_EQ(says(320'000, 700'000), 780'000);
  EXPECT_EQ(says(640'000, 700'000), 860'000);
}

TEST_F(Power, UnknownCountsNothingAndIsSaid) {
  PowerCaps caps;
  caps.cluster = 1'000'000;
  Apply(caps);
  world_.Register({.name = "n1", .devices = {{1, "a100"}}});
  Register("n2", {{1, "h200"}});
  EXPECT_TRUE(Runs(Submit("*a100*", 1)));
  EXPECT_EQ(Leased(), 0);
  const JobId second = Submit("*a100*", 1);
  const auto why = world_.core().ExplainJob(world_.now(), second);
  ASSERT_TRUE(why.ok());
  EXPECT_FALSE(Runs(second));
}

TEST_F(Power, ARestartedSchedulerKeepsTheCap) {
  PowerCaps caps;
  caps.cluster = 1'400'000;
  Apply(caps);
  Register("n1", {{4, "h200"}});
  EXPECT_TRUE(Runs(Submit("*h200*", 2)));
  world_.Crash();
  world_.Step(Restarted{});
  Register("n1", {{4, "h200"}});
  EXPECT_FALSE(Runs(Submit("*h200*", 1)));
}

// A job waits for power that is freed on a node that takes nothing, of another rack, or both.
TEST_F(Power, FreedOnADrainingNodeWakesOthers) {
  PowerCaps caps;
  caps.cluster = 1'400'000;
  Apply(caps);
  Register("n1", {{2, "h200"}}, "r1");
  Register("n2", {{2, "h200"}}, "r2");
  const JobId first = Submit("*h200*", 2);
  const JobId second = Submit("*h200*", 2);
  EXPECT_FALSE(Runs(second));
  const std::string node =
      world_.state().FindNode(world_.job(first).tasks[0].placement.node)->info->name;
  world_.Step(NodeDrainRequested{0, node, true});
  End(first);
  EXPECT_TRUE(Runs(second));
}

TEST_F(Power, FreedInTheRackWakesReplicasOnAnotherNode) {
  PowerCaps caps;
  caps.rack = 1'400'000;
  Apply(caps);
  Register("n1", {{2, "h200"}}, "r1");
  Register("n2", {{2, "a100"}}, "r1");
  const JobId job = Submit("*h200*", 2);
  DeploymentSpec spec;
  spec.name = "chat";
  spec.command = {"serve"};
  spec.resources = {0, kGiB};
  ReplicaGroup group;
  group.device.model = "*a100*";
  group.count = 1;
  spec.groups = {group};
  world_.Step(DeploymentApplied{0, std::make_shared<const DeploymentSpec>(std::move(spec))});
  EXPECT_EQ(world_.state().replicas().size(), 0U);
  End(job);
  EXPECT_EQ(world_.state().replicas().size(), 1U);
}

TEST_F(Power, RaisingACapWakesWhatItHeldBack) {
  PowerCaps caps;
  caps.node = 699'999;
  Apply(caps);
  Register("n1", {{2, "h200"}});
  const JobId job = Submit("*h200*", 1);
  EXPECT_FALSE(Runs(job));
  caps.node = 700'000;
  Apply(caps);
  EXPECT_TRUE(Runs(job));
}

// The cheapest nodes first, an h200 each, would be over the cap with the second task.
TEST_F(Power, AGangThatFitsOnlyOnTheThriftyNodesIsPlacedThere) {
  PowerCaps caps;
  caps.cluster = 1'300'000;
  ApplyWhereTheHungryAreCheap(caps);
  Register("n1", {{4, "h200"}});
  Register("n2", {{4, "a100"}});
  const JobId job = Submit("", 1, 3);
  EXPECT_TRUE(Runs(job));
  EXPECT_EQ(Leased(), 1'200'000);
}

// There is power for a100s, and for no h200. The one that a failed job accuses draws the least, and
// waits for all others all the same; where it takes it too, it is taken.
TEST_F(Power, WhereItIsShortSuspectsAreTheLastChoice) {
  PowerCaps caps;
  caps.cluster = 800'000;
  ApplyWhereTheHungryAreCheap(caps);
  Register("n1", {{1, "h200"}});
  NodeInfo thrifty = MakeInfo({.name = "n2", .devices = {{1, "a100"}}, .powered = true});
  for (Device& device : thrifty.devices)
    if (device.kind == DeviceKind::kGpu) device.power_max = 390'000;
  world_.Step(AgentSaid{"n2", RegisterNode{1, thrifty, {}, {}}});
  const JobId failed = Submit("*a100*", 1);
  world_.Report("n2", Exited(KeyOf(world_.state(), failed, 0), 1));
  const auto places = [&](JobId gang) {
    std::string names;
    for (const TaskState& task : world_.job(gang).tasks)
      names += " " + world_.state().FindNode(task.placement.node)->info->name;
    return names;
  };
  Register("n3", {{1, "a100"}});
  const JobId with_it = Submit("", 1, 2);
  ASSERT_TRUE(Runs(with_it));
  EXPECT_EQ(places(with_it), " n2 n3");
  world_.Step(JobCancelRequested{0, with_it, "ann"});
  for (const uint32_t rank : {0, 1})
    world_.Report(rank == 0 ? "n2" : "n3", Exited(KeyOf(world_.state(), with_it, rank), 0, 15));
  Register("n4", {{1, "a100"}});
  const JobId without = Submit("", 1, 2);
  ASSERT_TRUE(Runs(without));
  EXPECT_EQ(places(without), " n3 n4");
}

// So it is by either of two ways that it may go; the one it names first is taken.
TEST_F(Power, OfTwoWaysOnThriftyNodesTheFirstIsTaken) {
  PowerCaps caps;
  caps.rack = 1'300'000;
  ApplyWhereTheHungryAreCheap(caps);
  Register("n1", {{4, "h200"}}, "r1");
  Register("n2", {{4, "a100"}}, "r1");
  JobSpec spec;
  spec.command = {"train"};
  spec.tasks = 3;
  spec.resources = {0, kGiB};
  DeviceRequest first, second;
  first.kind = DeviceKind::kGpu;
  second.model = "*00*";
  spec.devices = {first, second};
  world_.Submit(std::move(spec));
  const JobState& job = world_.job(world_.last_job());
  EXPECT_EQ(job.phase, JobPhase::kRunning);
  EXPECT_EQ(job.alternative, 0U);
}

// ---- completeness -----------------------------------------------------------------------------

// A small cluster, a gang, and caps: the core places the gang exactly if some choice of nodes does.
TEST(PowerProperty, AGangIsPlacedIffSomeChoiceOfNodesIsWithinTheCaps) {
  EXPECT_TRUE(rc::check("complete", [](uint64_t seed) {
    Rng rng(seed);
    World world;
    Policy policy = TestPolicy();
    policy.placement.algorithm = rng.OneIn(2) ? "spread" : "best_fit";
    const auto watts = [&] { return static_cast<MilliWatt>(rng.Below(36)) * 100'000; };
    if (rng.OneIn(2)) policy.power.cluster = watts();
    if (rng.OneIn(2)) policy.power.rack = watts();
    if (rng.OneIn(2)) policy.power.node = watts();
    world.Step(PolicyApplied{0, std::make_shared<const Policy>(policy)});
    struct Place {
      MilliWatt power;
      size_t node, rack;
      uint32_t tasks;
    };
    std::vector<Place> places;
    const size_t nodes = 1 + rng.Below(4);
    for (size_t n = 0; n < nodes; ++n) {
      NodeShape shape;
      shape.name = fmt::format("n{}", n + 1);
      const size_t rack = 1 + rng.Below(2);
      shape.rack = fmt::format("r{}", rack);
      shape.powered = true;
      const auto h200 = static_cast<uint32_t>(rng.Below(3)),
                 a100 = static_cast<uint32_t>(rng.Below(3));
      shape.devices = {{h200, "h200"}, {a100, "a100"}};
      world.Register(shape);
      places.push_back({700'000, n, rack, h200});
      places.push_back({400'000, n, rack, a100});
    }
    JobSpec spec;
    spec.command = {"train"};
    spec.tasks = static_cast<uint32_t>(1 + rng.Below(5));
    spec.resources = {0, kGiB};
    DeviceRequest request;
    request.kind = DeviceKind::kGpu;
    spec.devices = {request};
    const uint32_t tasks = spec.tasks;

    std::vector<MilliWatt> of_node(nodes), of_rack(3);
    MilliWatt of_cluster = 0;
    const std::function<bool(size_t, uint32_t)> fits = [&](size_t at, uint32_t left) {
      if (left == 0) return true;
      if (at == places.size()) return false;
      const Place& place = places[at];
      for (uint32_t n = 0; n <= std::min(place.tasks, left); ++n) {
        const MilliWatt power = place.power * n;
        of_node[place.node] += power;
        of_rack[place.rack] += power;
        of_cluster += power;
        const bool within =
            n == 0 || ((!policy.power.node || of_node[place.node] <= *policy.power.node) &&
                       (!policy.power.rack || of_rack[place.rack] <= *policy.power.rack) &&
                       (!policy.power.cluster || of_cluster <= *policy.power.cluster));
        const bool found = within && fits(at + 1, left - n);
        of_node[place.node] -= power;
        of_rack[place.rack] -= power;
        of_cluster -= power;
        if (found) return true;
      }
      return false;
    };
    const bool possible = fits(0, tasks);
    world.Submit(std::move(spec));
    const JobState* job = world.state().FindJob(world.last_job());
    // Refused at once: no node has a GPU.
    const bool placed = job != nullptr && job->phase == JobPhase::kRunning;
    RC_ASSERT(placed == possible);
  }));
}

// Jobs come and go under caps that change: books and caps agree with the leases after every step,
// and nothing waits that would fit by itself. World checks the fold and the invariants.
TEST(PowerProperty, NoJobWaitsForPowerThatIsThere) {
  EXPECT_TRUE(rc::check("woken", [](uint64_t seed) {
    Rng rng(seed);
    World world;
    for (int n = 1; n <= 3; ++n) {
      NodeShape shape;
      shape.name = fmt::format("n{}", n);
      shape.powered = n != 3 || rng.OneIn(2);
      shape.rack = rng.OneIn(3) ? "" : fmt::format("r{}", rng.Below(2));
      shape.devices = {{4, n == 1 ? "h200" : n == 2 ? "a100" : "groq"}};
      world.Register(shape);
    }
    std::vector<JobId> running;
    for (int step = 0; step < 60; ++step) {
      const uint64_t dice = rng.Below(10);
      if (dice < 5) {
        JobSpec spec;
        spec.command = {"train"};
        spec.tasks = rng.OneIn(3) ? 2 : 1;
        spec.resources = {static_cast<MilliCpu>(1'000 * rng.Below(9)), kGiB};
        if (!rng.OneIn(4)) {
          DeviceRequest request;
          if (rng.OneIn(2)) request.kind = DeviceKind::kGpu;
          request.count = static_cast<uint32_t>(1 + rng.Below(3));
          spec.devices = {request};
        }
        world.Submit(std::move(spec));
      } else if (dice < 9) {
        std::vector<std::pair<std::string, TaskKey>> tasks;
        for (const NodeState& node : world.state().nodes())
          for (const TaskKey& key : node.tasks) tasks.emplace_back(node.info->name, key);
        if (!tasks.empty()) {
          const auto& [node, key] = tasks[rng.Below(tasks.size())];
          world.Report(node, Exited(key));
        }
      } else {
        Policy policy = TestPolicy();
        const auto watts = [&] { return static_cast<MilliWatt>(rng.Below(36)) * 100'000; };
        if (rng.OneIn(2)) policy.power.cluster = watts();
        if (rng.OneIn(2)) policy.power.rack = watts();
        if (rng.OneIn(3)) policy.power.node = watts();
        world.Step(PolicyApplied{0, std::make_shared<const Policy>(std::move(policy))});
      }
      for (const auto& [id, job] : world.state().jobs()) {
        if (job.phase != JobPhase::kPending) continue;
        const auto why = world.core().ExplainJob(world.now(), id);
        uint64_t fit = 0;
        for (const auto& candidate : why->candidates) fit += candidate.verdict.starts_with("fits");
        if (job.spec->tasks == 1 && fit > 0) {
          RC_LOG() << ToString(id) << " waits, though it fits\n";
          RC_FAIL("a job waits for power that is there");
        }
      }
      MilliWatt leased = 0;
      for (const NodeState& node : world.state().nodes()) {
        leased += node.power;
        RC_ASSERT(world.core().power().node(node.id.value() - 1).leased == node.power);
      }
      RC_ASSERT(world.core().power().cluster().leased == leased);
      RC_ASSERT(!testing::Test::HasFailure());
    }
  }));
}

}  // namespace
}  // namespace allot::scheduler
