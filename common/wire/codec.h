// Values of common/model/messages.h to and from Protobuf. Decoding checks what it is given:
// unknown enum numbers, missing parts and sizes out of range are errors, never CHECKs. Encoding
// clears `out` first and mends text that is not UTF-8, for which a peer would drop the envelope.
// Thread-safe, no state.
#pragma once

#include <string>

#include "common/base/status.h"
#include "common/model/deployment.h"
#include "common/model/messages.h"
#include "common/model/policy.h"
#include "common/proto/records.pb.h"
#include "common/proto/wire.pb.h"

namespace allot::wire {

inline constexpr uint32_t kProtocolVersion = 1;

void Encode(const AgentMessage& message, Message* out);
void Encode(const SchedulerMessage& message, Message* out);
void Encode(const allot::RouteTable& table, RouteTable* out);
StatusOr<AgentMessage> DecodeAgentMessage(const Message& message);
StatusOr<SchedulerMessage> DecodeSchedulerMessage(const Message& message);
StatusOr<allot::RouteTable> Decode(const RouteTable& table);

// Parts the journal and the agent's state folder use too.
void Encode(const JobSpec& spec, records::JobSpec* out);
StatusOr<JobSpec> Decode(const records::JobSpec& in);
void Encode(const DeploymentSpec& spec, records::DeploymentSpec* out);
StatusOr<DeploymentSpec> Decode(const records::DeploymentSpec& in);
void Encode(const Policy& policy, records::Policy* out);
StatusOr<Policy> Decode(const records::Policy& in);
void Encode(const allot::NodeInfo& info, NodeInfo* out);
StatusOr<allot::NodeInfo> Decode(const NodeInfo& in);
void Encode(const allot::TaskLaunch& launch, TaskLaunch* out);
StatusOr<allot::TaskLaunch> Decode(const TaskLaunch& in);
void Encode(const allot::ReplicaLaunch& launch, ReplicaLaunch* out);
StatusOr<allot::ReplicaLaunch> Decode(const ReplicaLaunch& in);
void Encode(const allot::TaskExit& exit, TaskExit* out);
allot::TaskExit Decode(const TaskExit& in);
void Encode(const allot::TaskKey& key, TaskKey* out);
StatusOr<allot::TaskKey> Decode(const TaskKey& in);
void Encode(const allot::TaskStatus& status, TaskStatus* out);
StatusOr<allot::TaskStatus> Decode(const TaskStatus& in);
void Encode(const allot::ReplicaStatus& status, ReplicaStatus* out);
StatusOr<allot::ReplicaStatus> Decode(const ReplicaStatus& in);

// A valid node name, device count, memory and so on; used on RegisterNode before a core sees it.
Status CheckNodeInfo(const allot::NodeInfo& info);

}  // namespace allot::wire
