#include "tests/unit/scheduler_shell/support.h"

#include <cstdlib>
#include <filesystem>

#include "common/base/check.h"

namespace allot::scheduler::testing {

TempFolder::TempFolder() {
  std::string name = std::filesystem::temp_directory_path() / "allot-test-XXXXXX";
  CHECK(mkdtemp(name.data()) != nullptr);
  path_ = name;
}

TempFolder::~TempFolder() { std::filesystem::remove_all(path_); }

NodeInfo MakeNode(const std::string& name, uint32_t gpus) {
  NodeInfo info;
  info.name = name;
  info.instance = "i-" + name;
  info.address = "127.0.0.1";
  info.version = "0.1.0";
  info.cpus = 8'000;
  info.memory = 16 * kGiB;
  info.devices.push_back(
      {.id = "cpu0", .kind = DeviceKind::kCpu, .vendor = "cpu", .model = "intel/xeon", .cores = 8});
  for (uint32_t i = 0; i < gpus; ++i) {
    info.devices.push_back({.id = "emu" + std::to_string(i),
                            .kind = DeviceKind::kGpu,
                            .vendor = "emulated",
                            .model = "nvidia/h100-sxm-80g",
                            .memory = 80 * kGiB,
                            .emulated = true,
                            .isolation = Isolation::kNone,
                            .configured = true,
                            .uuid = "GPU-" + std::to_string(i),
                            .power_max = 700'500,
                            .health = {"xid_63"}});
  }
  info.losses = {"device filters: not root"};
  info.labels["rack"] = "r1";
  return info;
}

JobSpec MakeJob(uint32_t tasks, uint32_t gpus) {
  JobSpec spec;
  spec.tasks = tasks;
  spec.command = {"/bin/true", "\"quoted\"", "π"};
  spec.environment = {{"KEY", "value"}};
  if (gpus > 0) spec.devices.push_back({.kind = DeviceKind::kGpu, .count = gpus});
  return spec;
}

std::vector<Record> OneOfEachKind() {
  Time at = FromMicros(1'700'000'000'000'000);
  const auto later = [&at] { return at += std::chrono::milliseconds(1'500); };
  const NodeId node(1);
  const JobId job(1);
  const auto on = [&](uint32_t device) {
    TaskPlacement placement{.node = node, .power = 700'500};
    placement.devices.Add(device);
    return placement;
  };
  const TaskKey first{TaskId{job, 0}, Attempt(1)}, second{TaskId{job, 1}, Attempt(1)};
  DeploymentSpec chat;
  chat.name = "chat";
  chat.tenant = "ann";
  chat.command = {"/bin/server"};
  chat.groups.push_back({.device = {.kind = DeviceKind::kGpu}, .count = 1, .concurrency = 7});
  Policy policy;
  policy.name = "p1";
  policy.prices.as_of = "2026-01-01";
  return {
      TermBegun{
          later(),
          Term(3),
          Incarnation(5),
          {FromMicros(1'699'000'000'000'000), FromMicros(1'699'500'000'000'000)}},
      PolicySet{later(), std::make_shared<const Policy>(policy)},
      NodeRegistered{later(), node, Epoch(4), 5,
                     std::make_shared<const NodeInfo>(MakeNode("n1", 4))},
      DeploymentSet{later(), std::make_shared<const DeploymentSpec>(chat), 2, "bob"},
      ReplicaPlaced{later(), ReplicaId(9), "chat", 2, 0, on(1), PriceRate{1'234},
                    Resources{500, kGiB}, 7},
      JobAccepted{later(), job, std::make_shared<const JobSpec>(MakeJob(2, 1)), "ann", "key-1"},
      JobPlaced{later(), job, Attempt(1), {on(2), on(3)}, 0, PriceRate{4'321}, 29'501},
      TaskStarted{later(), first, 4'242},
      TaskExited{later(), first,
                 TaskExit{.code = 7, .message = "it \"failed\"", .started = at, .finished = at}},
      JobStopping{later(), job, JobOutcome::kFailed, RequeueReason::kTaskFailed, 7, true},
      TaskAbandoned{later(), second},
      JobRequeued{later(), job, RequeueReason::kTaskFailed},
      JobFinished{later(), job, JobOutcome::kFailed, 7, Cost{99}},
      DeviceQuarantined{later(), node, "emu0", at + std::chrono::hours(1), 2,
                        "the last 3 jobs on it failed"},
      DeviceOnProbation{later(), node, "emu0"},
      DeviceCleared{later(), node, "emu0"},
      NodeDrainSet{later(), node, true},
      DeploymentStopping{later(), "chat"},
      ReplicaStopping{later(), ReplicaId(9)},
      ReplicaGone{later(), ReplicaId(9)},
      DeploymentRemoved{later(), "chat"},
      NodeLost{later(), node, Epoch(5)},
  };
}

RandomHistory::RandomHistory(uint64_t seed) : rng_(seed), core_(CoreOptions()) {
  Feed(Restarted{Incarnation(seed + 1)});
  for (const char* name : {"n1", "n2", "n3"}) Register(name);
}

void RandomHistory::Feed(const Event& event) {
  Effects effects;
  core_.Step(now_, event, effects);
  for (Record& record : effects.records) records_.push_back(std::move(record));
  for (const Command& command : effects.commands) {
    if (const auto* send = std::get_if<SendToAgent>(&command)) Hear(send->node, send->message);
  }
}

void RandomHistory::Hear(const std::string& node, const SchedulerMessage& message) {
  Agent& agent = agents_[node];
  if (const auto* welcome = std::get_if<Welcome>(&message)) {
    agent.epoch = welcome->epoch;
  } else if (std::holds_alternative<Refuse>(message)) {
    agent.epoch = Epoch();
  } else if (const auto* start = std::get_if<StartTask>(&message)) {
    agent.tasks.push_back(start->key);
  } else if (const auto* stop = std::get_if<StopTask>(&message)) {
    agent.tasks.push_back(stop->key);
  } else if (const auto* replica = std::get_if<StartReplica>(&message)) {
    agent.replicas.push_back(replica->id);
  }
}

void RandomHistory::Register(const std::string& node) {
  Agent& agent = agents_[node];
  RegisterNode message{.registration = ++agent.registration, .info = MakeNode(node, 4)};
  agent.tasks.clear();
  agent.replicas.clear();
  Feed(AgentSaid{node, std::move(message)});
}

void RandomHistory::Work(const std::string& node) {
  Agent& agent = agents_[node];
  if (!agent.epoch.valid()) return Register(node);
  if (rng_.OneIn(4)) Feed(AgentSaid{node, Heartbeat{.epoch = agent.epoch}});
  if (!agent.tasks.empty()) {
    const size_t i = rng_.Below(agent.tasks.size());
    TaskStatus status{.key = agent.tasks[i], .phase = TaskPhase::kRunning, .pid = 4242};
    if (!rng_.OneIn(3)) {
      status.phase = TaskPhase::kExited;
      status.exit = TaskExit{.code = rng_.OneIn(3) ? 7 : 0, .started = now_, .finished = now_};
      agent.tasks.erase(agent.tasks.begin() + static_cast<ptrdiff_t>(i));
    }
    Feed(AgentSaid{node, TaskReport{agent.epoch, {status}}});
  }
  if (!agent.replicas.empty() && rng_.OneIn(3)) {
    const size_t i = rng_.Below(agent.replicas.size());
    ReplicaStatus status{.id = agent.replicas[i], .phase = ReplicaPhase::kReady, .pid = 17};
    if (rng_.OneIn(3)) {
      status.phase = ReplicaPhase::kGone;
      agent.replicas.erase(agent.replicas.begin() + static_cast<ptrdiff_t>(i));
    }
    Feed(AgentSaid{node, ReplicaReport{agent.epoch, {status}}});
  }
}

void RandomHistory::Submit() {
  const auto gpus = static_cast<uint32_t>(rng_.Below(3));
  JobSpec spec = MakeJob(static_cast<uint32_t>(1 + rng_.Below(3)), gpus);
  spec.restarts_max = static_cast<uint32_t>(rng_.Below(2));
  if (rng_.OneIn(3)) spec.time_limit = std::chrono::seconds(20);
  const std::string key = rng_.OneIn(2) ? "key-" + std::to_string(rng_.Below(50)) : "";
  Feed(JobSubmitted{.spec = std::make_shared<const JobSpec>(std::move(spec)),
                    .user = "ann",
                    .idempotency_key = key});
}

void RandomHistory::Turn() {
  now_ += std::chrono::milliseconds(1 + rng_.Below(2'000));
  const std::string node = "n" + std::to_string(1 + rng_.Below(3));
  switch (rng_.Below(12)) {
    case 0:
    case 1:
      return Submit();
    case 2:
      return Feed(JobCancelRequested{
          .job = JobId(1 + rng_.Below(core_.state().last_job().value() + 1)), .user = "ann"});
    case 3: {
      DeploymentSpec spec;
      spec.name = rng_.OneIn(2) ? "chat" : "embed";
      spec.model = "charlm";
      spec.command = {"/bin/server"};
      spec.resources.cpus = static_cast<MilliCpu>(500 * (1 + rng_.Below(2)));
      spec.groups.push_back({.device = {.kind = DeviceKind::kGpu},
                             .count = 1,
                             .concurrency = static_cast<uint32_t>(1 + rng_.Below(8))});
      return Feed(
          DeploymentApplied{.spec = std::make_shared<const DeploymentSpec>(std::move(spec))});
    }
    case 4:
      if (rng_.OneIn(3)) return Feed(DeploymentDeleteRequested{.name = "chat"});
      return Feed(NodeDrainRequested{.node = node, .drain = rng_.OneIn(3)});
    case 5:
      if (!rng_.OneIn(4)) return Feed(ClockTicked{});
      now_ += std::chrono::seconds(20);  // every lease runs out
      return Feed(ClockTicked{});
    case 6: {
      Policy policy;
      policy.name = "p" + std::to_string(rng_.Below(10));
      policy.prices.as_of = "2026-01-01";
      policy.prices.rows.push_back({.model = "nvidia/*", .rate = {2'000'000}, .watts = 700});
      return Feed(PolicyApplied{.policy = std::make_shared<const Policy>(std::move(policy))});
    }
    case 7:
      return Register(node);
    default:
      return Work(node);
  }
}

void RandomHistory::Turns(int count) {
  for (int i = 0; i < count; ++i) Turn();
}

}  // namespace allot::scheduler::testing
