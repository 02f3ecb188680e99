#include "scheduler/core/delivery.h"

#include "scheduler/core/checkpoints.h"

namespace allot::scheduler {
namespace {

// Keeps a step within a few milliseconds: starting a task of a wide gang copies the addresses of
// all its peers, so it costs more than a small command.
constexpr uint32_t kBudget = 4'000;
constexpr uint32_t kPeersPerUnit = 32;

std::vector<std::string> DeviceIds(const NodeState& node, const DeviceSet& devices) {
  std::vector<std::string> ids;
  devices.ForEach([&](uint32_t i) { ids.push_back(node.info->devices[i].id); });
  return ids;
}

}  // namespace

void Delivery::Push(Kind kind, NodeId node, const TaskKey& task) {
  fresh_.push_back(Item{kind, node, ledger_.state().FindNode(node)->epoch, task, ReplicaId()});
}

void Delivery::Push(Kind kind, NodeId node, ReplicaId replica) {
  fresh_.push_back(Item{kind, node, ledger_.state().FindNode(node)->epoch, TaskKey(), replica});
}

TaskLaunch Delivery::LaunchOf(const JobState& job, uint32_t rank, const NodeState& node) const {
  const JobSpec& spec = *job.spec;
  TaskLaunch launch;
  launch.job_name = spec.name;
  launch.tenant = spec.tenant;
  launch.world_size = spec.tasks;
  launch.command = spec.command;
  launch.environment = spec.environment.Get();
  launch.work_dir = spec.work_dir;
  launch.checkpoint_dir = spec.checkpoint_dir.empty()
                              ? CheckpointsOf(ledger_.options().checkpoint_root, job)
                              : spec.checkpoint_dir;
  launch.resources = LeasedOf(spec.resources, job.tasks[rank].placement);
  launch.device_ids = DeviceIds(node, job.tasks[rank].placement.devices);
  launch.main_port = job.main_port;
  launch.peer_addresses.reserve(job.tasks.size());
  for (const TaskState& task : job.tasks) {
    launch.peer_addresses.push_back(ledger_.state().FindNode(task.placement.node)->info->address);
  }
  launch.main_address = launch.peer_addresses.front();
  launch.grace = spec.grace;
  launch.runtime = spec.runtime;
  launch.user = job.user;
  launch.checkpoint_dir_named = !spec.checkpoint_dir.empty();
  launch.terms = job.terms;
  launch.scratch_max = spec.scratch_max;
  return launch;
}

ReplicaLaunch Delivery::LaunchOf(const ReplicaState& replica, const NodeState& node) const {
  const DeploymentState& deployment = ledger_.state().deployments().at(replica.deployment);
  const DeploymentSpec& spec = *deployment.spec;
  ReplicaLaunch launch;
  launch.deployment = spec.name;
  launch.model = spec.model.empty() ? spec.name : spec.model;
  launch.command = spec.command;
  launch.environment = spec.environment;
  launch.work_dir = spec.work_dir;
  launch.resources = replica.resources;
  launch.device_ids = DeviceIds(node, replica.placement.devices);
  launch.health = spec.health;
  launch.grace = spec.grace;
  launch.concurrency = replica.concurrency;
  launch.tenant = spec.tenant;
  launch.user = deployment.user;
  return launch;
}

std::optional<SchedulerMessage> Delivery::MessageFor(const Item& item, const NodeState& node,
                                                     uint32_t& cost) const {
  const ClusterState& state = ledger_.state();
  switch (item.kind) {
    case Kind::kStartTask:
    case Kind::kStopTask: {
      const bool start = item.kind == Kind::kStartTask;
      const JobState* job = state.FindJob(item.task.task.job);
      if (job == nullptr || job->attempt != item.task.attempt) return std::nullopt;
      if (job->phase != (start ? JobPhase::kRunning : JobPhase::kStopping)) return std::nullopt;
      const TaskState& task = job->tasks[item.task.task.index];
      if (task.abandoned || task.phase == TaskPhase::kExited) return std::nullopt;
      if (!start) return StopTask{node.epoch, item.task, job->spec->grace};
      if (task.phase != TaskPhase::kAssigned) return std::nullopt;
      // The agent of a build before, since: it would start it without one.
      if (job->terms.needed() && !node.info->task_leases) return std::nullopt;
      cost += static_cast<uint32_t>(job->tasks.size()) / kPeersPerUnit;
      return StartTask{node.epoch, item.task, LaunchOf(*job, item.task.task.index, node)};
    }
    case Kind::kStopStrayTask:
      if (!ledger_.FindLink(item.node)->stray_tasks.contains(item.task)) return std::nullopt;
      return StopTask{node.epoch, item.task, Duration(0)};
    case Kind::kStartReplica:
    case Kind::kStopReplica: {
      const auto it = state.replicas().find(item.replica);
      if (it == state.replicas().end()) return std::nullopt;
      const ReplicaState& replica = it->second;
      const DeploymentState& deployment = state.deployments().at(replica.deployment);
      if (replica.stopping != (item.kind == Kind::kStopReplica)) return std::nullopt;
      if (replica.stopping) {
        return StopReplica{node.epoch, item.replica, deployment.spec->grace,
                           deployment.spec->drain};
      }
      // An older generation is started no more: what it would run is gone from the spec.
      if (replica.generation != deployment.generation) return std::nullopt;
      if (ledger_.replica_status.contains(item.replica)) return std::nullopt;
      return StartReplica{node.epoch, item.replica, LaunchOf(replica, node)};
    }
    case Kind::kStopStrayReplica: {
      if (!ledger_.FindLink(item.node)->stray_replicas.contains(item.replica)) return std::nullopt;
      // It may well serve: gateways that reach it keep their streams, whatever we know of it.
      static const DeploymentSpec kUsual;
      return StopReplica{node.epoch, item.replica, kUsual.grace, kUsual.drain};
    }
  }
  return std::nullopt;
}

uint32_t Delivery::Say(const Item& item, Effects& out) {
  const NodeState* node = ledger_.state().FindNode(item.node);
  if (!node->alive || node->epoch != item.epoch) return 0;
  uint32_t cost = 1;
  std::optional<SchedulerMessage> message = MessageFor(item, *node, cost);
  if (!message) return 0;
  out.commands.push_back(SendToAgent{node->info->name, *std::move(message)});
  later_.push_back(Later{ledger_.now + ledger_.options().resend_after, item});
  return cost;
}

bool Delivery::Run(Effects& out) {
  uint32_t spent = 0;
  while (!fresh_.empty()) {
    if (spent >= kBudget) return true;
    const Item item = fresh_.front();
    fresh_.pop_front();
    spent += Say(item, out);
  }
  while (!later_.empty() && later_.front().due <= ledger_.now) {
    if (spent >= kBudget) return true;
    const Item item = later_.front().item;
    later_.pop_front();
    spent += Say(item, out);
  }
  return false;
}

std::optional<Time> Delivery::NextDue() const {
  if (!fresh_.empty()) return ledger_.now;
  if (later_.empty()) return std::nullopt;
  return later_.front().due;
}

}  // namespace allot::scheduler
