#include "scheduler/core/cluster_state.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace allot::scheduler {
namespace {

uint64_t BytesOf(const std::vector<std::string>& words) {
  uint64_t bytes = 0;
  for (const std::string& word : words) bytes += word.size();
  return bytes;
}

uint64_t Beyond(uint64_t bytes) {
  return bytes - std::min<uint64_t>(bytes, ClusterState::kSpecBytesFree);
}

void InsertInOrder(std::vector<ReplicaId>& ids, ReplicaId id) {
  ids.insert(std::upper_bound(ids.begin(), ids.end(), id), id);
}

// A lease takes only what is free: here the promise that no device is leased twice is kept, also
// against our own planner and against a journal that was tampered with.
void Take(NodeState& node, const TaskPlacement& placement, const Resources& resources) {
  const DeviceSet& devices = placement.devices;
  CHECK(devices.Minus(node.devices_free).Empty());
  CHECK(resources.cpus == 0 || resources.cpus <= node.cpus_free);
  CHECK(resources.memory == 0 || resources.memory <= node.memory_free);
  node.devices_free = node.devices_free.Minus(devices);
  node.cpus_free -= resources.cpus;
  node.memory_free -= resources.memory;
  node.power += placement.power;
}

void GiveBack(NodeState& node, const TaskPlacement& placement, const Resources& resources) {
  node.devices_free = node.devices_free | (placement.devices & node.accelerators);
  node.cpus_free += resources.cpus;
  node.memory_free += resources.memory;
  node.power -= placement.power;
}

DeviceSet AcceleratorsInService(const NodeState& node) {
  DeviceSet set;
  for (uint32_t i = 0; i < node.info->devices.size(); ++i) {
    const Device& device = node.info->devices[i];
    if (device.kind != DeviceKind::kCpu && device.state == DeviceState::kReady &&
        !node.Quarantined(device.id))
      set.Add(i);
  }
  return set;
}

// What a task that ended has drawn: as its node measured it, else by the most its lease could draw.
void AddEnergy(JobState& job, const TaskState& task, std::optional<MilliJoule> measured, Time end) {
  if (!measured && task.placement.power == 0) return;
  job.energy_modelled |= !measured;
  job.energy +=
      measured.value_or(EnergyOf(task.placement.power, std::max(end - task.started, Duration{})));
}

// The same devices by their position in another list; those that are gone are left out.
DeviceSet Moved(const DeviceSet& set, const NodeInfo& before, const NodeInfo& after) {
  DeviceSet moved;
  set.ForEach([&](uint32_t i) {
    const auto at =
        std::find_if(after.devices.begin(), after.devices.end(),
                     [&](const Device& device) { return device.id == before.devices[i].id; });
    if (at != after.devices.end()) moved.Add(static_cast<uint32_t>(at - after.devices.begin()));
  });
  return moved;
}

void RememberUnfit(JobState& job, NodeId node) {
  std::erase(job.unfit_nodes, node);
  job.unfit_nodes.push_back(node);
  if (job.unfit_nodes.size() > ClusterState::kUnfitNodesKept)
    job.unfit_nodes.erase(job.unfit_nodes.begin());
}

// The last attempt's tasks are about to be replaced; where they ran is kept.
void RememberAttempt(JobState& job) {
  if (job.tasks.empty()) return;
  EarlierAttempt& last = job.earlier.emplace_back();
  last.attempt = job.attempt;
  last.nodes.reserve(job.tasks.size());
  for (uint32_t rank = 0; rank < job.tasks.size(); ++rank) {
    last.nodes.push_back(job.tasks[rank].placement.node);
    if (job.tasks[rank].abandoned) last.abandoned.push_back(rank);
  }
  const size_t most = std::clamp<size_t>(ClusterState::kEarlierNodesKept / last.nodes.size(), 1,
                                         ClusterState::kEarlierAttemptsKept);
  if (job.earlier.size() > most) job.earlier.erase(job.earlier.begin());
}

// Neither names nor keys hold a line feed.
std::string OwnedKey(const std::string& owner, const std::string& key) {
  return owner.empty() ? key : owner + '\n' + key;
}

template <class T>
void EraseOne(std::vector<T>& items, const T& item) {
  const auto it = std::find(items.begin(), items.end(), item);
  CHECK(it != items.end());
  items.erase(it);
}

}  // namespace

