#include "common/wire/parts.h"

namespace allot::wire {

void Encode(const allot::Resources& resources, Resources* out) {
  out->Clear();
  out->set_cpus(resources.cpus);
  out->set_memory(resources.memory);
  out->set_memory_share(resources.memory_share);
}

StatusOr<allot::Resources> Decode(const Resources& in) {
  RETURN_IF_ERROR(CheckRange<int64_t>("resources.cpus", in.cpus(), 0, kMilliCpusMax));
  RETURN_IF_ERROR(CheckRange<int64_t>("resources.memory", in.memory(), 0, kBytesMax));
  return allot::Resources{
      .cpus = in.cpus(), .memory = in.memory(), .memory_share = in.memory_share()};
}

void Encode(const allot::DeviceRequest& request, DeviceRequest* out) {
  out->Clear();
  if (request.kind) out->set_kind(static_cast<int32_t>(*request.kind));
  out->set_vendor(ReplaceInvalidUtf8(request.vendor));
  out->set_model(ReplaceInvalidUtf8(request.model));
  out->set_count(request.count);
  if (request.min_memory) out->set_min_memory(*request.min_memory);
  out->set_worth(request.worth);
  if (request.isolation) out->set_isolation(static_cast<int32_t>(*request.isolation));
  out->set_joined(request.joined);
}

StatusOr<allot::DeviceRequest> Decode(const DeviceRequest& in) {
  allot::DeviceRequest request;
  if (in.has_kind()) {
    ASSIGN_OR_RETURN(request.kind, DecodeEnum("device.kind", in.kind(), DeviceKind::kAsic));
  }
  request.vendor = in.vendor();
  request.model = in.model();
  RETURN_IF_ERROR(CheckRange<uint32_t>("device.count", in.count(), 0, DeviceSet::kMax));
  request.count = in.count();
  if (in.has_min_memory()) {
    RETURN_IF_ERROR(CheckRange<int64_t>("device.min_memory", in.min_memory(), 0, kBytesMax));
    request.min_memory = in.min_memory();
  }
  if (!std::isfinite(in.worth()) || in.worth() <= 0) {
    return InvalidArgument("device.worth is {}; it must be above 0", in.worth());
  }
  request.worth = in.worth();
  if (in.has_isolation()) {
    ASSIGN_OR_RETURN(request.isolation,
                     DecodeEnum("device.isolation", in.isolation(), Isolation::kHard));
  }
  request.joined = in.joined();
  return request;
}

void Encode(const allot::HealthCheck& health, HealthCheck* out) {
  out->Clear();
  out->set_path(ReplaceInvalidUtf8(health.path));
  out->set_interval(health.interval.count());
  out->set_timeout(health.timeout.count());
  out->set_start_timeout(health.start_timeout.count());
  out->set_failures_max(health.failures_max);
  out->set_restart_after(health.restart_after.count());
}

StatusOr<allot::HealthCheck> Decode(const HealthCheck& in) {
  allot::HealthCheck health;
  health.path = in.path();
  ASSIGN_OR_RETURN(health.interval, DecodeDuration("health.interval", in.interval()));
  ASSIGN_OR_RETURN(health.timeout, DecodeDuration("health.timeout", in.timeout()));
  ASSIGN_OR_RETURN(health.start_timeout,
                   DecodeDuration("health.start_timeout", in.start_timeout()));
  health.failures_max = in.failures_max();
  if (in.has_restart_after()) {
    ASSIGN_OR_RETURN(health.restart_after,
                     DecodeDuration("health.restart_after", in.restart_after()));
  }
  return health;
}

void Encode(const allot::Objective& objective, Objective* out) {
  out->Clear();
  if (objective.ttft) out->set_ttft(objective.ttft->count());
  if (objective.per_token) out->set_per_token(objective.per_token->count());
  if (objective.end_to_end) out->set_end_to_end(objective.end_to_end->count());
  out->set_percentile(objective.percentile);
}

StatusOr<allot::Objective> Decode(const Objective& in) {
  allot::Objective objective;
  if (in.has_ttft()) {
    ASSIGN_OR_RETURN(objective.ttft, DecodeDuration("objective.ttft", in.ttft()));
  }
  if (in.has_per_token()) {
    ASSIGN_OR_RETURN(objective.per_token, DecodeDuration("objective.per_token", in.per_token()));
  }
  if (in.has_end_to_end()) {
    ASSIGN_OR_RETURN(objective.end_to_end, DecodeDuration("objective.end_to_end", in.end_to_end()));
  }
  RETURN_IF_ERROR(CheckRange("objective.percentile", in.percentile(), 0.0, 1.0));
  objective.percentile = in.percentile();
  return objective;
}

}  // namespace allot::wire
