#include "scheduler/core/invariants.h"

#include <algorithm>

namespace allot::scheduler {
namespace {

// Sums the leases of one node from the jobs' and replicas' side and compares.
Status CheckNode(const ClusterState& state, const NodeState& node) {
  const std::string& name = node.info->name;
  DeviceSet leased;
  MilliCpu cpus = 0;
  Bytes memory = 0;
  MilliWatt power = 0;
  const auto add = [&](const std::string& who, const TaskPlacement& placement,
                       const Resources& resources) -> Status {
    const DeviceSet& devices = placement.devices;
    if (leased.Intersects(devices))
      return Internal("a device of {} is leased twice, the second time by {}", name, who);
    leased = leased | devices;
    cpus += resources.cpus;
    memory += resources.memory;
    power += placement.power;
    return absl::OkStatus();
  };
  for (const TaskKey& key : node.tasks) {
    const JobState* job = state.FindJob(key.task.job);
    if (job == nullptr || job->attempt != key.attempt || key.task.index >= job->tasks.size())
      return Internal("{} holds a lease of {}, which is no current task", name, ToString(key));
    const TaskState& task = job->tasks[key.task.index];
    if (task.placement.node != node.id || task.abandoned || task.phase == TaskPhase::kExited)
      return Internal("{} holds a lease of {}, which is not there any more", name, ToString(key));
    RETURN_IF_ERROR(
        add(ToString(key), task.placement, LeasedOf(job->spec->resources, task.placement)));
  }
  for (const ReplicaId id : node.replicas) {
    const auto it = state.replicas().find(id);
    if (it == state.replicas().end() || it->second.placement.node != node.id)
      return Internal("{} holds a lease of {}, which is not there", name, ToString(id));
    RETURN_IF_ERROR(add(ToString(id), it->second.placement, it->second.resources));
  }
  if (!node.alive && (!node.tasks.empty() || !node.replicas.empty()))
    return Internal("{} is lost but still holds leases", name);
  if (node.cpus_free != node.info->cpus - cpus)
    return Internal("{} has {} millicpus free; its leases say {}", name, node.cpus_free,
                    node.info->cpus - cpus);
  if (node.memory_free != node.info->memory - memory)
    return Internal("{} has {} bytes free; its leases say {}", name, node.memory_free,
                    node.info->memory - memory);
  if (node.power != power)
    return Internal("{} has {} mW leased; its leases say {}", name, node.power, power);
  if (node.devices_free != node.accelerators.Minus(leased))
    return Internal("the free devices of {} are not those without a lease", name);
  if (!node.epoch.valid()) return Internal("{} has no epoch", name);
  return absl::OkStatus();
}

Status CheckTaskLease(const ClusterState& state, const JobState& job, uint32_t rank) {
  const TaskState& task = job.tasks[rank];
  const TaskKey key{TaskId{job.id, rank}, job.attempt};
  const NodeState* node = state.FindNode(task.placement.node);
  if (node == nullptr) return Internal("{} is on a node that does not exist", ToString(key));
  const bool leased = std::find(node->tasks.begin(), node->tasks.end(), key) != node->tasks.end();
  const bool over = task.abandoned || task.phase == TaskPhase::kExited;
  if (leased == over) {
    return Internal("{} is {} but its node {} its lease", ToString(key), over ? "over" : "alive",
                    leased ? "holds" : "does not hold");
  }
  if ((task.phase == TaskPhase::kExited) != task.exit.has_value())
    return Internal("{} has an exit without having exited, or the reverse", ToString(key));
  return absl::OkStatus();
}

Status CheckJob(const ClusterState& state, const JobState& job) {
  const std::string name = ToString(job.id);
  const bool placed = job.phase == JobPhase::kRunning || job.phase == JobPhase::kStopping;
  if (job.id > state.last_job()) return Internal("{} is younger than the last job", name);
  if (job.stopping.has_value() != (job.phase == JobPhase::kStopping))
    return Internal("{} has a reason to stop without stopping, or the reverse", name);
  if (job.outcome.has_value() != (job.phase == JobPhase::kFinished))
    return Internal("{} has an outcome without being finished, or the reverse", name);
  if (!job.idempotency_key.empty() &&
      !state.FindByIdempotencyKey(ClusterState::KeyOwner(*job.spec, job.user), job.idempotency_key)
           .valid())
    return Internal("{} is not found by its idempotency key", name);
  // All or none: a gang that was ever placed has every rank.
  if (job.attempt.valid() ? job.tasks.size() != job.spec->tasks : !job.tasks.empty())
    return Internal("{} has {} of {} tasks placed", name, job.tasks.size(), job.spec->tasks);
  bool left = false, lost = false, failed = false;
  for (uint32_t rank = 0; rank < job.tasks.size(); ++rank) {
    const TaskState& task = job.tasks[rank];
    const bool over = task.abandoned || task.phase == TaskPhase::kExited;
    if (!over && !placed)
      return Internal("{} is {} but rank {} has not ended", name, ToString(job.phase), rank);
    left |= !over;
    lost |= task.abandoned;
    failed |= task.exit && !task.exit->succeeded();
    RETURN_IF_ERROR(CheckTaskLease(state, job, rank));
  }
  if (placed && !left) return Internal("{} is {} without a task left", name, ToString(job.phase));
  if (job.phase == JobPhase::kRunning && (lost || failed))
    return Internal("{} runs on although part of its gang is gone", name);
  return absl::OkStatus();
}

Status CheckDeployment(const ClusterState& state, const std::string& name,
                       const DeploymentState& deployment) {
  if (!std::is_sorted(deployment.replicas.begin(), deployment.replicas.end()))
    return Internal("replicas of {} are out of order", name);
  for (const ReplicaId id : deployment.replicas) {
    const auto it = state.replicas().find(id);
    if (it == state.replicas().end() || it->second.deployment != name)
      return Internal("{} lists {}, which is not its own", name, ToString(id));
    if (it->second.generation > deployment.generation)
      return Internal("{} is of a generation of {} that is still to come", ToString(id), name);
  }
  return absl::OkStatus();
}

}  // namespace

Status CheckInvariants(const ClusterState& state) {
  size_t replicas = 0;
  for (const NodeState& node : state.nodes()) RETURN_IF_ERROR(CheckNode(state, node));
  for (const auto& [id, job] : state.jobs()) RETURN_IF_ERROR(CheckJob(state, job));
  for (const auto& [name, deployment] : state.deployments()) {
    RETURN_IF_ERROR(CheckDeployment(state, name, deployment));
    replicas += deployment.replicas.size();
  }
  if (replicas != state.replicas().size())
    return Internal("{} replicas belong to no deployment", state.replicas().size() - replicas);
  for (const auto& [id, replica] : state.replicas()) {
    const NodeState* node = state.FindNode(replica.placement.node);
    if (node == nullptr ||
        std::find(node->replicas.begin(), node->replicas.end(), id) == node->replicas.end())
      return Internal("{} is on a node that does not hold its lease", ToString(id));
  }
  return absl::OkStatus();
}

}  // namespace allot::scheduler