const NodeState* ClusterState::FindNode(NodeId id) const {
  return id.valid() && id.value() <= nodes_.size() ? &nodes_[id.value() - 1] : nullptr;
}

const NodeState* ClusterState::FindNode(const std::string& name) const {
  const auto it = node_names_.find(name);
  return it == node_names_.end() ? nullptr : FindNode(it->second);
}

const JobState* ClusterState::FindJob(JobId id) const {
  const auto it = jobs_.find(id);
  return it == jobs_.end() ? nullptr : &it->second;
}

JobId ClusterState::FindByIdempotencyKey(const std::string& owner, const std::string& key) const {
  for (const std::string& whole : {OwnedKey(owner, key), OwnedKey("", key)}) {
    if (const auto it = idempotency_.find(whole); it != idempotency_.end()) return it->second;
  }
  return JobId();
}

std::string ClusterState::KeyOwner(const JobSpec& spec, const std::string& user) {
  return spec.tenant + '\n' + user;
}

bool ClusterState::Gave(const TaskKey& key) const {
  const Incarnation incarnation = key.attempt.incarnation();
  if (incarnation.valid()) {
    const Life* life = FindLife(incarnation);
    if (life == nullptr || key.task.job.value() > life->jobs_until) return false;
  }
  if (key.task.job > last_job_) return false;
  const JobState* job = FindJob(key.task.job);
  if (job == nullptr) return true;
  if (key.attempt.value() > job->attempt.value()) return false;
  // An attempt that is not remembered is found as it was asked for, without an incarnation.
  const Attempt known = allot::scheduler::Named(*job, Attempt(key.attempt.value()));
  return !known.incarnation().valid() || known.incarnation() == incarnation;
}

bool ClusterState::Gave(ReplicaId id) const {
  if (id.incarnation().valid()) {
    const Life* life = FindLife(id.incarnation());
    if (life == nullptr || id.value() > life->replicas_until) return false;
  }
  return id.value() <= last_replica_.value();
}

Attempt Named(const JobState& job, Attempt attempt) {
  if (attempt.incarnation().valid()) return attempt;
  if (job.attempt.value() == attempt.value()) return job.attempt;
  for (const EarlierAttempt& earlier : job.earlier)
    if (earlier.attempt.value() == attempt.value()) return earlier.attempt;
  return attempt;
}

ReplicaId ClusterState::Named(ReplicaId id) const {
  if (id.incarnation().valid()) return id;
  const auto it = replicas_.lower_bound(id);  // that of none comes first
  return it != replicas_.end() && it->first.value() == id.value() ? it->first : id;
}

JobState& ClusterState::MutableJob(JobId id) {
  const auto it = jobs_.find(id);
  CHECK(it != jobs_.end());
  return it->second;
}

NodeState& ClusterState::MutableNode(NodeId id) {
  CHECK(id.valid() && id.value() <= nodes_.size());
  return nodes_[id.value() - 1];
}

void ClusterState::Apply(const Record& record) {
  std::visit(
      [this](const auto& r) {
        Fold(r);
        newest_ = std::max(newest_, r.at);
      },
      record);
}

void ClusterState::Fold(const TermBegun& r) {
  term_ = r.term;
  trust_ = r.trust;
  if (r.at < newest_) TurnBack(r.at);
  if (!r.incarnation.valid()) return;
  if (!lineage_.empty()) {
    lineage_.back().jobs_until = last_job_.value();
    lineage_.back().replicas_until = last_replica_.value();
  }
  lineage_.push_back({r.incarnation});
  if (lineage_.size() > kLineageKept) lineage_.pop_front();
}

const ClusterState::Life* ClusterState::FindLife(Incarnation incarnation) const {
  const auto it = std::find_if(lineage_.rbegin(), lineage_.rend(), [&](const Life& life) {
    return life.incarnation == incarnation;
  });
  return it == lineage_.rend() ? nullptr : &*it;
}

bool ClusterState::Knows(Incarnation incarnation) const {
  return FindLife(incarnation) != nullptr;
}

