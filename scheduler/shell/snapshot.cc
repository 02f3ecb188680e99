#include "scheduler/shell/snapshot.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "common/wire/codec.h"
#include "scheduler/shell/record_codec.h"

namespace allot::scheduler {
namespace {

namespace pb = ::allot::records;

constexpr uint32_t kSnapshotVersion = 1;
constexpr int kKeysInPart = 500;

// The numbers beside their incarnations; those are absent where a build wrote them that knew of none.
template <class Message>
void EncodeReplicas(const std::vector<ReplicaId>& replicas, Message* out) {
  for (const ReplicaId id : replicas) {
    out->add_replicas(id.value());
    out->add_replica_incarnations(id.incarnation().value());
  }
}

template <class Message>
Status DecodeReplicas(const Message& in, std::vector<ReplicaId>* out) {
  const int named = in.replica_incarnations_size();
  if (named != 0 && named != in.replicas_size())
    return InvalidArgument("{} replicas with {} incarnations", in.replicas_size(), named);
  for (int i = 0; i < in.replicas_size(); ++i)
    out->emplace_back(in.replicas(i), Incarnation(named == 0 ? 0 : in.replica_incarnations(i)));
  return absl::OkStatus();
}

void EncodeNode(const NodeState& node, pb::NodeState* out) {
  out->set_id(node.id.value());
  wire::Encode(*node.info, out->mutable_info());
  out->set_epoch(node.epoch.value());
  out->set_registration(node.registration);
  out->set_alive(node.alive);
  out->set_draining(node.draining);
  out->set_since(ToMicros(node.since));
  for (const TaskKey& key : node.tasks) wire::Encode(key, out->add_tasks());
  EncodeReplicas(node.replicas, out);
  for (const auto& [device, quarantine] : node.quarantines) {
    pb::Quarantine* to = out->add_quarantines();
    to->set_device(device);
    to->set_since(ToMicros(quarantine.since));
    to->set_until(ToMicros(quarantine.until));
    to->set_strikes(quarantine.strikes);
    to->set_probation(quarantine.probation);
    to->set_why(quarantine.why);
  }
}

void EncodeTask(const TaskState& task, pb::TaskState* out) {
  EncodePlacement(task.placement, out->mutable_placement());
  out->set_phase(static_cast<int32_t>(task.phase));
  out->set_abandoned(task.abandoned);
  out->set_pid(task.pid);
  out->set_started(ToMicros(task.started));
  if (task.exit) wire::Encode(*task.exit, out->mutable_exit());
}

StatusOr<TaskState> DecodeTask(const pb::TaskState& in) {
  TaskState task;
  ASSIGN_OR_RETURN(task.placement, DecodePlacement(in.placement()));
  if (in.phase() < 0 || in.phase() > static_cast<int32_t>(TaskPhase::kExited)) {
    return InvalidArgument("task phase {} is not known to this version", in.phase());
  }
  task.phase = static_cast<TaskPhase>(in.phase());
  task.abandoned = in.abandoned();
  task.pid = in.pid();
  task.started = FromMicros(in.started());
  if (in.has_exit()) task.exit = wire::Decode(in.exit());
  return task;
}

}  // namespace

void EncodeJobState(const JobState& job, pb::JobState* out) {
  out->set_id(job.id.value());
  out->set_incarnation(job.incarnation.value());
  wire::Encode(*job.spec, out->mutable_spec());
  out->set_user(job.user);
  out->set_idempotency_key(job.idempotency_key);
  out->set_phase(static_cast<int32_t>(job.phase));
  out->set_submitted(ToMicros(job.submitted));
  out->set_queued(ToMicros(job.queued));
  out->set_placed(ToMicros(job.placed));
  out->set_finished(ToMicros(job.finished));
  out->set_attempt(job.attempt.value());
  out->set_attempt_incarnation(job.attempt.incarnation().value());
  out->set_failures(job.failures);
  out->set_not_before(ToMicros(job.not_before));
  for (const NodeId node : job.unfit_nodes) out->add_unfit_nodes(node.value());
  out->set_node_faults(job.node_faults);
  if (job.failed_rank) out->set_failed_rank(*job.failed_rank);
  for (const TaskState& task : job.tasks) EncodeTask(task, out->add_tasks());
  for (const EarlierAttempt& earlier : job.earlier) {
    auto* to = out->add_earlier();
    to->set_attempt(earlier.attempt.value());
    to->set_incarnation(earlier.attempt.incarnation().value());
    for (const NodeId node : earlier.nodes) to->add_nodes(node.value());
    for (const uint32_t rank : earlier.abandoned) to->add_abandoned(rank);
  }
  out->set_alternative(job.alternative);
  out->set_price_micros_per_hour(job.price.micros_per_hour);
  out->set_main_port(job.main_port);
  out->set_lease(job.terms.lease.count());
  out->set_lease_margin(job.terms.margin.count());
  out->set_cost_micros(job.cost.micros);
  out->set_energy_millijoules(job.energy);
  out->set_energy_modelled(job.energy_modelled);
  if (job.stopping) {
    auto* stopping = out->mutable_stopping();
    stopping->set_job(job.stopping->job.value());
    if (job.stopping->outcome) stopping->set_outcome(static_cast<int32_t>(*job.stopping->outcome));
    stopping->set_requeue(static_cast<int32_t>(job.stopping->requeue));
    stopping->set_code(job.stopping->code);
    stopping->set_cancelled(job.stopping->cancelled);
    out->set_stopping_at(ToMicros(job.stopping->at));
  }
  if (job.outcome) out->set_outcome(static_cast<int32_t>(*job.outcome));
  out->set_code(job.code);
  out->set_spec_cut(job.spec_cut);
}

StatusOr<JobState> DecodeJobState(const pb::JobState& in) {
  JobState job;
  if (in.id() == 0) return InvalidArgument("a job without a number");
  job.id = JobId(in.id());
  job.incarnation = Incarnation(in.incarnation());
  ASSIGN_OR_RETURN(JobSpec spec, wire::Decode(in.spec()));
  job.spec = std::make_shared<const JobSpec>(std::move(spec));
  job.user = in.user();
  job.idempotency_key = in.idempotency_key();
  if (in.phase() < 0 || in.phase() > static_cast<int32_t>(JobPhase::kFinished)) {
    return InvalidArgument("job phase {} is not known to this version", in.phase());
  }
  job.phase = static_cast<JobPhase>(in.phase());
  job.submitted = FromMicros(in.submitted());
  job.queued = FromMicros(in.queued());
  job.placed = FromMicros(in.placed());
  job.finished = FromMicros(in.finished());
  job.attempt = Attempt(in.attempt(), Incarnation(in.attempt_incarnation()));
  job.failures = in.failures();
  job.not_before = FromMicros(in.not_before());
  for (const uint32_t node : in.unfit_nodes()) job.unfit_nodes.emplace_back(node);
  job.node_faults = in.node_faults();
  job.spec_cut = in.spec_cut();
  if (in.has_failed_rank()) job.failed_rank = in.failed_rank();
  job.tasks.reserve(in.tasks_size());
  for (const auto& part : in.tasks()) {
    ASSIGN_OR_RETURN(TaskState task, DecodeTask(part));
    job.tasks.push_back(std::move(task));
  }
  for (const auto& part : in.earlier()) {
    EarlierAttempt& earlier = job.earlier.emplace_back();
    earlier.attempt = Attempt(part.attempt(), Incarnation(part.incarnation()));
    for (const uint32_t node : part.nodes()) earlier.nodes.emplace_back(node);
    for (const uint32_t rank : part.abandoned()) {
      if (rank >= static_cast<uint32_t>(part.nodes_size()))
        return InvalidArgument("{} gave up rank {} of an attempt of {}", ToString(job.id), rank,
                               part.nodes_size());
      earlier.abandoned.push_back(rank);
    }
    if (earlier.nodes.size() != job.spec->tasks) {
      return InvalidArgument("{} had an attempt of {} tasks, not {}", ToString(job.id),
                             earlier.nodes.size(), job.spec->tasks);
    }
  }
  job.alternative = in.alternative();
  job.price = {in.price_micros_per_hour()};
  job.terms = {Duration(in.lease()), Duration(in.lease_margin())};
  job.main_port = static_cast<uint16_t>(in.main_port());
  job.cost = {in.cost_micros()};
  job.energy = in.energy_millijoules();
  job.energy_modelled = in.energy_modelled();
  if (in.has_stopping()) {
    JobStopping stopping{.at = FromMicros(in.stopping_at()), .job = JobId(in.stopping().job())};
    if (in.stopping().has_outcome()) {
      ASSIGN_OR_RETURN(stopping.outcome, DecodeOutcome(in.stopping().outcome()));
    }
    ASSIGN_OR_RETURN(stopping.requeue, DecodeRequeueReason(in.stopping().requeue()));
    stopping.code = in.stopping().code();
    stopping.cancelled = in.stopping().cancelled();
    job.stopping = stopping;
  }
  if (in.has_outcome()) {
    ASSIGN_OR_RETURN(job.outcome, DecodeOutcome(in.outcome()));
  }
  job.code = in.code();
  return job;
}

Status StateCodec::Write(const ClusterState& state, const Sink& sink) {
  pb::SnapshotPart part;
  auto* head = part.mutable_head();
  head->set_version(kSnapshotVersion);
  head->set_term(state.term_.value());
  wire::Encode(*state.policy_, head->mutable_policy());
  head->set_last_job(state.last_job_.value());
  head->set_last_replica(state.last_replica_.value());
  head->set_generations_gone(state.generations_gone_);
  for (const ClusterState::Life& life : state.lineage_) {
    head->add_lineage(life.incarnation.value());
    head->add_lineage_jobs(life.jobs_until);
    head->add_lineage_replicas(life.replicas_until);
  }
  head->set_numbers_skipped(state.numbers_skipped_);
  head->set_newest(ToMicros(state.newest_));
  head->set_certain(ToMicros(state.trust_.certain));
  head->set_doubted(ToMicros(state.trust_.doubted));
  for (const JobId id : state.finished_) head->add_finished(id.value());
  RETURN_IF_ERROR(sink(part));
  for (const NodeState& node : state.nodes_) {
    part.Clear();
    EncodeNode(node, part.mutable_node());
    RETURN_IF_ERROR(sink(part));
  }
  for (const auto& [id, job] : state.jobs_) {
    part.Clear();
    EncodeJobState(job, part.mutable_job());
    RETURN_IF_ERROR(sink(part));
  }
  part.Clear();
  for (const ForgottenKey& forgotten : state.forgotten_keys_) {
    auto* out = part.mutable_forgotten_keys()->add_keys();
    out->set_key(forgotten.key);
    out->set_job(forgotten.job.value());
    out->set_finished(ToMicros(forgotten.finished));
    out->set_owner(forgotten.owner);
    if (part.forgotten_keys().keys_size() < kKeysInPart) continue;
    RETURN_IF_ERROR(sink(part));
    part.Clear();
  }
  if (part.has_forgotten_keys()) RETURN_IF_ERROR(sink(part));
  for (const auto& [name, deployment] : state.deployments_) {
    part.Clear();
    auto* out = part.mutable_deployment();
    wire::Encode(*deployment.spec, out->mutable_spec());
    out->set_generation(deployment.generation);
    out->set_stopping(deployment.stopping);
    EncodeReplicas(deployment.replicas, out);
    out->set_created(ToMicros(deployment.created));
    out->set_user(deployment.user);
    RETURN_IF_ERROR(sink(part));
  }
  for (const auto& [id, replica] : state.replicas_) {
    part.Clear();
    auto* out = part.mutable_replica();
    out->set_id(id.value());
    out->set_incarnation(id.incarnation().value());
    out->set_deployment(replica.deployment);
    out->set_generation(replica.generation);
    out->set_group(replica.group);
    EncodePlacement(replica.placement, out->mutable_placement());
    out->set_price_micros_per_hour(replica.price.micros_per_hour);
    out->set_stopping(replica.stopping);
    out->set_placed(ToMicros(replica.placed));
    EncodeResources(replica.resources, out->mutable_resources());
    out->set_concurrency(replica.concurrency);
    RETURN_IF_ERROR(sink(part));
  }
  return absl::OkStatus();
}

Status StateCodec::Reader::Add(const pb::SnapshotPart& part) {
  if (part.kind_case() == pb::SnapshotPart::kHead) return AddHead(part.head());
  if (!head_) return InvalidArgument("the snapshot does not begin with its head");
  switch (part.kind_case()) {
    case pb::SnapshotPart::kNode:
      return AddNode(part.node());
    case pb::SnapshotPart::kJob:
      return AddJob(part.job());
    case pb::SnapshotPart::kDeployment:
      return AddDeployment(part.deployment());
    case pb::SnapshotPart::kReplica:
      return AddReplica(part.replica());
    case pb::SnapshotPart::kForgottenKeys:
      return AddForgottenKeys(part.forgotten_keys());
    default:
      return InvalidArgument("a snapshot part of a kind this version does not know");
  }
}

Status StateCodec::Reader::AddHead(const pb::SnapshotHead& in) {
  if (head_) return InvalidArgument("the snapshot has two heads");
  if (in.version() != kSnapshotVersion) {
    return InvalidArgument("the snapshot has version {}; this program reads {}", in.version(),
                           kSnapshotVersion);
  }
  head_ = true;
  state_.term_ = Term(in.term());
  ASSIGN_OR_RETURN(Policy policy, wire::Decode(in.policy()));
  state_.policy_ = std::make_shared<const Policy>(std::move(policy));
  state_.last_job_ = JobId(in.last_job());
  state_.last_replica_ = ReplicaId(in.last_replica());
  state_.generations_gone_ = in.generations_gone();
  for (int i = 0; i < in.lineage_size(); ++i) {
    ClusterState::Life life{Incarnation(in.lineage(i))};
    if (i < in.lineage_jobs_size()) life.jobs_until = in.lineage_jobs(i);
    if (i < in.lineage_replicas_size()) life.replicas_until = in.lineage_replicas(i);
    state_.lineage_.push_back(life);
  }
  state_.numbers_skipped_ = in.numbers_skipped();
  state_.newest_ = FromMicros(in.newest());
  state_.trust_ = {FromMicros(in.certain()), FromMicros(in.doubted())};
  for (const uint64_t id : in.finished()) state_.finished_.push_back(JobId(id));
  return absl::OkStatus();
}

Status StateCodec::Reader::AddNode(const pb::NodeState& in) {
  if (in.id() != state_.nodes_.size() + 1) {
    return InvalidArgument("node {} stands where node {} is due", in.id(),
                           state_.nodes_.size() + 1);
  }
  NodeState node;
  node.id = NodeId(in.id());
  ASSIGN_OR_RETURN(NodeInfo info, wire::Decode(in.info()));
  node.info = std::make_shared<const NodeInfo>(std::move(info));
  node.epoch = Epoch(in.epoch());
  node.registration = in.registration();
  node.alive = in.alive();
  node.draining = in.draining();
  node.since = FromMicros(in.since());
  for (const auto& key : in.tasks()) {
    ASSIGN_OR_RETURN(TaskKey task, wire::Decode(key));
    node.tasks.push_back(task);
  }
  RETURN_IF_ERROR(DecodeReplicas(in, &node.replicas));
  for (const pb::Quarantine& quarantine : in.quarantines())
    node.quarantines[quarantine.device()] = {FromMicros(quarantine.since()),
                                             FromMicros(quarantine.until()), quarantine.strikes(),
                                             quarantine.probation(), quarantine.why()};
  state_.nodes_.push_back(std::move(node));
  return absl::OkStatus();
}

Status StateCodec::Reader::AddJob(const pb::JobState& in) {
  ASSIGN_OR_RETURN(JobState job, DecodeJobState(in));
  const JobId id = job.id;
  if (!state_.jobs_.emplace(id, std::move(job)).second) {
    return InvalidArgument("{} is there twice", ToString(id));
  }
  return absl::OkStatus();
}

Status StateCodec::Reader::AddForgottenKeys(const pb::ForgottenKeys& in) {
  for (const pb::ForgottenKey& key : in.keys()) {
    if (key.job() == 0) return InvalidArgument("an idempotency key of no job");
    state_.forgotten_keys_.push_back(
        {key.key(), JobId(key.job()), FromMicros(key.finished()), key.owner()});
  }
  return absl::OkStatus();
}

Status StateCodec::Reader::AddDeployment(const pb::DeploymentState& in) {
  DeploymentState deployment;
  ASSIGN_OR_RETURN(DeploymentSpec spec, wire::Decode(in.spec()));
  deployment.spec = std::make_shared<const DeploymentSpec>(std::move(spec));
  deployment.generation = in.generation();
  deployment.stopping = in.stopping();
  RETURN_IF_ERROR(DecodeReplicas(in, &deployment.replicas));
  deployment.created = FromMicros(in.created());
  deployment.user = in.user();
  const std::string name = deployment.spec->name;
  if (!state_.deployments_.emplace(name, std::move(deployment)).second) {
    return InvalidArgument("deployment {} is there twice", name);
  }
  return absl::OkStatus();
}

Status StateCodec::Reader::AddReplica(const pb::ReplicaState& in) {
  if (in.id() == 0) return InvalidArgument("a replica without a number");
  ReplicaState replica;
  replica.id = ReplicaId(in.id(), Incarnation(in.incarnation()));
  replica.deployment = in.deployment();
  replica.generation = in.generation();
  replica.group = in.group();
  ASSIGN_OR_RETURN(replica.placement, DecodePlacement(in.placement()));
  replica.price = {in.price_micros_per_hour()};
  replica.stopping = in.stopping();
  replica.placed = FromMicros(in.placed());
  replica.resources = DecodeResources(in.resources());
  replica.concurrency = in.concurrency();
  const ReplicaId id = replica.id;
  if (!state_.replicas_.emplace(id, std::move(replica)).second) {
    return InvalidArgument("{} is there twice", ToString(id));
  }
  return absl::OkStatus();
}

// RestoreDerived follows references and rightly crashes on one that leads nowhere; from a file that
// is an error.
Status StateCodec::Reader::CheckReferences() const {
  for (const NodeState& node : state_.nodes_) {
    for (const TaskKey& key : node.tasks) {
      const auto job = state_.jobs_.find(key.task.job);
      if (job == state_.jobs_.end() || key.task.index >= job->second.tasks.size()) {
        return InvalidArgument("node {} holds {}, which is not there", node.info->name,
                               ToString(key));
      }
    }
    for (const ReplicaId id : node.replicas) {
      if (!state_.replicas_.contains(id)) {
        return InvalidArgument("node {} holds {}, which is not there", node.info->name,
                               ToString(id));
      }
    }
  }
  for (const auto& [name, deployment] : state_.deployments_) {
    for (const ReplicaId id : deployment.replicas) {
      if (!state_.replicas_.contains(id))
        return InvalidArgument("deployment {} has {}, which is not there", name, ToString(id));
    }
  }
  return absl::OkStatus();
}

// A snapshot of an earlier version does not say when deployments were first set: no later than
// their oldest replica was placed.
void StateCodec::Reader::DateDeployments() {
  std::map<std::string, Time> oldest;
  for (const auto& [id, replica] : state_.replicas_) {
    const auto [at, fresh] = oldest.try_emplace(replica.deployment, replica.placed);
    if (!fresh) at->second = std::min(at->second, replica.placed);
  }
  for (auto& [name, deployment] : state_.deployments_) {
    const auto placed = oldest.find(name);
    if (deployment.created == Time() && placed != oldest.end()) deployment.created = placed->second;
  }
}

// Nor does it say when its last record was: no earlier than any time in it.
void StateCodec::Reader::DateNewest() {
  if (state_.newest_ != Time()) return;
  Time newest;
  for (const NodeState& node : state_.nodes_) newest = std::max(newest, node.since);
  for (const auto& [id, job] : state_.jobs_)
    newest = std::max({newest, job.submitted, job.placed, job.finished});
  state_.newest_ = newest;
}

StatusOr<ClusterState> StateCodec::Reader::Finish() {
  if (!head_) return InvalidArgument("the snapshot is empty");
  head_ = false;
  RETURN_IF_ERROR(CheckReferences());
  DateDeployments();
  DateNewest();
  state_.RestoreDerived();  // names, keys and what nodes have free are not written
  return std::exchange(state_, ClusterState());
}

}  // namespace allot::scheduler
