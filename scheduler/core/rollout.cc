#include "scheduler/core/rollout.h"

namespace allot::scheduler {
namespace {

RolloutState StateOf(const DeploymentState& deployment, const Rollout& rollout) {
  if (deployment.stopping) return RolloutState::kStopping;
  if (rollout.older > 0) return RolloutState::kUpdating;
  if (rollout.ready < rollout.wanted) return RolloutState::kStarting;
  const bool more = rollout.placed > rollout.wanted || rollout.ending > 0;
  return more ? RolloutState::kUpdating : RolloutState::kReady;
}

}  // namespace

std::string_view ToString(RolloutState state) {
  switch (state) {
    case RolloutState::kReady:
      return "ready";
    case RolloutState::kStarting:
      return "starting";
    case RolloutState::kUpdating:
      return "updating";
    case RolloutState::kStopping:
      return "stopping";
  }
  return "unknown";
}

Rollout RolloutOf(const Ledger& ledger, const DeploymentState& deployment) {
  Rollout rollout;
  if (!deployment.stopping) {
    for (const ReplicaGroup& group : deployment.spec->groups) rollout.wanted += group.count;
  }
  uint32_t restarts = 0;
  for (const ReplicaId id : deployment.replicas) {
    const ReplicaState& replica = ledger.state().replicas().at(id);
    const NodeState& node = *ledger.state().FindNode(replica.placement.node);
    const auto status = ledger.replica_status.find(id);
    const bool heard = status != ledger.replica_status.end();
    const bool ready = heard && status->second.phase == ReplicaPhase::kReady && !replica.stopping;
    const bool current = replica.generation == deployment.generation;
    rollout.ending += replica.stopping;
    if (!current) {
      ++rollout.older;
      rollout.older_ready += ready;
      continue;
    }
    if (replica.stopping) continue;
    ++rollout.placed;
    rollout.ready += ready;
    if (ready || !heard || status->second.message.empty()) continue;
    // Of several that are not ready, one that keeps ending tells the most.
    if (!rollout.message.empty() && status->second.restarts <= restarts) continue;
    restarts = status->second.restarts;
    rollout.message = fmt::format("{} on {} is {}: {}", ToString(id), node.info->name,
                                  ToString(status->second.phase), status->second.message);
  }
  rollout.state = StateOf(deployment, rollout);
  return rollout;
}

}  // namespace allot::scheduler