void ClusterState::Fold(const PolicySet& r) { policy_ = r.policy; }

void ClusterState::Fold(const NodeRegistered& r) {
  CHECK(r.node.valid() && r.node.value() <= nodes_.size() + 1);
  const bool added = r.node.value() == nodes_.size() + 1;
  if (added) {
    nodes_.emplace_back();
    nodes_.back().id = r.node;
    node_names_[r.info->name] = r.node;
  }
  NodeState& node = MutableNode(r.node);
  const NodeInfoPtr before = std::exchange(node.info, r.info);
  node.epoch = r.epoch;
  node.registration = r.registration;
  if (!node.alive) node.since = r.at;
  node.alive = true;
  if (before != nullptr && before->devices != r.info->devices) MoveLeases(node, *before);
  ComputeFree(node);
}

// Devices are leased by position, and the list may have changed: leases follow the device's id.
void ClusterState::MoveLeases(NodeState& node, const NodeInfo& before) {
  for (const TaskKey& key : node.tasks) {
    DeviceSet& devices = MutableJob(key.task.job).tasks[key.task.index].placement.devices;
    devices = Moved(devices, before, *node.info);
  }
  for (const ReplicaId id : node.replicas) {
    DeviceSet& devices = replicas_.at(id).placement.devices;
    devices = Moved(devices, before, *node.info);
  }
}

// A node may offer less than it has leased (its owner lowered the offer); what it has free is then
// negative until work ends, and nothing is placed on it.
void ClusterState::ComputeFree(NodeState& node) {
  node.accelerators = AcceleratorsInService(node);
  node.devices_free = node.accelerators;
  node.cpus_free = node.info->cpus;
  node.memory_free = node.info->memory;
  node.power = node.power_lasting = 0;
  const auto take = [&node](const TaskPlacement& placement, const Resources& resources) {
    node.devices_free = node.devices_free.Minus(placement.devices);
    node.cpus_free -= resources.cpus;
    node.memory_free -= resources.memory;
    node.power += placement.power;
  };
  for (const TaskKey& key : node.tasks) {
    const JobState& job = MutableJob(key.task.job);
    const TaskPlacement& placement = job.tasks[key.task.index].placement;
    take(placement, LeasedOf(job.spec->resources, placement));
  }
  for (const ReplicaId id : node.replicas) {
    const ReplicaState& replica = replicas_.at(id);
    take(replica.placement, replica.resources);
    node.power_lasting += replica.placement.power;
  }
}

void ClusterState::Fold(const NodeLost& r) {
  NodeState& node = MutableNode(r.node);
  node.alive = false;
  node.epoch = r.epoch;
  node.since = r.at;
}

void ClusterState::Fold(const NodeDrainSet& r) { MutableNode(r.node).draining = r.drain; }

void ClusterState::Fold(const DeviceQuarantined& r) {
  NodeState& node = MutableNode(r.node);
  node.quarantines[r.device] = Quarantine{r.at, r.until, r.strikes, false, r.why};
  ComputeFree(node);
}

void ClusterState::Fold(const DeviceOnProbation& r) {
  NodeState& node = MutableNode(r.node);
  Quarantine& quarantine = node.quarantines.at(r.device);
  quarantine.probation = true;
  quarantine.since = r.at;
  ComputeFree(node);
}

void ClusterState::Fold(const DeviceCleared& r) {
  NodeState& node = MutableNode(r.node);
  node.quarantines.erase(r.device);
  ComputeFree(node);
}

uint64_t ClusterState::SpecBytes(const JobSpec& spec) {
  return Beyond(BytesOf(spec.command) + spec.environment.bytes() + spec.work_dir.size() +
                spec.checkpoint_dir.size());
}

uint64_t ClusterState::SpecBytes(const DeploymentSpec& spec) {
  uint64_t bytes = BytesOf(spec.command) + spec.work_dir.size();
  for (const auto& [name, value] : spec.environment) bytes += name.size() + value.size();
  return Beyond(bytes);
}

