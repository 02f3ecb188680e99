// Jobs and deployments, as the journal keeps them.
#include <limits>

#include "common/wire/parts.h"

namespace allot::wire {

void Encode(const JobSpec& spec, records::JobSpec* out) {
  out->Clear();
  out->set_name(ReplaceInvalidUtf8(spec.name));
  out->set_tenant(ReplaceInvalidUtf8(spec.tenant));
  out->set_priority(spec.priority);
  out->set_tasks(spec.tasks);
  EncodeStrings(spec.command, out->mutable_command());
  EncodeMap(spec.environment.Get(), out->mutable_environment());
  out->set_work_dir(ReplaceInvalidUtf8(spec.work_dir));
  Encode(spec.resources, out->mutable_resources());
  EncodeAll(spec.devices, out->mutable_devices());
  out->set_checkpoint_dir(ReplaceInvalidUtf8(spec.checkpoint_dir));
  if (spec.time_limit) out->set_time_limit(spec.time_limit->count());
  out->set_grace(spec.grace.count());
  out->set_restarts_max(spec.restarts_max);
  out->set_restart_pause(spec.restart_pause.count());
  out->set_restart_pause_max(spec.restart_pause_max.count());
  out->set_runtime(static_cast<int32_t>(spec.runtime));
  out->set_at_most_one(spec.at_most_one);
  if (spec.scratch_max) out->set_scratch_max(*spec.scratch_max);
}

StatusOr<JobSpec> Decode(const records::JobSpec& in) {
  JobSpec spec;
  spec.name = in.name();
  spec.tenant = in.tenant();
  spec.priority = in.priority();
  RETURN_IF_ERROR(CheckRange<uint32_t>("job.tasks", in.tasks(), 1, kTasksMax));
  spec.tasks = in.tasks();
  spec.command = DecodeStrings(in.command());
  spec.environment = DecodeMap(in.environment());
  spec.work_dir = in.work_dir();
  ASSIGN_OR_RETURN(spec.resources, Decode(in.resources()));
  RETURN_IF_ERROR(DecodeAll(in.devices(), &spec.devices));
  spec.checkpoint_dir = in.checkpoint_dir();
  if (in.has_time_limit()) {
    ASSIGN_OR_RETURN(spec.time_limit, DecodeDuration("job.time_limit", in.time_limit()));
  }
  ASSIGN_OR_RETURN(spec.grace, DecodeDuration("job.grace", in.grace()));
  spec.restarts_max = in.restarts_max();
  ASSIGN_OR_RETURN(spec.restart_pause, DecodeDuration("job.restart_pause", in.restart_pause()));
  ASSIGN_OR_RETURN(spec.restart_pause_max,
                   DecodeDuration("job.restart_pause_max", in.restart_pause_max()));
  ASSIGN_OR_RETURN(spec.runtime, DecodeEnum("job.runtime", in.runtime(), TaskRuntime::kNoop));
  spec.at_most_one = in.at_most_one();
  if (in.has_scratch_max()) {
    RETURN_IF_ERROR(CheckRange<int64_t>("job.scratch_max", in.scratch_max(), 0,
                                        std::numeric_limits<int64_t>::max()));
    spec.scratch_max = in.scratch_max();
  }
  return spec;
}

void Encode(const DeploymentSpec& spec, records::DeploymentSpec* out) {
  out->Clear();
  out->set_name(ReplaceInvalidUtf8(spec.name));
  out->set_tenant(ReplaceInvalidUtf8(spec.tenant));
  out->set_model(ReplaceInvalidUtf8(spec.model));
  EncodeStrings(spec.command, out->mutable_command());
  EncodeMap(spec.environment, out->mutable_environment());
  out->set_work_dir(ReplaceInvalidUtf8(spec.work_dir));
  Encode(spec.resources, out->mutable_resources());
  Encode(spec.health, out->mutable_health());
  for (const ReplicaGroup& group : spec.groups) {
    records::ReplicaGroup* to = out->add_groups();
    Encode(group.device, to->mutable_device());
    to->set_count(group.count);
    to->set_concurrency(group.concurrency);
  }
  Encode(spec.objective, out->mutable_objective());
  if (spec.price_cap) out->set_price_cap_micros_per_hour(spec.price_cap->micros_per_hour);
  out->set_queue_max(spec.queue_max);
  out->set_queue_timeout(spec.queue_timeout.count());
  out->set_drain(spec.drain.count());
  out->set_grace(spec.grace.count());
}

StatusOr<DeploymentSpec> Decode(const records::DeploymentSpec& in) {
  DeploymentSpec spec;
  if (in.name().empty()) return InvalidArgument("deployment has no name");
  spec.name = in.name();
  if (!in.tenant().empty()) spec.tenant = in.tenant();
  spec.model = in.model();
  spec.command = DecodeStrings(in.command());
  spec.environment = DecodeMap(in.environment());
  spec.work_dir = in.work_dir();
  ASSIGN_OR_RETURN(spec.resources, Decode(in.resources()));
  ASSIGN_OR_RETURN(spec.health, Decode(in.health()));
  for (const records::ReplicaGroup& from : in.groups()) {
    ReplicaGroup& group = spec.groups.emplace_back();
    ASSIGN_OR_RETURN(group.device, Decode(from.device()));
    group.count = from.count();
    group.concurrency = from.concurrency();
  }
  ASSIGN_OR_RETURN(spec.objective, Decode(in.objective()));
  if (in.has_price_cap_micros_per_hour()) {
    ASSIGN_OR_RETURN(spec.price_cap,
                     DecodePrice("deployment.price_cap", in.price_cap_micros_per_hour()));
  }
  spec.queue_max = in.queue_max();
  ASSIGN_OR_RETURN(spec.queue_timeout,
                   DecodeDuration("deployment.queue_timeout", in.queue_timeout()));
  ASSIGN_OR_RETURN(spec.drain, DecodeDuration("deployment.drain", in.drain()));
  ASSIGN_OR_RETURN(spec.grace, DecodeDuration("deployment.grace", in.grace()));
  return spec;
}

}  // namespace allot::wire
