#include "scheduler/shell/api/render.h"

namespace allot::scheduler {
namespace {

void RenderReplica(const Core& core, const Cuts& cuts, const ReplicaState& replica,
                   JsonWriter& json) {
  const NodeState* node = core.state().FindNode(replica.placement.node);
  const ReplicaStatus* said = core.StatusOf(replica.id);
  json.Object([&] {
    json.Field("id", ToString(replica.id)).Field("group", replica.group);
    json.Field("generation", replica.generation);
    if (node != nullptr) {
      json.Field("node", node->info->name);
      RenderUnreachedBy(cuts, node->info->name, json);
      json.Key("devices").Array([&] {
        const auto render = [&](const Device& device) {
          json.Object([&] {
            json.Field("id", device.id).Field("model", device.model);
            json.Field("kind", ToString(device.kind)).Field("emulated", device.emulated);
            json.Field("isolation", ToString(device.isolation));
          });
        };
        const auto& devices = node->info->devices;
        if (replica.placement.devices.Empty()) {
          for (const Device& device : devices) {
            if (device.kind == DeviceKind::kCpu) return render(device);
          }
        }
        replica.placement.devices.ForEach([&](uint32_t i) {
          if (i < devices.size()) render(devices[i]);
        });
      });
    }
    json.Field("phase", ToString(core.PhaseOf(replica)));
    json.Field("restarts", said != nullptr ? said->restarts : 0);
    if (said != nullptr && said->pid != 0) json.Field("pid", said->pid);
    json.Field("price_usd_per_hour", replica.price);
    if (said != nullptr && !said->message.empty()) json.Field("message", said->message);
  });
}

// Why it is not what was asked for, in a line.
std::string MessageOf(const Rollout& rollout, const StatusOr<std::vector<ReplicaWait>>& waits) {
  if (rollout.state == RolloutState::kReady || rollout.state == RolloutState::kStopping) return "";
  if (!rollout.message.empty()) return rollout.message;
  if (!waits.ok()) return "";
  for (const ReplicaWait& wait : *waits) {
    if (!wait.reasons.empty())
      return fmt::format("{} of group {} wait: {}", wait.count, wait.group,
                         wait.reasons.front().detail);
  }
  return "";
}

}  // namespace

void RenderDeployment(const Core& core, const Cuts& cuts, const DeploymentState& deployment,
                      WaitDetail detail, JsonWriter& json) {
  const DeploymentSpec& spec = *deployment.spec;
  const Rollout rollout = core.RolloutOf(deployment);
  json.Object([&] {
    json.Field("name", spec.name).Field("tenant", spec.tenant).Field("model", spec.model);
    json.Field("generation", deployment.generation).Field("stopping", deployment.stopping);
    json.Key("objective").Object([&] {
      json.Field("ttft_seconds", spec.objective.ttft);
      json.Field("per_token_seconds", spec.objective.per_token);
      json.Field("end_to_end_seconds", spec.objective.end_to_end);
      json.Field("percentile", spec.objective.percentile);
    });
    json.Key("replicas").Array([&] {
      for (const ReplicaId id : deployment.replicas) {
        const auto it = core.state().replicas().find(id);
        if (it != core.state().replicas().end()) RenderReplica(core, cuts, it->second, json);
      }
    });
    json.Field("state", ToString(rollout.state)).Field("wanted", rollout.wanted);
    json.Field("ready", rollout.ready).Field("ready_current", rollout.ready);
    json.Field("ready_older", rollout.older_ready).Field("older", rollout.older);
    json.Field("ending", rollout.ending);
    const StatusOr<std::vector<ReplicaWait>> waits = core.ExplainDeployment(spec.name, detail);
    if (const std::string message = MessageOf(rollout, waits); !message.empty())
      json.Field("message", message);
    json.Key("waiting").Array([&] {
      if (!waits.ok()) return;
      for (const ReplicaWait& wait : *waits) {
        json.Object([&] {
          json.Field("group", wait.group).Field("count", wait.count);
          json.Key("reasons").Array([&] {
            for (const Reason& reason : wait.reasons) RenderReason(reason, json);
          });
        });
      }
    });
  });
}

}  // namespace allot::scheduler