void ClusterState::Fold(const JobAccepted& r) {
  JobState& job = jobs_.emplace_hint(jobs_.end(), r.job, JobState{})->second;
  job.id = r.job;
  job.incarnation = incarnation();
  job.spec = r.spec;
  job.user = r.user;
  job.idempotency_key = r.idempotency_key;
  job.submitted = job.queued = r.at;
  CountSpec(r.spec->tenant, static_cast<int64_t>(SpecBytes(*r.spec)));
  if (r.job > last_job_) {
    numbers_skipped_ += r.job.value() - last_job_.value() - 1;
    last_job_ = r.job;
  }
  LapseKeys(r.at);
  if (!r.idempotency_key.empty())
    idempotency_[OwnedKey(KeyOwner(*r.spec, r.user), r.idempotency_key)] = r.job;
}

uint64_t ClusterState::spec_bytes(const std::string& tenant) const {
  const auto it = tenant_spec_bytes_.find(tenant);
  return it == tenant_spec_bytes_.end() ? 0 : it->second;
}

void ClusterState::CountSpec(const std::string& tenant, int64_t bytes) {
  if (bytes == 0) return;
  spec_bytes_ += static_cast<uint64_t>(bytes);
  const auto its = tenant_spec_bytes_.try_emplace(tenant).first;
  its->second += static_cast<uint64_t>(bytes);
  if (its->second == 0) tenant_spec_bytes_.erase(its);
}

JobSpecPtr ClusterState::KeptOf(const JobSpecPtr& spec, uint64_t* cut) {
  *cut = 0;
  if (SpecBytes(*spec) + kSpecBytesFree <= kFinishedSpecBytes) return spec;
  auto kept = std::make_shared<JobSpec>(*spec);
  if (kept->environment.bytes() > kFinishedSpecBytes) {
    *cut += kept->environment.bytes();
    kept->environment = {};
  }
  size_t left = kFinishedSpecBytes;
  for (size_t i = 0; i < kept->command.size(); ++i) {
    std::string& word = kept->command[i];
    if (word.size() <= left) {
      left -= word.size();
      continue;
    }
    for (size_t rest = i + 1; rest < kept->command.size(); ++rest)
      *cut += kept->command[rest].size();
    kept->command.resize(i + 1);
    while (left > 0 && (static_cast<unsigned char>(word[left]) & 0xc0) == 0x80) --left;  // UTF-8
    *cut += word.size() - left;
    word.resize(left);
    break;
  }
  return *cut == 0 ? spec : kept;
}

void ClusterState::LapseKeys(Time now) {
  // By a clock that may be years ahead all would lapse at once.
  const bool doubted = trust_.doubted != Time() && now - trust_.doubted < kKeyLife;
  while (!forgotten_keys_.empty() &&
         ((!doubted && forgotten_keys_.front().finished + kKeyLife <= now) ||
                                      forgotten_keys_.size() > kForgottenKeysMax)) {
    const ForgottenKey& oldest = forgotten_keys_.front();
    const auto it = idempotency_.find(OwnedKey(oldest.owner, oldest.key));
    if (it != idempotency_.end() && it->second == oldest.job) idempotency_.erase(it);
    forgotten_keys_.pop_front();
  }
}

// What was then said to be later has happened by now; what is due later is due after as long as it
// was. Times stay in the order they had.
void ClusterState::TurnBack(Time now) {
  const Duration by = newest_ - now;
  const auto past = [now](Time& t) { t = std::min(t, now); };
  const auto due = [by](Time& t) {
    if (t != Time() && t != kTimeMax) t -= by;
  };
  for (NodeState& node : nodes_) {
    past(node.since);
    for (auto& [device, quarantine] : node.quarantines) {
      past(quarantine.since);
      due(quarantine.until);
    }
  }
  for (auto& [id, job] : jobs_) {
    for (Time* t : {&job.submitted, &job.queued, &job.placed, &job.finished}) past(*t);
    due(job.not_before);
    if (job.stopping) past(job.stopping->at);
    for (TaskState& task : job.tasks) past(task.started);
  }
  for (auto& [id, replica] : replicas_) past(replica.placed);
  for (auto& [name, deployment] : deployments_) past(deployment.created);
  for (ForgottenKey& key : forgotten_keys_) past(key.finished);
  newest_ = now;
}

