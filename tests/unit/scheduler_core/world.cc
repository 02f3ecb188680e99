#include "tests/unit/scheduler_core/world.h"

#include <algorithm>

#include "gtest/gtest.h"
#include "scheduler/core/invariants.h"

namespace allot::scheduler {

Device MakeDevice(const std::string& word, uint32_t number) {
  Device device;
  device.id = fmt::format("{}-{}", word, number);
  if (word == "xeon") {
    device.kind = DeviceKind::kCpu;
    device.vendor = "intel";
    device.model = "intel/xeon-8480+";
    device.cores = 64;
  } else if (word == "groq") {
    device.kind = DeviceKind::kAsic;
    device.vendor = "groq";
    device.model = "groq/lpu-v1";
    device.emulated = true;
  } else if (word == "tpu") {
    device.kind = DeviceKind::kAsic;
    device.vendor = "google";
    device.model = "google/tpu-v5e";
  } else if (word == "inf2" || word == "trn1") {
    device.kind = DeviceKind::kAsic;
    device.vendor = "aws";
    device.model = word == "inf2" ? "aws/inferentia2" : "aws/trainium1";
  } else {
    device.vendor = "nvidia";
    device.model = word == "h200" ? "nvidia/h200-sxm-141g" : "nvidia/a100-sxm-80g";
    device.memory = word == "h200" ? 141 * kGiB : 80 * kGiB;
  }
  return device;
}

NodeInfo MakeInfo(const NodeShape& shape) {
  NodeInfo info;
  info.name = shape.name;
  info.instance = shape.instance;
  info.boot_id = shape.boot_id;
  info.address = shape.name + ".cluster";
  info.cpus = shape.cpus;
  info.memory = shape.memory;
  info.unfit = shape.unfit;
  info.seen_address = shape.seen;
  info.address_derived = !shape.seen.empty();
  info.task_leases = shape.leases;
  info.devices.push_back(MakeDevice("xeon", 0));
  for (const auto& [count, word] : shape.devices) {
    for (uint32_t i = 0; i < count; ++i) {
      Device& device = info.devices.emplace_back(MakeDevice(word, i));
      if (shape.numa_nodes > 0)
        device.numa_node = static_cast<int32_t>(i * shape.numa_nodes / count);
      if (shape.isolation) device.isolation = *shape.isolation;
      device.price = shape.price;
    }
  }
  for (Device& device : info.devices) {
    if (std::count(shape.unhealthy.begin(), shape.unhealthy.end(), device.id) == 0) continue;
    device.state = DeviceState::kUnhealthy;
    device.health = {"xid_79"};
  }
  for (const FabricShape& fabric : shape.fabrics) {
    uint32_t number = 0;
    for (const Device& device : info.devices) {
      if (!device.id.starts_with(fabric.word + "-")) continue;
      const bool fresh = number == 0 || (fabric.size > 0 && number % fabric.size == 0);
      if (fresh) info.groups.push_back({fabric.kind, {}, fabric.shape});
      info.groups.back().members.push_back(device.id);
      ++number;
    }
  }
  if (!shape.rack.empty()) info.labels["rack"] = shape.rack;
  for (Device& device : info.devices) {
    if (!shape.powered) break;
    if (device.kind == DeviceKind::kCpu) device.power_max = 320'000;
    if (device.kind == DeviceKind::kAsic) device.power_max = 300'000;
    if (device.kind == DeviceKind::kGpu)
      device.power_max = device.model.starts_with("nvidia/h200") ? 700'000 : 400'000;
  }
  return info;
}

Policy TestPolicy() {
  Policy policy;
  policy.name = "test";
  policy.prices.rows = {{"nvidia/h200*", {4'000'000}, {}},
                        {"nvidia/a100*", {2'000'000}, {}},
                        {"groq/*", {1'000'000}, {}},
                        {"intel/xeon*", {64 * 50'000}, {}}};
  policy.prices.other_cpu_core = {50'000};
  return policy;
}

World::World(CoreOptions options, Policy policy) : options_(std::move(options)) {
  core_ = std::make_unique<Core>(options_);
  Step(Restarted{});
  Step(PolicyApplied{0, std::make_shared<const Policy>(std::move(policy))});
}

Effects World::Step(const Event& event) {
  Effects all;
  Effects out;
  core_->Step(now_, event, out);
  for (int rounds = 0;; ++rounds) {
    for (const Record& record : out.records) {
      fold_.Apply(record);
      journal_.push_back(record);
    }
    const Status invariants = CheckInvariants(core_->state());
    EXPECT_TRUE(invariants.ok()) << MessageOf(invariants) << " after " << Describe(event);
    EXPECT_EQ(fold_.Fingerprint(), core_->state().Fingerprint()) << "after " << Describe(event);
    std::move(out.records.begin(), out.records.end(), std::back_inserter(all.records));
    std::move(out.commands.begin(), out.commands.end(), std::back_inserter(all.commands));
    std::move(out.notes.begin(), out.notes.end(), std::back_inserter(all.notes));
    if (!out.more) break;
    if (rounds > 10'000) {
      ADD_FAILURE() << "the core never comes to rest after " << Describe(event);
      break;
    }
    out.Clear();
    core_->Step(now_, ClockTicked{}, out);
  }
  return all;
}

Effects World::Advance(Duration time) {
  const Time end = now_ + time;
  Effects all;
  const auto step = [&] {
    Effects out = Step(ClockTicked{});
    std::move(out.records.begin(), out.records.end(), std::back_inserter(all.records));
    std::move(out.commands.begin(), out.commands.end(), std::back_inserter(all.commands));
    std::move(out.notes.begin(), out.notes.end(), std::back_inserter(all.notes));
  };
  for (auto next = core_->NextWakeup(); next && *next < end; next = core_->NextWakeup()) {
    now_ = std::max(*next, now_ + Duration(1));
    step();
  }
  now_ = std::max(now_, end);
  step();
  return all;
}

void World::Crash() {
  core_ = std::make_unique<Core>(options_);
  for (const Record& record : journal_) core_->Replay(record);
  EXPECT_EQ(fold_.Fingerprint(), core_->state().Fingerprint()) << "after replay";
}

void World::Restore(size_t records) {
  journal_.resize(records, Record(TermBegun{}));
  fold_ = ClusterState();
  for (const Record& record : journal_) fold_.Apply(record);
  Crash();
}

Effects World::Register(const NodeShape& shape, std::vector<TaskStatus> tasks,
                        std::vector<ReplicaStatus> replicas) {
  shapes_[shape.name] = shape;
  return Step(AgentSaid{shape.name, RegisterNode{++registrations_[shape.name], MakeInfo(shape),
                                                 std::move(tasks), std::move(replicas)}});
}

Effects World::Submit(JobSpec spec, std::string key, std::string user) {
  return Step(JobSubmitted{1, std::make_shared<const JobSpec>(std::move(spec)), std::move(user),
                           std::move(key)});
}

Effects World::Report(const std::string& node, TaskStatus status, std::optional<Epoch> epoch) {
  return Step(AgentSaid{node, TaskReport{epoch.value_or(EpochOf(node)), {std::move(status)}}});
}

Effects World::Report(const std::string& node, ReplicaStatus status) {
  return Step(AgentSaid{node, ReplicaReport{EpochOf(node), {std::move(status)}}});
}

Effects World::Beat(const std::string& node) {
  return Step(AgentSaid{node, Heartbeat{EpochOf(node), {}, {}}});
}

TaskKey KeyOf(const ClusterState& state, JobId job, uint32_t rank) {
  return TaskKey{TaskId{job, rank}, state.FindJob(job)->attempt};
}

TaskStatus Running(TaskKey key, int64_t pid) {
  TaskStatus status;
  status.key = key;
  status.phase = TaskPhase::kRunning;
  status.pid = pid;
  return status;
}

TaskStatus Exited(TaskKey key, int32_t code, int32_t signal, std::string message) {
  TaskStatus status;
  status.key = key;
  status.phase = TaskPhase::kExited;
  status.exit = TaskExit{code, signal, std::move(message), Time(), Time()};
  return status;
}

}  // namespace allot::scheduler
