// The JSON of docs/api.md: JOB, NODE, DEVICE, DEPLOYMENT and the others. Pure functions of the
// core's state and the time.
#pragma once

#include "common/auth/authorizer.h"
#include "scheduler/core/core.h"
#include "scheduler/shell/api/json_writer.h"
#include "scheduler/shell/cuts.h"

namespace allot::scheduler {

void RenderJob(const Core& core, Time now, const JobState& job, JsonWriter& json);
void RenderNode(const Core& core, const Cuts& cuts, Time now, const NodeState& node,
                JsonWriter& json);
// What uses a device is told by name to whoever may see it.
void RenderDevices(const Core& core, Time now, const NodeState& node, const auth::Principal& asker,
                   JsonWriter& json);  // array elements
void RenderDevice(const Core& core, Time now, const NodeState& node, size_t position,
                  const auth::Principal& asker, JsonWriter& json);
void RenderDeployment(const Core& core, const Cuts& cuts, const DeploymentState& deployment,
                      WaitDetail detail, JsonWriter& json);
// Which gateways do not reach the node, if any: a member of the object that is open.
void RenderUnreachedBy(const Cuts& cuts, const std::string& node, JsonWriter& json);
void RenderReason(const Reason& reason, JsonWriter& json);
void RenderExplanation(const JobExplanation& explanation, JsonWriter& json);

// Members of the object that is open in `json`.
void RenderPolicy(const Policy& policy, JsonWriter& json);
void RenderPower(const Core& core, JsonWriter& json);

// The policy as the YAML file that would give it (common/proto/config.proto).
std::string PolicyYaml(const Policy& policy);

}  // namespace allot::scheduler