void ClusterState::ForgetOldestJob() {
  const auto oldest = jobs_.find(finished_.front());
  finished_.pop_front();
  JobState& job = oldest->second;
  if (!job.idempotency_key.empty()) {
    forgotten_keys_.push_back(
        {std::move(job.idempotency_key), job.id, job.finished, KeyOwner(*job.spec, job.user)});
  }
  jobs_.erase(oldest);
}

void ClusterState::Fold(const JobPlaced& r) {
  JobState& job = MutableJob(r.job);
  CHECK(job.phase == JobPhase::kPending);
  CHECK(r.tasks.size() == job.spec->tasks);
  RememberAttempt(job);
  job.phase = JobPhase::kRunning;
  job.attempt = r.attempt;
  job.placed = r.at;
  job.alternative = r.alternative;
  job.price = r.price;
  job.main_port = r.main_port;
  job.terms = r.terms;
  job.not_before = Time();
  job.failed_rank.reset();
  job.tasks.clear();
  job.tasks.reserve(r.tasks.size());
  for (uint32_t rank = 0; rank < r.tasks.size(); ++rank) {
    const TaskPlacement& placement = r.tasks[rank];
    NodeState& node = MutableNode(placement.node);
    Take(node, placement, LeasedOf(job.spec->resources, placement));
    node.tasks.push_back(TaskKey{TaskId{r.job, rank}, r.attempt});
    job.tasks.emplace_back().placement = placement;
  }
}

void ClusterState::Fold(const TaskStarted& r) {
  TaskState& task = MutableJob(r.key.task.job).tasks[r.key.task.index];
  task.phase = TaskPhase::kRunning;
  task.pid = r.pid;
  task.started = r.at;
}

void ClusterState::Fold(const TaskExited& r) {
  JobState& job = MutableJob(r.key.task.job);
  TaskState& task = job.tasks[r.key.task.index];
  CHECK(!task.abandoned && task.phase != TaskPhase::kExited);
  // One that was over before its start was told ran for as long as its node says.
  if (task.phase == TaskPhase::kAssigned)
    task.started =
        r.at - std::clamp(r.exit.ran(), Duration{}, std::max(r.at - job.placed, Duration{}));
  task.phase = TaskPhase::kExited;
  task.exit = r.exit;
  AddEnergy(job, task, r.exit.energy, r.at);
  if (job.phase == JobPhase::kRunning && !r.exit.succeeded() && !job.failed_rank)
    job.failed_rank = r.key.task.index;
  if (OfTheNode(r.exit.cause)) RememberUnfit(job, task.placement.node);
  NodeState& node = MutableNode(task.placement.node);
  EraseOne(node.tasks, r.key);
  GiveBack(node, task.placement, LeasedOf(job.spec->resources, task.placement));
}

void ClusterState::Fold(const TaskAbandoned& r) {
  JobState& job = MutableJob(r.key.task.job);
  TaskState& task = job.tasks[r.key.task.index];
  CHECK(!task.abandoned && task.phase != TaskPhase::kExited);
  task.abandoned = true;
  if (task.phase == TaskPhase::kRunning) AddEnergy(job, task, std::nullopt, r.at);
  NodeState& node = MutableNode(task.placement.node);
  EraseOne(node.tasks, r.key);
  GiveBack(node, task.placement, LeasedOf(job.spec->resources, task.placement));
}

void ClusterState::Fold(const JobStopping& r) {
  JobState& job = MutableJob(r.job);
  job.phase = JobPhase::kStopping;
  job.stopping = r;
}

void ClusterState::Fold(const JobRequeued& r) {
  JobState& job = MutableJob(r.job);
  job.phase = JobPhase::kPending;
  job.queued = r.at;
  job.stopping.reset();
  job.cost += CostOf(job.price, r.at - job.placed);
  job.not_before = r.not_before;
  if (r.reason == RequeueReason::kTaskFailed) ++job.failures;
  const bool fault = r.reason == RequeueReason::kNodeFault;
  if (!fault || r.at - job.placed > kFaultsForgottenAfter) job.node_faults = 0;
  job.node_faults += fault ? 1 : 0;
  if (!fault) job.unfit_nodes.clear();
}

