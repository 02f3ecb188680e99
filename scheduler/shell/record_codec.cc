#include "scheduler/shell/record_codec.h"

#include <utility>

#include "common/wire/codec.h"

namespace allot::scheduler {
namespace {

namespace pb = ::allot::records;

struct Encoder {
  pb::Record* out;

  void operator()(const TermBegun& r) {
    auto* to = out->mutable_term_begun();
    to->set_term(r.term.value());
    to->set_incarnation(r.incarnation.value());
    to->set_certain(ToMicros(r.trust.certain));
    to->set_doubted(ToMicros(r.trust.doubted));
  }
  void operator()(const PolicySet& r) {
    wire::Encode(*r.policy, out->mutable_policy_set()->mutable_policy());
  }
  void operator()(const NodeRegistered& r) {
    auto* to = out->mutable_node_registered();
    to->set_node(r.node.value());
    to->set_epoch(r.epoch.value());
    to->set_registration(r.registration);
    wire::Encode(*r.info, to->mutable_info());
  }
  void operator()(const NodeLost& r) {
    auto* to = out->mutable_node_lost();
    to->set_node(r.node.value());
    to->set_epoch(r.epoch.value());
  }
  void operator()(const NodeDrainSet& r) {
    auto* to = out->mutable_node_drain_set();
    to->set_node(r.node.value());
    to->set_drain(r.drain);
  }
  void operator()(const DeviceQuarantined& r) {
    auto* to = out->mutable_device_quarantined();
    to->set_node(r.node.value());
    to->set_device(r.device);
    to->set_until(ToMicros(r.until));
    to->set_strikes(r.strikes);
    to->set_why(r.why);
  }
  void operator()(const DeviceOnProbation& r) {
    auto* to = out->mutable_device_on_probation();
    to->set_node(r.node.value());
    to->set_device(r.device);
  }
  void operator()(const DeviceCleared& r) {
    auto* to = out->mutable_device_cleared();
    to->set_node(r.node.value());
    to->set_device(r.device);
  }
  void operator()(const JobAccepted& r) {
    auto* to = out->mutable_job_accepted();
    to->set_job(r.job.value());
    wire::Encode(*r.spec, to->mutable_spec());
    to->set_user(r.user);
    to->set_idempotency_key(r.idempotency_key);
  }
  void operator()(const JobPlaced& r) {
    auto* to = out->mutable_job_placed();
    to->set_job(r.job.value());
    to->set_attempt(r.attempt.value());
    to->set_incarnation(r.attempt.incarnation().value());
    for (const TaskPlacement& task : r.tasks) EncodePlacement(task, to->add_tasks());
    to->set_alternative(r.alternative);
    to->set_price_micros_per_hour(r.price.micros_per_hour);
    to->set_main_port(r.main_port);
    to->set_lease(r.terms.lease.count());
    to->set_lease_margin(r.terms.margin.count());
  }
  void operator()(const TaskStarted& r) {
    auto* to = out->mutable_task_started();
    wire::Encode(r.key, to->mutable_key());
    to->set_pid(r.pid);
  }
  void operator()(const TaskExited& r) {
    auto* to = out->mutable_task_exited();
    wire::Encode(r.key, to->mutable_key());
    wire::Encode(r.exit, to->mutable_exit());
  }
  void operator()(const JobStopping& r) {
    auto* to = out->mutable_job_stopping();
    to->set_job(r.job.value());
    if (r.outcome) to->set_outcome(static_cast<int32_t>(*r.outcome));
    to->set_requeue(static_cast<int32_t>(r.requeue));
    to->set_code(r.code);
    to->set_cancelled(r.cancelled);
  }
  void operator()(const TaskAbandoned& r) {
    wire::Encode(r.key, out->mutable_task_abandoned()->mutable_key());
  }
  void operator()(const JobRequeued& r) {
    auto* to = out->mutable_job_requeued();
    to->set_job(r.job.value());
    to->set_reason(static_cast<int32_t>(r.reason));
    to->set_not_before(ToMicros(r.not_before));
  }
  void operator()(const JobFinished& r) {
    auto* to = out->mutable_job_finished();
    to->set_job(r.job.value());
    to->set_outcome(static_cast<int32_t>(r.outcome));
    to->set_code(r.code);
    to->set_cost_micros(r.cost.micros);
  }
  void operator()(const DeploymentSet& r) {
    auto* to = out->mutable_deployment_set();
    wire::Encode(*r.spec, to->mutable_spec());
    to->set_generation(r.generation);
    to->set_user(r.user);
  }
  void operator()(const DeploymentRemoved& r) {
    out->mutable_deployment_removed()->set_name(r.name);
  }
  void operator()(const DeploymentStopping& r) {
    out->mutable_deployment_stopping()->set_name(r.name);
  }
  void operator()(const ReplicaPlaced& r) {
    auto* to = out->mutable_replica_placed();
    to->set_replica(r.replica.value());
    to->set_incarnation(r.replica.incarnation().value());
    to->set_deployment(r.deployment);
    to->set_generation(r.generation);
    to->set_group(r.group);
    EncodePlacement(r.placement, to->mutable_placement());
    to->set_price_micros_per_hour(r.price.micros_per_hour);
    EncodeResources(r.resources, to->mutable_resources());
    to->set_concurrency(r.concurrency);
  }
  void operator()(const ReplicaStopping& r) {
    auto* to = out->mutable_replica_stopping();
    to->set_replica(r.replica.value());
    to->set_incarnation(r.replica.incarnation().value());
  }
  void operator()(const ReplicaGone& r) {
    auto* to = out->mutable_replica_gone();
    to->set_replica(r.replica.value());
    to->set_incarnation(r.replica.incarnation().value());
  }
};

StatusOr<JobId> DecodeJobId(uint64_t number) {
  if (number == 0) return InvalidArgument("a record names no job");
  return JobId(number);
}
StatusOr<NodeId> DecodeNodeId(uint32_t number) {
  if (number == 0) return InvalidArgument("a record names no node");
  return NodeId(number);
}
// Of any record that names one.
template <class Message>
StatusOr<ReplicaId> DecodeReplicaId(const Message& in) {
  if (in.replica() == 0) return InvalidArgument("a record names no replica");
  return ReplicaId(in.replica(), Incarnation(in.incarnation()));
}

// One function a kind keeps each readable; the switch below is only the table.
StatusOr<Record> From(Time at, const pb::NodeRegistered& in) {
  NodeRegistered r{.at = at};
  ASSIGN_OR_RETURN(r.node, DecodeNodeId(in.node()));
  r.epoch = Epoch(in.epoch());
  r.registration = in.registration();
  ASSIGN_OR_RETURN(NodeInfo info, wire::Decode(in.info()));
  r.info = std::make_shared<const NodeInfo>(std::move(info));
  return r;
}
StatusOr<Record> From(Time at, const pb::NodeLost& in) {
  NodeLost r{.at = at};
  ASSIGN_OR_RETURN(r.node, DecodeNodeId(in.node()));
  r.epoch = Epoch(in.epoch());
  return r;
}
StatusOr<Record> From(Time at, const pb::NodeDrainSet& in) {
  NodeDrainSet r{.at = at};
  ASSIGN_OR_RETURN(r.node, DecodeNodeId(in.node()));
  r.drain = in.drain();
  return r;
}
StatusOr<Record> From(Time at, const pb::DeviceQuarantined& in) {
  ASSIGN_OR_RETURN(const NodeId node, DecodeNodeId(in.node()));
  return DeviceQuarantined{at, node, in.device(), FromMicros(in.until()), in.strikes(), in.why()};
}
StatusOr<Record> From(Time at, const pb::DeviceOnProbation& in) {
  ASSIGN_OR_RETURN(const NodeId node, DecodeNodeId(in.node()));
  return DeviceOnProbation{at, node, in.device()};
}
StatusOr<Record> From(Time at, const pb::DeviceCleared& in) {
  ASSIGN_OR_RETURN(const NodeId node, DecodeNodeId(in.node()));
  return DeviceCleared{at, node, in.device()};
}
StatusOr<Record> From(Time at, const pb::PolicySet& in) {
  ASSIGN_OR_RETURN(Policy policy, wire::Decode(in.policy()));
  return PolicySet{at, std::make_shared<const Policy>(std::move(policy))};
}
StatusOr<Record> From(Time at, const pb::JobAccepted& in) {
  JobAccepted r{.at = at};
  ASSIGN_OR_RETURN(r.job, DecodeJobId(in.job()));
  ASSIGN_OR_RETURN(JobSpec spec, wire::Decode(in.spec()));
  r.spec = std::make_shared<const JobSpec>(std::move(spec));
  r.user = in.user();
  r.idempotency_key = in.idempotency_key();
  return r;
}
StatusOr<Record> From(Time at, const pb::JobPlaced& in) {
  JobPlaced r{.at = at};
  ASSIGN_OR_RETURN(r.job, DecodeJobId(in.job()));
  r.attempt = Attempt(in.attempt(), Incarnation(in.incarnation()));
  r.tasks.reserve(in.tasks_size());
  for (const auto& task : in.tasks()) {
    ASSIGN_OR_RETURN(TaskPlacement placement, DecodePlacement(task));
    r.tasks.push_back(placement);
  }
  r.alternative = in.alternative();
  r.price = {in.price_micros_per_hour()};
  if (in.main_port() > 65535) return InvalidArgument("main_port {} is no port", in.main_port());
  r.main_port = static_cast<uint16_t>(in.main_port());
  r.terms = {Duration(in.lease()), Duration(in.lease_margin())};
  return r;
}
StatusOr<Record> From(Time at, const pb::TaskStarted& in) {
  TaskStarted r{.at = at};
  ASSIGN_OR_RETURN(r.key, wire::Decode(in.key()));
  r.pid = in.pid();
  return r;
}
StatusOr<Record> From(Time at, const pb::TaskExited& in) {
  TaskExited r{.at = at};
  ASSIGN_OR_RETURN(r.key, wire::Decode(in.key()));
  r.exit = wire::Decode(in.exit());
  return r;
}
StatusOr<Record> From(Time at, const pb::TaskAbandoned& in) {
  TaskAbandoned r{.at = at};
  ASSIGN_OR_RETURN(r.key, wire::Decode(in.key()));
  return r;
}
StatusOr<Record> From(Time at, const pb::JobStopping& in) {
  JobStopping r{.at = at};
  ASSIGN_OR_RETURN(r.job, DecodeJobId(in.job()));
  if (in.has_outcome()) {
    ASSIGN_OR_RETURN(r.outcome, DecodeOutcome(in.outcome()));
  }
  ASSIGN_OR_RETURN(r.requeue, DecodeRequeueReason(in.requeue()));
  r.code = in.code();
  r.cancelled = in.cancelled();
  return r;
}
StatusOr<Record> From(Time at, const pb::JobRequeued& in) {
  JobRequeued r{.at = at};
  ASSIGN_OR_RETURN(r.job, DecodeJobId(in.job()));
  ASSIGN_OR_RETURN(r.reason, DecodeRequeueReason(in.reason()));
  r.not_before = FromMicros(in.not_before());
  return r;
}
StatusOr<Record> From(Time at, const pb::JobFinished& in) {
  JobFinished r{.at = at};
  ASSIGN_OR_RETURN(r.job, DecodeJobId(in.job()));
  ASSIGN_OR_RETURN(r.outcome, DecodeOutcome(in.outcome()));
  r.code = in.code();
  r.cost = {in.cost_micros()};
  return r;
}
StatusOr<Record> From(Time at, const pb::DeploymentSet& in) {
  ASSIGN_OR_RETURN(DeploymentSpec spec, wire::Decode(in.spec()));
  return DeploymentSet{at, std::make_shared<const DeploymentSpec>(std::move(spec)), in.generation(),
                       in.user()};
}
StatusOr<Record> From(Time at, const pb::ReplicaPlaced& in) {
  ReplicaPlaced r{.at = at};
  ASSIGN_OR_RETURN(r.replica, DecodeReplicaId(in));
  r.deployment = in.deployment();
  r.generation = in.generation();
  r.group = in.group();
  ASSIGN_OR_RETURN(r.placement, DecodePlacement(in.placement()));
  r.price = {in.price_micros_per_hour()};
  r.resources = DecodeResources(in.resources());
  r.concurrency = in.concurrency();
  return r;
}
StatusOr<Record> From(Time at, const pb::ReplicaStopping& in) {
  ASSIGN_OR_RETURN(ReplicaId id, DecodeReplicaId(in));
  return ReplicaStopping{at, id};
}
StatusOr<Record> From(Time at, const pb::ReplicaGone& in) {
  ASSIGN_OR_RETURN(ReplicaId id, DecodeReplicaId(in));
  return ReplicaGone{at, id};
}

// The record as the next start will see it.
StatusOr<Record> Reread(const Record& record) {
  pb::Record out, in;
  EncodeRecord(record, &out);
  // Parsing is what refuses text that is not UTF-8.
  if (!in.ParseFromString(out.SerializeAsString())) {
    return InvalidArgument("it holds text that is not UTF-8; send it as UTF-8");
  }
  return DecodeRecord(in);
}

template <class R, class Same>
Status CheckRereads(const R& record, Same same) {
  ASSIGN_OR_RETURN(const Record read, Reread(record));
  const R* again = std::get_if<R>(&read);
  if (again != nullptr && same(*again)) return absl::OkStatus();
  return InvalidArgument("the journal would not give this back as it is; leave out odd text");
}

}  // namespace

void EncodePlacement(const TaskPlacement& in, pb::TaskPlacement* out) {
  out->set_node(in.node.value());
  out->set_devices_low(in.devices.words()[0]);
  out->set_devices_high(in.devices.words()[1]);
  out->set_power_milliwatts(in.power);
  out->set_memory(in.memory);
}

void EncodeResources(const Resources& in, ::allot::wire::Resources* out) {
  out->set_cpus(in.cpus);
  out->set_memory(in.memory);
}

Resources DecodeResources(const ::allot::wire::Resources& in) {
  return {.cpus = in.cpus(), .memory = in.memory()};
}

StatusOr<TaskPlacement> DecodePlacement(const pb::TaskPlacement& in) {
  TaskPlacement placement;
  ASSIGN_OR_RETURN(placement.node, DecodeNodeId(in.node()));
  placement.devices = DeviceSet::Make(in.devices_low(), in.devices_high());
  placement.power = in.power_milliwatts();
  placement.memory = in.memory();
  return placement;
}

StatusOr<JobOutcome> DecodeOutcome(int32_t number) {
  if (number < 0 || number > static_cast<int32_t>(JobOutcome::kTimedOut)) {
    return InvalidArgument("job outcome {} is not known to this version", number);
  }
  return static_cast<JobOutcome>(number);
}

StatusOr<RequeueReason> DecodeRequeueReason(int32_t number) {
  if (number < 0 || number > static_cast<int32_t>(RequeueReason::kLeaseEnded)) {
    return InvalidArgument("requeue reason {} is not known to this version", number);
  }
  return static_cast<RequeueReason>(number);
}

void EncodeRecord(const Record& record, pb::Record* out) {
  out->set_at(ToMicros(TimeOf(record)));
  std::visit(Encoder{out}, record);
}

StatusOr<Record> DecodeRecord(const pb::Record& in) {
  const Time at = FromMicros(in.at());
  switch (in.kind_case()) {
    case pb::Record::kTermBegun:
      return TermBegun{
          at,
          Term(in.term_begun().term()),
          Incarnation(in.term_begun().incarnation()),
          {FromMicros(in.term_begun().certain()), FromMicros(in.term_begun().doubted())}};
    case pb::Record::kPolicySet:
      return From(at, in.policy_set());
    case pb::Record::kNodeRegistered:
      return From(at, in.node_registered());
    case pb::Record::kNodeLost:
      return From(at, in.node_lost());
    case pb::Record::kNodeDrainSet:
      return From(at, in.node_drain_set());
    case pb::Record::kDeviceQuarantined:
      return From(at, in.device_quarantined());
    case pb::Record::kDeviceOnProbation:
      return From(at, in.device_on_probation());
    case pb::Record::kDeviceCleared:
      return From(at, in.device_cleared());
    case pb::Record::kJobAccepted:
      return From(at, in.job_accepted());
    case pb::Record::kJobPlaced:
      return From(at, in.job_placed());
    case pb::Record::kTaskStarted:
      return From(at, in.task_started());
    case pb::Record::kTaskExited:
      return From(at, in.task_exited());
    case pb::Record::kJobStopping:
      return From(at, in.job_stopping());
    case pb::Record::kTaskAbandoned:
      return From(at, in.task_abandoned());
    case pb::Record::kJobRequeued:
      return From(at, in.job_requeued());
    case pb::Record::kJobFinished:
      return From(at, in.job_finished());
    case pb::Record::kDeploymentSet:
      return From(at, in.deployment_set());
    case pb::Record::kDeploymentRemoved:
      return DeploymentRemoved{at, in.deployment_removed().name()};
    case pb::Record::kDeploymentStopping:
      return DeploymentStopping{at, in.deployment_stopping().name()};
    case pb::Record::kReplicaPlaced:
      return From(at, in.replica_placed());
    case pb::Record::kReplicaStopping:
      return From(at, in.replica_stopping());
    case pb::Record::kReplicaGone:
      return From(at, in.replica_gone());
    case pb::Record::KIND_NOT_SET:
      break;
  }
  return InvalidArgument("a record of a kind this version does not know");
}

Status CheckStorable(const Event& event) {
  if (const auto* asked = std::get_if<JobSubmitted>(&event)) {
    const JobAccepted record{.job = JobId(1),
                             .spec = asked->spec,
                             .user = asked->user,
                             .idempotency_key = asked->idempotency_key};
    return CheckRereads(record, [&](const JobAccepted& again) {
      return *again.spec == *record.spec && again.user == record.user &&
             again.idempotency_key == record.idempotency_key;
    });
  }
  if (const auto* asked = std::get_if<DeploymentApplied>(&event)) {
    return CheckRereads(DeploymentSet{.spec = asked->spec, .user = asked->user},
                        [&](const DeploymentSet& again) {
                          return *again.spec == *asked->spec && again.user == asked->user;
                        });
  }
  if (const auto* asked = std::get_if<PolicyApplied>(&event)) {
    return CheckRereads(PolicySet{.policy = asked->policy},
                        [&](const PolicySet& again) { return *again.policy == *asked->policy; });
  }
  return absl::OkStatus();
}

Time TimeOf(const Record& record) {
  return std::visit([](const auto& r) { return r.at; }, record);
}

}  // namespace allot::scheduler
