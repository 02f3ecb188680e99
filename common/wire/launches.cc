// How to run a task or a replica.
#include <algorithm>
#include <limits>

#include "common/wire/parts.h"

namespace allot::wire {

void Encode(const allot::TaskLaunch& launch, TaskLaunch* out) {
  out->Clear();
  out->set_job_name(ReplaceInvalidUtf8(launch.job_name));
  out->set_tenant(ReplaceInvalidUtf8(launch.tenant));
  out->set_world_size(launch.world_size);
  EncodeStrings(launch.command, out->mutable_command());
  EncodeMap(launch.environment, out->mutable_environment());
  out->set_work_dir(ReplaceInvalidUtf8(launch.work_dir));
  out->set_checkpoint_dir(ReplaceInvalidUtf8(launch.checkpoint_dir));
  Encode(launch.resources, out->mutable_resources());
  EncodeStrings(launch.device_ids, out->mutable_device_ids());
  out->set_main_address(ReplaceInvalidUtf8(launch.main_address));
  out->set_main_port(launch.main_port);
  EncodeStrings(launch.peer_addresses, out->mutable_peer_addresses());
  out->set_grace(launch.grace.count());
  out->set_runtime(static_cast<int32_t>(launch.runtime));
  out->set_user(ReplaceInvalidUtf8(launch.user));
  out->set_checkpoint_dir_named(launch.checkpoint_dir_named);
  if (launch.scratch_max) out->set_scratch_max(*launch.scratch_max);
  out->set_lease(launch.terms.lease.count());
  out->set_lease_margin(launch.terms.margin.count());
}

StatusOr<allot::TaskLaunch> Decode(const TaskLaunch& in) {
  allot::TaskLaunch launch;
  launch.job_name = in.job_name();
  launch.tenant = in.tenant();
  RETURN_IF_ERROR(CheckRange<uint32_t>("launch.world_size", in.world_size(), 1, kTasksMax));
  launch.world_size = in.world_size();
  launch.command = DecodeStrings(in.command());
  launch.environment = DecodeMap(in.environment());
  launch.work_dir = in.work_dir();
  launch.checkpoint_dir = in.checkpoint_dir();
  ASSIGN_OR_RETURN(launch.resources, Decode(in.resources()));
  launch.device_ids = DecodeStrings(in.device_ids());
  launch.main_address = in.main_address();
  RETURN_IF_ERROR(CheckRange<uint32_t>("launch.main_port", in.main_port(), 0,
                                       std::numeric_limits<uint16_t>::max()));
  launch.main_port = static_cast<uint16_t>(in.main_port());
  launch.peer_addresses = DecodeStrings(in.peer_addresses());
  ASSIGN_OR_RETURN(launch.grace, DecodeDuration("launch.grace", in.grace()));
  ASSIGN_OR_RETURN(launch.runtime, DecodeEnum("launch.runtime", in.runtime(), TaskRuntime::kNoop));
  launch.user = in.user();
  launch.checkpoint_dir_named = in.checkpoint_dir_named();
  if (in.has_scratch_max()) launch.scratch_max = std::max<int64_t>(in.scratch_max(), 0);
  ASSIGN_OR_RETURN(launch.terms, DecodeTerms("launch.lease", in.lease(), in.lease_margin()));
  return launch;
}

void Encode(const allot::ReplicaLaunch& launch, ReplicaLaunch* out) {
  out->Clear();
  out->set_deployment(ReplaceInvalidUtf8(launch.deployment));
  out->set_model(ReplaceInvalidUtf8(launch.model));
  EncodeStrings(launch.command, out->mutable_command());
  EncodeMap(launch.environment, out->mutable_environment());
  out->set_work_dir(ReplaceInvalidUtf8(launch.work_dir));
  Encode(launch.resources, out->mutable_resources());
  EncodeStrings(launch.device_ids, out->mutable_device_ids());
  Encode(launch.health, out->mutable_health());
  out->set_grace(launch.grace.count());
  out->set_concurrency(launch.concurrency);
  out->set_tenant(ReplaceInvalidUtf8(launch.tenant));
  out->set_user(ReplaceInvalidUtf8(launch.user));
}

StatusOr<allot::ReplicaLaunch> Decode(const ReplicaLaunch& in) {
  allot::ReplicaLaunch launch;
  launch.deployment = in.deployment();
  launch.model = in.model();
  launch.command = DecodeStrings(in.command());
  launch.environment = DecodeMap(in.environment());
  launch.work_dir = in.work_dir();
  ASSIGN_OR_RETURN(launch.resources, Decode(in.resources()));
  launch.device_ids = DecodeStrings(in.device_ids());
  if (!in.has_health()) return InvalidArgument("launch.health is missing");
  ASSIGN_OR_RETURN(launch.health, Decode(in.health()));
  ASSIGN_OR_RETURN(launch.grace, DecodeDuration("launch.grace", in.grace()));
  launch.concurrency = in.concurrency();
  launch.tenant = in.tenant();
  launch.user = in.user();
  return launch;
}

}  // namespace allot::wire