void ClusterState::Fold(const JobFinished& r) {
  JobState& job = MutableJob(r.job);
  job.phase = JobPhase::kFinished;
  job.finished = r.at;
  job.stopping.reset();
  job.outcome = r.outcome;
  job.code = r.code;
  job.cost = r.cost;
  CountSpec(job.spec->tenant, -static_cast<int64_t>(SpecBytes(*job.spec)));
  job.spec = KeptOf(job.spec, &job.spec_cut);
  finished_.push_back(r.job);
  if (finished_.size() > kFinishedJobsKept) ForgetOldestJob();
  LapseKeys(r.at);
}

void ClusterState::Fold(const DeploymentSet& r) {
  const auto [at, fresh] = deployments_.try_emplace(r.spec->name);
  DeploymentState& deployment = at->second;
  if (fresh) deployment.created = r.at;
  if (!fresh)
    CountSpec(deployment.spec->tenant, -static_cast<int64_t>(SpecBytes(*deployment.spec)));
  CountSpec(r.spec->tenant, static_cast<int64_t>(SpecBytes(*r.spec)));
  deployment.spec = r.spec;
  deployment.generation = r.generation;
  deployment.user = r.user;
  deployment.stopping = false;
}

void ClusterState::Fold(const DeploymentStopping& r) { deployments_.at(r.name).stopping = true; }

void ClusterState::Fold(const DeploymentRemoved& r) {
  const auto it = deployments_.find(r.name);
  CHECK(it != deployments_.end() && it->second.replicas.empty());
  generations_gone_ = std::max(generations_gone_, it->second.generation);
  CountSpec(it->second.spec->tenant, -static_cast<int64_t>(SpecBytes(*it->second.spec)));
  deployments_.erase(it);
}

void ClusterState::Fold(const ReplicaPlaced& r) {
  ReplicaState& replica = replicas_[r.replica];
  replica.id = r.replica;
  replica.deployment = r.deployment;
  replica.generation = r.generation;
  replica.group = r.group;
  replica.placement = r.placement;
  replica.price = r.price;
  replica.resources = r.resources;
  replica.concurrency = r.concurrency;
  replica.placed = r.at;
  NodeState& node = MutableNode(r.placement.node);
  Take(node, r.placement, r.resources);
  node.power_lasting += r.placement.power;
  InsertInOrder(node.replicas, r.replica);  // One that is taken back has an old id.
  InsertInOrder(deployments_.at(r.deployment).replicas, r.replica);
  last_replica_ = std::max(last_replica_, r.replica);
}

void ClusterState::Fold(const ReplicaStopping& r) { replicas_.at(r.replica).stopping = true; }

void ClusterState::Fold(const ReplicaGone& r) {
  const auto it = replicas_.find(r.replica);
  CHECK(it != replicas_.end());
  const ReplicaState& replica = it->second;
  NodeState& node = MutableNode(replica.placement.node);
  EraseOne(node.replicas, r.replica);
  GiveBack(node, replica.placement, replica.resources);
  node.power_lasting -= replica.placement.power;
  EraseOne(deployments_.at(replica.deployment).replicas, r.replica);
  replicas_.erase(it);
}

void ClusterState::RestoreDerived() {
  node_names_.clear();
  idempotency_.clear();
  for (const ForgottenKey& forgotten : forgotten_keys_) {
    idempotency_[OwnedKey(forgotten.owner, forgotten.key)] = forgotten.job;
  }
  spec_bytes_ = 0;
  tenant_spec_bytes_.clear();
  for (auto& [id, job] : jobs_) {
    if (!job.idempotency_key.empty())
      idempotency_[OwnedKey(KeyOwner(*job.spec, job.user), job.idempotency_key)] = id;
    if (job.phase != JobPhase::kFinished) {
      CountSpec(job.spec->tenant, static_cast<int64_t>(SpecBytes(*job.spec)));
    } else if (job.spec_cut == 0) {  // An earlier build kept all of it.
      job.spec = KeptOf(job.spec, &job.spec_cut);
    }
  }
  for (const auto& [name, deployment] : deployments_)
    CountSpec(deployment.spec->tenant, static_cast<int64_t>(SpecBytes(*deployment.spec)));
  for (NodeState& node : nodes_) {
    node_names_[node.info->name] = node.id;
    ComputeFree(node);
  }
}

}  // namespace allot::scheduler
