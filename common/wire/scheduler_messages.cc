// Scheduler → agent.
#include "common/wire/parts.h"

namespace allot::wire {
namespace {

void Encode(const allot::GatewayAddress& address, GatewayAddress* out) {
  out->set_endpoint(ReplaceInvalidUtf8(address.endpoint));
  out->set_public_key(ReplaceInvalidUtf8(address.public_key));
}

void Fill(const allot::Welcome& in, Message* out) {
  Welcome* to = out->mutable_welcome();
  to->set_registration(in.registration);
  to->set_epoch(in.epoch.value());
  to->set_term(in.term.value());
  to->set_heartbeat_every(in.heartbeat_every.count());
  to->set_lease(in.lease.count());
  for (const allot::GatewayAddress& gateway : in.gateways) Encode(gateway, to->add_gateways());
  if (in.gateway_keys) {
    to->set_gateway_keys_known(true);
    EncodeStrings(*in.gateway_keys, to->mutable_gateway_keys());
  }
  to->set_instance(ReplaceInvalidUtf8(in.instance));
}

void Fill(const allot::Refuse& in, Message* out) {
  Refuse* to = out->mutable_refuse();
  to->set_reason(static_cast<int32_t>(in.reason));
  to->set_registration(in.registration);
  to->set_epoch(in.epoch.value());
  to->set_message(ReplaceInvalidUtf8(in.message));
}

void Fill(const allot::StartTask& in, Message* out) {
  StartTask* to = out->mutable_start_task();
  to->set_epoch(in.epoch.value());
  wire::Encode(in.key, to->mutable_key());
  wire::Encode(in.launch, to->mutable_launch());
}

void Fill(const allot::StopTask& in, Message* out) {
  StopTask* to = out->mutable_stop_task();
  to->set_epoch(in.epoch.value());
  wire::Encode(in.key, to->mutable_key());
  to->set_grace(in.grace.count());
}

void Fill(const allot::AckTasks& in, Message* out) {
  AckTasks* to = out->mutable_ack_tasks();
  to->set_epoch(in.epoch.value());
  EncodeAll(in.keys, to->mutable_keys());
}

void Fill(const allot::GrantLeases& in, Message* out) {
  GrantLeases* to = out->mutable_grant_leases();
  to->set_epoch(in.epoch.value());
  to->set_asked(ToMicros(in.asked));
  EncodeAll(in.keys, to->mutable_keys());
}

void Fill(const allot::StartReplica& in, Message* out) {
  StartReplica* to = out->mutable_start_replica();
  to->set_epoch(in.epoch.value());
  to->set_id(in.id.value());
  to->set_incarnation(in.id.incarnation().value());
  wire::Encode(in.launch, to->mutable_launch());
}

void Fill(const allot::StopReplica& in, Message* out) {
  StopReplica* to = out->mutable_stop_replica();
  to->set_epoch(in.epoch.value());
  to->set_id(in.id.value());
  to->set_incarnation(in.id.incarnation().value());
  to->set_grace(in.grace.count());
  to->set_drain(in.drain.count());
}

StatusOr<SchedulerMessage> Take(const Welcome& in) {
  allot::Welcome message;
  message.registration = in.registration();
  message.epoch = Epoch(in.epoch());
  message.term = Term(in.term());
  if (!message.epoch.valid()) return InvalidArgument("welcome has no epoch");
  ASSIGN_OR_RETURN(message.heartbeat_every,
                   DecodeDuration("welcome.heartbeat_every", in.heartbeat_every()));
  ASSIGN_OR_RETURN(message.lease, DecodeDuration("welcome.lease", in.lease()));
  // An agent sends one every so often; nought would have it do nothing else.
  if (message.heartbeat_every.count() == 0) {
    return InvalidArgument("welcome.heartbeat_every is 0");
  }
  for (const GatewayAddress& gateway : in.gateways()) {
    message.gateways.push_back({gateway.endpoint(), gateway.public_key()});
  }
  if (in.gateway_keys_known()) message.gateway_keys = DecodeStrings(in.gateway_keys());
  message.instance = in.instance();
  return message;
}

StatusOr<SchedulerMessage> Take(const Refuse& in) {
  allot::Refuse message;
  ASSIGN_OR_RETURN(message.reason,
                   DecodeEnum("refuse.reason", in.reason(), RefuseReason::kBadInfo));
  message.registration = in.registration();
  message.epoch = Epoch(in.epoch());
  message.message = in.message();
  return message;
}

StatusOr<SchedulerMessage> Take(const StartTask& in) {
  allot::StartTask message{.epoch = Epoch(in.epoch())};
  ASSIGN_OR_RETURN(message.key, Decode(in.key()));
  if (!in.has_launch()) return InvalidArgument("start_task has no launch");
  ASSIGN_OR_RETURN(message.launch, Decode(in.launch()));
  if (message.key.task.index >= message.launch.world_size) {
    return InvalidArgument("start_task {} is outside of its gang of {}", ToString(message.key),
                           message.launch.world_size);
  }
  return message;
}

StatusOr<SchedulerMessage> Take(const StopTask& in) {
  allot::StopTask message{.epoch = Epoch(in.epoch())};
  ASSIGN_OR_RETURN(message.key, Decode(in.key()));
  ASSIGN_OR_RETURN(message.grace, DecodeDuration("stop_task.grace", in.grace()));
  return message;
}

StatusOr<SchedulerMessage> Take(const AckTasks& in) {
  allot::AckTasks message{.epoch = Epoch(in.epoch())};
  RETURN_IF_ERROR(DecodeAll(in.keys(), &message.keys));
  return message;
}

StatusOr<SchedulerMessage> Take(const GrantLeases& in) {
  allot::GrantLeases message{.epoch = Epoch(in.epoch())};
  ASSIGN_OR_RETURN(message.asked, DecodeTime("grant_leases.asked", in.asked()));
  RETURN_IF_ERROR(DecodeAll(in.keys(), &message.keys));
  return message;
}

StatusOr<SchedulerMessage> Take(const StartReplica& in) {
  allot::StartReplica message{.epoch = Epoch(in.epoch()), .id = ReplicaId(in.id(), Incarnation(in.incarnation()))};
  if (!message.id.valid()) return InvalidArgument("start_replica has no id");
  if (!in.has_launch()) return InvalidArgument("start_replica has no launch");
  ASSIGN_OR_RETURN(message.launch, Decode(in.launch()));
  return message;
}

StatusOr<SchedulerMessage> Take(const StopReplica& in) {
  allot::StopReplica message{.epoch = Epoch(in.epoch()), .id = ReplicaId(in.id(), Incarnation(in.incarnation()))};
  if (!message.id.valid()) return InvalidArgument("stop_replica has no id");
  ASSIGN_OR_RETURN(message.grace, DecodeDuration("stop_replica.grace", in.grace()));
  ASSIGN_OR_RETURN(message.drain, DecodeDuration("stop_replica.drain", in.drain()));
  return message;
}

}  // namespace

void Encode(const SchedulerMessage& message, Message* out) {
  out->Clear();
  std::visit([out](const auto& kind) { Fill(kind, out); }, message);
}

StatusOr<SchedulerMessage> DecodeSchedulerMessage(const Message& message) {
  switch (message.kind_case()) {
    case Message::kWelcome:
      return Take(message.welcome());
    case Message::kRefuse:
      return Take(message.refuse());
    case Message::kStartTask:
      return Take(message.start_task());
    case Message::kStopTask:
      return Take(message.stop_task());
    case Message::kAckTasks:
      return Take(message.ack_tasks());
    case Message::kStartReplica:
      return Take(message.start_replica());
    case Message::kStopReplica:
      return Take(message.stop_replica());
    case Message::kGrantLeases:
      return Take(message.grant_leases());
    default:
      break;
  }
  return InvalidArgument("message kind {} is none that a scheduler sends to an agent",
                         static_cast<int>(message.kind_case()));
}

}  // namespace allot::wire
