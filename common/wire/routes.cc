// Scheduler → gateway.
#include "common/wire/parts.h"

namespace allot::wire {

void Encode(const allot::RouteReplica& replica, RouteReplica* out) {
  out->Clear();
  out->set_id(replica.id.value());
  out->set_incarnation(replica.id.incarnation().value());
  out->set_node(ReplaceInvalidUtf8(replica.node));
  out->set_kind(static_cast<int32_t>(replica.kind));
  out->set_device_model(ReplaceInvalidUtf8(replica.device_model));
  out->set_emulated(replica.emulated);
  out->set_device_count(replica.device_count);
  out->set_concurrency(replica.concurrency);
  out->set_price_micros_per_hour(replica.price.micros_per_hour);
  out->set_ready(replica.ready);
  out->set_unheard(replica.unheard);
  out->set_power_milliwatts(replica.power);
}

StatusOr<allot::RouteReplica> Decode(const RouteReplica& in) {
  allot::RouteReplica replica;
  if (in.id() == 0) return InvalidArgument("route to a replica without id");
  replica.id = ReplicaId(in.id(), Incarnation(in.incarnation()));
  replica.node = in.node();
  ASSIGN_OR_RETURN(replica.kind, DecodeEnum("replica.kind", in.kind(), DeviceKind::kAsic));
  replica.device_model = in.device_model();
  replica.emulated = in.emulated();
  replica.device_count = in.device_count();
  replica.concurrency = in.concurrency();
  ASSIGN_OR_RETURN(replica.price, DecodePrice("replica.price", in.price_micros_per_hour()));
  replica.ready = in.ready();
  replica.unheard = in.unheard();
  RETURN_IF_ERROR(CheckRange<int64_t>("replica.power", in.power_milliwatts(), 0,
                                      kMilliWattsMax * DeviceSet::kMax));
  replica.power = in.power_milliwatts();
  return replica;
}

void Encode(const allot::RouteDeployment& deployment, RouteDeployment* out) {
  out->Clear();
  out->set_name(ReplaceInvalidUtf8(deployment.name));
  out->set_model(ReplaceInvalidUtf8(deployment.model));
  Encode(deployment.objective, out->mutable_objective());
  out->set_queue_max(deployment.queue_max);
  out->set_queue_timeout(deployment.queue_timeout.count());
  EncodeAll(deployment.replicas, out->mutable_replicas());
  out->set_created(ToMicros(deployment.created));
  out->set_tenant(ReplaceInvalidUtf8(deployment.tenant));
}

StatusOr<allot::RouteDeployment> Decode(const RouteDeployment& in) {
  allot::RouteDeployment deployment;
  if (in.name().empty()) return InvalidArgument("route to a deployment without name");
  deployment.name = in.name();
  deployment.model = in.model();
  if (in.has_objective()) {
    ASSIGN_OR_RETURN(deployment.objective, Decode(in.objective()));
  }
  deployment.queue_max = in.queue_max();
  ASSIGN_OR_RETURN(deployment.queue_timeout, DecodeDuration("queue_timeout", in.queue_timeout()));
  RETURN_IF_ERROR(DecodeAll(in.replicas(), &deployment.replicas));
  RETURN_IF_ERROR(CheckRange<int64_t>("deployment.created", in.created(), 0, ToMicros(kTimeMax)));
  deployment.created = FromMicros(in.created());
  deployment.tenant = in.tenant();
  return deployment;
}

void Encode(const allot::RouteTable& table, RouteTable* out) {
  out->Clear();
  out->set_term(table.term.value());
  out->set_incarnation(table.incarnation.value());
  out->set_version(table.version);
  out->set_policy_name(ReplaceInvalidUtf8(table.policy_name));
  out->set_routing_algorithm(ReplaceInvalidUtf8(table.routing_algorithm));
  out->set_explore_ratio(table.explore_ratio);
  out->set_history(table.history.count());
  out->set_value_nanos_per_second(table.value_nanos_per_second);
  EncodeAll(table.deployments, out->mutable_deployments());
}

StatusOr<allot::RouteTable> Decode(const RouteTable& in) {
  allot::RouteTable table;
  table.term = Term(in.term());
  table.incarnation = Incarnation(in.incarnation());
  table.version = in.version();
  table.policy_name = in.policy_name();
  table.routing_algorithm = in.routing_algorithm();
  RETURN_IF_ERROR(CheckRange("explore_ratio", in.explore_ratio(), 0.0, 1.0));
  table.explore_ratio = in.explore_ratio();
  ASSIGN_OR_RETURN(table.history, DecodeDuration("history", in.history()));
  RETURN_IF_ERROR(CheckRange<int64_t>("value_nanos_per_second", in.value_nanos_per_second(), 0,
                                      kValueNanosMax));
  table.value_nanos_per_second = in.value_nanos_per_second();
  RETURN_IF_ERROR(DecodeAll(in.deployments(), &table.deployments));
  return table;
}

}  // namespace allot::wire
