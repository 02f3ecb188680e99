#include "scheduler/core/ledger.h"

#include <algorithm>

#include "common/base/check.h"

namespace allot::scheduler {

Ledger::Ledger(CoreOptions options)
    : options_(std::move(options)), index_(classes_), search_(classes_, index_) {
  TakePolicy();
}

// A policy is recorded only after its algorithms were found, so not finding them is our fault.
void Ledger::TakePolicy() {
  const Policy& policy = *state_.policy();
  auto queue = policies::MakeQueuePolicy(policy.queue);
  auto placement = policies::MakePlacementPolicy(policy.placement, policy.prices);
  CHECK(queue.ok() && placement.ok());
  TakePrices();
  index_.SetCaps(policy.power);
  queue_.SetPolicy(queue->get(), policy.queue);
  search_.SetPolicy(placement->get());
  queue_policy_ = *std::move(queue);
  placement_policy_ = *std::move(placement);
}

void Ledger::TakePrices() {
  const PriceBook& prices = state_.policy()->prices;
  classes_.SetPrices(prices, now);
  index_.Reprice();
  prices_end_ = HoursEnd(prices, now);
}

// A deployment's price cap may hold back other replicas than before.
void Ledger::TakePricesOfHour() {
  TakePrices();
  for (const auto& [name, deployment] : state_.deployments()) deployments_dirty.insert(name);
  routes_all_dirty = true;
}

PriceRate Ledger::PriceNow(const ReplicaState& replica) const {
  const PlacementIndex::Row& row = index_.row(replica.placement.node.value() - 1);
  PriceRate price = classes_.PriceOfShare(row.cpu_class, replica.resources.cpus);
  for (const PlacementIndex::Part& part : row.parts) {
    price.micros_per_hour += classes_.Get(part.device_class).price.micros_per_hour *
                             (part.all & replica.placement.devices).Count();
  }
  return price;
}

void Ledger::Rebuild() {
  TakePolicy();
  links_.resize(state_.nodes().size());
  for (const NodeState& node : state_.nodes()) DescribeNode(node.id);
  for (const auto& [id, job] : state_.jobs()) {
    switch (job.phase) {
      case JobPhase::kPending:
        ++counts_.pending;
        Enqueue(job);
        break;
      case JobPhase::kRunning:
        ++counts_.running;
        assigned.push_back({ListeningNow(), id, job.attempt});
        queue_.AddUsage(job.spec->tenant, job.price.micros_per_hour);
        WatchTimeLimit(job);
        break;
      case JobPhase::kStopping:
        ++counts_.stopping;
        queue_.AddUsage(job.spec->tenant, job.price.micros_per_hour);
        break;
      case JobPhase::kFinished:
        ++counts_.finished;
        break;
    }
  }
  for (const auto& [name, deployment] : state_.deployments()) deployments_dirty.insert(name);
  routes_all_dirty = true;
}

void Ledger::Fence(const TaskKey& key) {
  const JobState& job = *state_.FindJob(key.task.job);
  if (!job.terms.needed()) return;
  const auto granted = leases_granted.find(key);
  Time last;
  if (granted != leases_granted.end()) {
    last = granted->second;
  } else if (key.attempt.incarnation() != state_.incarnation()) {
    last = started;
  } else {
    return;  // Nothing runs without a lease.
  }
  Time& fence = fences_[key.task.job];
  fence = std::max(fence, last + job.terms.lease + job.terms.margin);
}

Time Ledger::FencedUntil(const JobState& job) const {
  if (!job.spec->at_most_one || job.spec->runtime != TaskRuntime::kProcess) return Time();
  Time until;
  if (const auto it = fences_.find(job.id); it != fences_.end()) until = it->second;
  // Of an earlier life: whatever is known of its attempts, there may have been another since.
  if (job.incarnation != state_.incarnation() &&
      job.attempt.incarnation() != state_.incarnation()) {
    const LeaseTerms& usual = options_.task_lease;
    until = std::max(until, started + std::max(usual.lease, job.terms.lease) +
                                std::max(usual.margin, job.terms.margin));
  }
  return until;
}

void Ledger::Enqueue(const JobState& job) {
  if (const Time at = BeginsAt(job); at > now) {
    paused_.insert({at, job.id});
  } else {
    queue_.Add(job);
  }
}

void Ledger::ReleasePaused() {
  while (!paused_.empty() && paused_.begin()->first <= now) {
    queue_.Add(*state_.FindJob(paused_.begin()->second));
    paused_.erase(paused_.begin());
  }
}

NodeLink& Ledger::link(NodeId node) {
  CHECK(node.valid() && node.value() <= links_.size());
  return links_[node.value() - 1];
}

const NodeLink* Ledger::FindLink(NodeId node) const {
  return node.valid() && node.value() <= links_.size() ? &links_[node.value() - 1] : nullptr;
}

void Ledger::RefreshNodesOf(const JobState& job) {
  NodeId last;
  for (const TaskState& task : job.tasks) {
    if (task.placement.node == last) continue;
    last = task.placement.node;
    RefreshNode(last);
  }
}

// The limit of an attempt runs from the start of its last task.
void Ledger::WatchTimeLimit(const JobState& job) {
  if (!job.spec->time_limit || job.phase != JobPhase::kRunning) return;
  Time last;
  for (const TaskState& task : job.tasks) {
    if (task.phase == TaskPhase::kAssigned) return;
    last = std::max(last, task.started);
  }
  // By a clock that may be far ahead whatever runs has run for too long: its time begins anew.
  last = std::max(last, state_.trust().doubted);
  const Time end = last + *job.spec->time_limit;
  if (time_limit_of_.try_emplace(job.id, end).second) time_limits_.insert({end, job.id});
}

void Ledger::ForgetTimeLimit(JobId job) {
  const auto it = time_limit_of_.find(job);
  if (it == time_limit_of_.end()) return;
  time_limits_.erase({it->second, job});
  time_limit_of_.erase(it);
}

void Ledger::ForgetAttempt(const JobState& job) {
  ForgetTimeLimit(job.id);
  acknowledged.erase({job.id, job.attempt});
  for (uint32_t rank = 0; rank < job.tasks.size(); ++rank) {
    progress.erase(TaskId{job.id, rank});
    leases_granted.erase(TaskKey{TaskId{job.id, rank}, job.attempt});
  }
}

void Ledger::DirtyReplicasOf(const NodeState& node) {
  for (const ReplicaId id : node.replicas) {
    const std::string& name = state_.replicas().at(id).deployment;
    deployments_dirty.insert(name);
    routes_dirty.insert(name);
  }
}

void Ledger::Observe(const PolicySet&, JobPhase) {
  TakePolicy();
  index_.MarkAllGrown();  // Price caps and scores changed: everything is worth another try.
  for (const auto& [name, deployment] : state_.deployments()) deployments_dirty.insert(name);
  routes_all_dirty = true;
}

void Ledger::Observe(const NodeRegistered& r, JobPhase) {
  if (links_.size() < state_.nodes().size()) links_.resize(state_.nodes().size());
  DescribeNode(r.node);
  DirtyReplicasOf(*state_.FindNode(r.node));
}

void Ledger::Observe(const NodeLost& r, JobPhase) {
  RefreshNode(r.node);
  DirtyReplicasOf(*state_.FindNode(r.node));
}

void Ledger::Observe(const NodeDrainSet& r, JobPhase) {
  RefreshNode(r.node);
  DirtyReplicasOf(*state_.FindNode(r.node));
}

void Ledger::DescribeNode(NodeId node) {
  index_.Describe(*state_.FindNode(node), OnTrial(node));
  TellLasting(node);
}

void Ledger::TellLasting(NodeId node) {
  Resources leased{0, 0};
  DeviceSet devices;
  for (const ReplicaId id : state_.FindNode(node)->replicas) {
    const ReplicaState& replica = state_.replicas().at(id);
    leased.cpus += replica.resources.cpus;
    leased.memory += replica.resources.memory;
    devices = devices | replica.placement.devices;
  }
  index_.SetLasting(node, leased, devices);
}

// Tasks from before run on and decide nothing.
bool Ledger::OnTrial(NodeId id) const {
  const NodeState& node = *state_.FindNode(id);
  const Quarantine* probation = node.Probation();
  if (probation == nullptr) return false;
  return std::any_of(node.tasks.begin(), node.tasks.end(), [&](const TaskKey& key) {
    return state_.FindJob(key.task.job)->placed >= probation->since;
  });
}

void Ledger::Observe(const DeviceQuarantined& r, JobPhase) { DescribeNode(r.node); }
void Ledger::Observe(const DeviceOnProbation& r, JobPhase) { DescribeNode(r.node); }
void Ledger::Observe(const DeviceCleared& r, JobPhase) { DescribeNode(r.node); }

void Ledger::Observe(const JobAccepted& r, JobPhase) {
  ++counts_.pending;
  queue_.Add(*state_.FindJob(r.job));
}

void Ledger::Observe(const JobPlaced& r, JobPhase) {
  const JobState& job = *state_.FindJob(r.job);
  --counts_.pending;
  ++counts_.running;
  queue_.Remove(job);
  fences_.erase(r.job);
  queue_.AddUsage(job.spec->tenant, job.price.micros_per_hour);
  assigned.push_back({ListeningNow(), r.job, r.attempt});
  RefreshNodesOf(job);
}

void Ledger::Observe(const TaskStarted& r, JobPhase) {
  WatchTimeLimit(*state_.FindJob(r.key.task.job));
}

void Ledger::Observe(const TaskExited& r, JobPhase) {
  const JobState& job = *state_.FindJob(r.key.task.job);
  RefreshNode(job.tasks[r.key.task.index].placement.node);
  WatchTimeLimit(job);
}

void Ledger::Observe(const TaskAbandoned& r, JobPhase) {
  RefreshNode(state_.FindJob(r.key.task.job)->tasks[r.key.task.index].placement.node);
}

void Ledger::Observe(const JobStopping& r, JobPhase before) {
  if (before == JobPhase::kStopping) return;  // Only the reason changed.
  --counts_.running;
  ++counts_.stopping;
  ForgetTimeLimit(r.job);
}

void Ledger::Observe(const JobRequeued& r, JobPhase before) {
  const JobState& job = *state_.FindJob(r.job);
  before == JobPhase::kStopping ? --counts_.stopping : --counts_.running;
  ++counts_.pending;
  ForgetAttempt(job);
  queue_.AddUsage(job.spec->tenant, -job.price.micros_per_hour);
  Enqueue(job);
}

void Ledger::Observe(const JobFinished& r, JobPhase before) {
  const JobState& job = *state_.FindJob(r.job);
  switch (before) {
    case JobPhase::kPending:
      --counts_.pending;
      if (paused_.erase({BeginsAt(job), r.job}) == 0) queue_.Remove(job);
      break;
    case JobPhase::kRunning:
      --counts_.running;
      break;
    case JobPhase::kStopping:
      --counts_.stopping;
      break;
    case JobPhase::kFinished:
      CHECK(before != JobPhase::kFinished);
  }
  if (before != JobPhase::kPending) queue_.AddUsage(job.spec->tenant, -job.price.micros_per_hour);
  ForgetAttempt(job);
  fences_.erase(r.job);
  counts_.finished = std::min<uint32_t>(counts_.finished + 1, ClusterState::kFinishedJobsKept);
}

void Ledger::Observe(const DeploymentSet& r, JobPhase) {
  deployments_dirty.insert(r.spec->name);
  routes_dirty.insert(r.spec->name);
}

void Ledger::Observe(const DeploymentStopping& r, JobPhase) {
  deployments_dirty.insert(r.name);
  routes_dirty.insert(r.name);
}

void Ledger::Observe(const DeploymentRemoved& r, JobPhase) { deployments_rolling.erase(r.name); }

void Ledger::Observe(const ReplicaPlaced& r, JobPhase) {
  RefreshNode(r.placement.node);
  TellLasting(r.placement.node);
  routes_dirty.insert(r.deployment);
}

void Ledger::Observe(const ReplicaStopping& r, JobPhase) {
  routes_dirty.insert(state_.replicas().at(r.replica).deployment);
}

void Ledger::ForgetReplica(const ReplicaGone& r, Effects& out) {
  const ReplicaState replica = state_.replicas().at(r.replica);
  Remember(r, out);
  RefreshNode(replica.placement.node);
  TellLasting(replica.placement.node);
  replica_status.erase(r.replica);
  deployments_dirty.insert(replica.deployment);
  routes_dirty.insert(replica.deployment);
}

}  // namespace allot::scheduler
