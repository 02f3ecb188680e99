// Agent → scheduler.
#include "common/wire/parts.h"

namespace allot::wire {
namespace {

void Fill(const allot::RegisterNode& in, Message* out) {
  RegisterNode* to = out->mutable_register_node();
  to->set_registration(in.registration);
  to->set_incarnations(in.incarnations);
  Encode(in.info, to->mutable_info());
  EncodeAll(in.tasks, to->mutable_tasks());
  EncodeAll(in.replicas, to->mutable_replicas());
}

void Fill(const allot::Heartbeat& in, Message* out) {
  Heartbeat* to = out->mutable_heartbeat();
  to->set_epoch(in.epoch.value());
  EncodeAll(in.devices, to->mutable_devices());
  EncodeAll(in.progress, to->mutable_progress());
}

void Fill(const allot::TaskReport& in, Message* out) {
  TaskReport* to = out->mutable_task_report();
  to->set_epoch(in.epoch.value());
  EncodeAll(in.tasks, to->mutable_tasks());
}

void Fill(const allot::ReplicaReport& in, Message* out) {
  ReplicaReport* to = out->mutable_replica_report();
  to->set_epoch(in.epoch.value());
  EncodeAll(in.replicas, to->mutable_replicas());
}

void Fill(const allot::AskLeases& in, Message* out) {
  AskLeases* to = out->mutable_ask_leases();
  to->set_epoch(in.epoch.value());
  to->set_asked(ToMicros(in.asked));
  EncodeAll(in.keys, to->mutable_keys());
}

StatusOr<AgentMessage> Take(const RegisterNode& in) {
  allot::RegisterNode message;
  message.registration = in.registration();
  message.incarnations = in.incarnations();
  if (!in.has_info()) return InvalidArgument("register_node has no info");
  ASSIGN_OR_RETURN(message.info, Decode(in.info()));
  RETURN_IF_ERROR(DecodeAll(in.tasks(), &message.tasks));
  RETURN_IF_ERROR(DecodeAll(in.replicas(), &message.replicas));
  return message;
}

StatusOr<AgentMessage> Take(const Heartbeat& in) {
  allot::Heartbeat message{.epoch = Epoch(in.epoch())};
  if (in.devices_size() > static_cast<int>(DeviceSet::kMax)) {
    return InvalidArgument("heartbeat tells of {} devices; at most {} are taken", in.devices_size(),
                           DeviceSet::kMax);
  }
  RETURN_IF_ERROR(DecodeAll(in.devices(), &message.devices));
  RETURN_IF_ERROR(DecodeAll(in.progress(), &message.progress));
  return message;
}

StatusOr<AgentMessage> Take(const TaskReport& in) {
  allot::TaskReport message{.epoch = Epoch(in.epoch())};
  RETURN_IF_ERROR(DecodeAll(in.tasks(), &message.tasks));
  return message;
}

StatusOr<AgentMessage> Take(const ReplicaReport& in) {
  allot::ReplicaReport message{.epoch = Epoch(in.epoch())};
  RETURN_IF_ERROR(DecodeAll(in.replicas(), &message.replicas));
  return message;
}

StatusOr<AgentMessage> Take(const AskLeases& in) {
  allot::AskLeases message{.epoch = Epoch(in.epoch())};
  ASSIGN_OR_RETURN(message.asked, DecodeTime("ask_leases.asked", in.asked()));
  RETURN_IF_ERROR(DecodeAll(in.keys(), &message.keys));
  return message;
}

}  // namespace

void Encode(const AgentMessage& message, Message* out) {
  out->Clear();
  std::visit([out](const auto& kind) { Fill(kind, out); }, message);
}

StatusOr<AgentMessage> DecodeAgentMessage(const Message& message) {
  switch (message.kind_case()) {
    case Message::kRegisterNode:
      return Take(message.register_node());
    case Message::kHeartbeat:
      return Take(message.heartbeat());
    case Message::kTaskReport:
      return Take(message.task_report());
    case Message::kReplicaReport:
      return Take(message.replica_report());
    case Message::kAskLeases:
      return Take(message.ask_leases());
    default:
      break;
  }
  return InvalidArgument("message kind {} is none that an agent sends to a scheduler",
                         static_cast<int>(message.kind_case()));
}

}  // namespace allot::wire
