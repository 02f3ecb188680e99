// ClusterState::Fingerprint: one number over everything durable.
//
// Written out field by field, with a hash of our own: absl's is seeded anew by every process, and
// the simulator compares fingerprints between runs.
#include <string_view>

#include "scheduler/core/cluster_state.h"

namespace allot::scheduler {
namespace {

class Hasher {
 public:
  void Number(uint64_t v) {
    state_ = (state_ ^ v) * 0x9e3779b97f4a7c15;
    state_ ^= state_ >> 29;
  }
  void Signed(int64_t v) { Number(static_cast<uint64_t>(v)); }
  void Real(double v) { Number(std::bit_cast<uint64_t>(v)); }
  void Text(std::string_view text) {
    Number(text.size());
    for (const char c : text) Number(static_cast<unsigned char>(c));
  }
  void At(Time t) { Signed(ToMicros(t)); }
  void Set(const DeviceSet& s) {
    Number(s.words()[0]);
    Number(s.words()[1]);
  }
  void Strings(const std::vector<std::string>& items) {
    Number(items.size());
    for (const std::string& item : items) Text(item);
  }
  void Map(const std::map<std::string, std::string>& items) {
    Number(items.size());
    for (const auto& [key, value] : items) {
      Text(key);
      Text(value);
    }
  }
  template <class T, class F>
  void Maybe(const std::optional<T>& value, F f) {
    Number(value.has_value());
    if (value) f(*value);
  }

  void Add(const Resources& r) {
    Signed(r.cpus);
    Signed(r.memory);
    Number(r.memory_share);
  }
  void Add(const DeviceRequest& r) {
    Number(r.kind ? 1 + static_cast<uint64_t>(*r.kind) : 0);
    Text(r.vendor);
    Text(r.model);
    Number(r.count);
    Maybe(r.min_memory, [this](Bytes b) { Signed(b); });
    Real(r.worth);
    Number(r.isolation ? 1 + static_cast<uint64_t>(*r.isolation) : 0);
    Number(r.joined);
  }
  void Add(const JobSpec& s) {
    Text(s.name);
    Text(s.tenant);
    Signed(s.priority);
    Number(s.tasks);
    Strings(s.command);
    Map(s.environment.Get());
    Text(s.work_dir);
    Add(s.resources);
    Number(s.devices.size());
    for (const DeviceRequest& request : s.devices) Add(request);
    Text(s.checkpoint_dir);
    Maybe(s.time_limit, [this](Duration d) { Signed(d.count()); });
    Signed(s.grace.count());
    Number(s.restarts_max);
    Signed(s.restart_pause.count());
    Signed(s.restart_pause_max.count());
    Number(static_cast<uint64_t>(s.runtime));
    Number(s.at_most_one);
    Maybe(s.scratch_max, [this](Bytes b) { Signed(b); });
  }
  void Add(const DeploymentSpec& s) {
    Text(s.name);
    Text(s.tenant);
    Text(s.model);
    Strings(s.command);
    Map(s.environment);
    Text(s.work_dir);
    Add(s.resources);
    Text(s.health.path);
    for (const Duration d : {s.health.interval, s.health.timeout, s.health.start_timeout,
                             s.health.restart_after})
      Signed(d.count());
    Number(s.health.failures_max);
    Number(s.groups.size());
    for (const ReplicaGroup& group : s.groups) {
      Add(group.device);
      Number(group.count);
      Number(group.concurrency);
    }
    for (const auto& part : {s.objective.ttft, s.objective.per_token, s.objective.end_to_end})
      Maybe(part, [this](Duration d) { Signed(d.count()); });
    Real(s.objective.percentile);
    Maybe(s.price_cap, [this](PriceRate p) { Signed(p.micros_per_hour); });
    Number(s.queue_max);
    Signed(s.queue_timeout.count());
    Signed(s.drain.count());
    Signed(s.grace.count());
  }
  void Add(const Policy& p) {
    Text(p.name);
    Text(p.description);
    Text(p.queue.algorithm);
    for (const auto& [tenant, share] : p.queue.shares) {
      Text(tenant);
      Real(share);
    }
    Signed(p.queue.head_hold_after.count());
    Text(p.placement.algorithm);
    Real(p.placement.fragmentation_weight);
    Text(p.routing.algorithm);
    Real(p.routing.explore_ratio);
    Signed(p.routing.history.count());
    Text(p.prices.as_of);
    Number(p.prices.rows.size());
    for (const PriceRow& row : p.prices.rows) {
      Text(row.model);
      Signed(row.rate.micros_per_hour);
      Maybe(row.watts, [this](double w) { Real(w); });
    }
    for (const PriceRate rate : {p.prices.other_gpu, p.prices.other_cpu_core, p.prices.other_asic})
      Signed(rate.micros_per_hour);
    Signed(p.prices.energy_micros_per_kwh);
    Signed(p.prices.micros_per_waiting_job_hour);
    Signed(p.prices.value_nanos_per_second);
    Number(p.prices.hours.size());
    for (const PriceHours& hours : p.prices.hours) {
      Number(hours.from);
      Number(hours.to);
      Maybe(hours.energy_micros_per_kwh, [this](int64_t micros) { Signed(micros); });
      Real(hours.factor);
    }
    Signed(p.prices.utc_offset_minutes);
    for (const auto& cap : {p.power.cluster, p.power.rack, p.power.node})
      Maybe(cap, [this](MilliWatt power) { Signed(power); });
    for (const auto* caps : {&p.power.racks, &p.power.nodes}) {
      Number(caps->size());
      for (const auto& [name, cap] : *caps) {
        Text(name);
        Signed(cap);
      }
    }
    Number(p.quarantine.failures);
    Signed(p.quarantine.within.count());
    Signed(p.quarantine.probation_after.count());
  }
  void Add(const NodeInfo& info) {
    Text(info.name);
    Text(info.instance);
    Text(info.boot_id);
    Text(info.address);
    Text(info.metrics_address);
    Text(info.version);
    Signed(info.cpus);
    Signed(info.memory);
    Map(info.labels);
    Number(info.devices.size());
    for (const Device& d : info.devices) {
      Text(d.id);
      Number(static_cast<uint64_t>(d.kind));
      Text(d.vendor);
      Text(d.model);
      Maybe(d.memory, [this](Bytes b) { Signed(b); });
      Signed(d.cores);
      Signed(d.numa_node);
      Number(static_cast<uint64_t>(d.state));
      Number(d.emulated);
      Text(d.visible_variable);
      Text(d.visible_value);
      Strings(d.nodes);
      Strings(d.shared_nodes);
      Strings(d.features);
      Number(static_cast<uint64_t>(d.isolation));
      Number(d.configured);
      Text(d.parent);
      Signed(d.part_millis);
      Text(d.uuid);
      Maybe(d.power_max, [this](MilliWatt power) { Signed(power); });
      Maybe(d.price, [this](PriceRate p) { Signed(p.micros_per_hour); });
      Text(d.endpoint);
      Map(d.environment);
      Strings(d.health);
    }
    Number(info.groups.size());
    for (const DeviceGroup& group : info.groups) {
      Text(group.kind);
      Strings(group.members);
      Text(group.shape);
    }
    Strings(info.losses);
    Strings(info.warnings);
    Strings(info.unfit);
    Text(info.seen_address);
    Number(info.address_derived);
    Number(info.task_leases);
    Maybe(info.scratch_max, [this](Bytes b) { Signed(b); });
  }
  void Add(const TaskExit& exit) {
    Signed(exit.code);
    Signed(exit.signal);
    Text(exit.message);
    At(exit.started);
    At(exit.finished);
    Maybe(exit.energy, [this](MilliJoule energy) { Signed(energy); });
    Number(static_cast<uint64_t>(exit.cause));
  }
  void Add(const TaskPlacement& p) {
    Number(p.node.value());
    Set(p.devices);
    Signed(p.power);
    Signed(p.memory);
  }
  void Add(const JobStopping& s) {
    At(s.at);
    Number(s.outcome ? 1 + static_cast<uint64_t>(*s.outcome) : 0);
    Number(static_cast<uint64_t>(s.requeue));
    Signed(s.code);
    Number(s.cancelled ? 1 : 0);
  }
  template <class Tag, class Rep>
  void Add(NumberOfLife<Tag, Rep> id) {
    Number(id.value());
    Number(id.incarnation().value());
  }
  void Add(const NodeState& node) {
    Number(node.id.value());
    Add(*node.info);
    Number(node.epoch.value());
    Number(node.registration);
    Number(node.alive);
    Number(node.draining);
    At(node.since);
    Signed(node.cpus_free);
    Signed(node.memory_free);
    Signed(node.power);
    Signed(node.power_lasting);
    Set(node.accelerators);
    Set(node.devices_free);
    Number(node.tasks.size());
    for (const TaskKey& key : node.tasks) {
      Number(key.task.job.value());
      Number(key.task.index);
      Add(key.attempt);
    }
    Number(node.replicas.size());
    for (const ReplicaId id : node.replicas) Add(id);
    Number(node.quarantines.size());
    for (const auto& [device, quarantine] : node.quarantines) {
      Text(device);
      At(quarantine.since);
      At(quarantine.until);
      Number(quarantine.strikes);
      Number(quarantine.probation);
      Text(quarantine.why);
    }
  }
  void Add(const JobState& job) {
    Number(job.id.value());
    Number(job.incarnation.value());
    Add(*job.spec);
    Text(job.user);
    Text(job.idempotency_key);
    Number(static_cast<uint64_t>(job.phase));
    for (const Time t : {job.submitted, job.queued, job.placed, job.finished}) At(t);
    Add(job.attempt);
    Number(job.failures);
    At(job.not_before);
    Number(job.node_faults);
    Number(job.spec_cut);
    Number(job.unfit_nodes.size());
    for (const NodeId node : job.unfit_nodes) Number(node.value());
    Number(job.failed_rank ? 1 + uint64_t{*job.failed_rank} : 0);
    Number(job.tasks.size());
    for (const TaskState& task : job.tasks) {
      Add(task.placement);
      Number(static_cast<uint64_t>(task.phase));
      Number(task.abandoned);
      Signed(task.pid);
      At(task.started);
      Maybe(task.exit, [this](const TaskExit& exit) { Add(exit); });
    }
    Number(job.earlier.size());
    for (const EarlierAttempt& earlier : job.earlier) {
      Add(earlier.attempt);
      for (const NodeId node : earlier.nodes) Number(node.value());
      Number(earlier.abandoned.size());
      for (const uint32_t rank : earlier.abandoned) Number(rank);
    }
    Number(job.alternative);
    Signed(job.price.micros_per_hour);
    Number(job.main_port);
    Signed(job.terms.lease.count());
    Signed(job.terms.margin.count());
    Signed(job.cost.micros);
    Signed(job.energy);
    Number(job.energy_modelled);
    Maybe(job.stopping, [this](const JobStopping& s) { Add(s); });
    Maybe(job.outcome, [this](JobOutcome o) { Number(static_cast<uint64_t>(o)); });
    Signed(job.code);
  }
  void Add(const ReplicaState& r) {
    Add(r.id);
    Text(r.deployment);
    Number(r.generation);
    Number(r.group);
    Add(r.placement);
    Signed(r.price.micros_per_hour);
    Add(r.resources);
    Number(r.concurrency);
    Number(r.stopping);
    At(r.placed);
  }
  void Add(const DeploymentState& d) {
    Add(*d.spec);
    Number(d.generation);
    Number(d.stopping);
    At(d.created);
    Text(d.user);
    Number(d.replicas.size());
    for (const ReplicaId id : d.replicas) Add(id);
  }

  uint64_t value() const { return state_; }

 private:
  uint64_t state_ = 0xcbf29ce484222325;
};

}  // namespace

uint64_t ClusterState::Fingerprint() const {
  Hasher hash;
  hash.Number(term_.value());
  hash.Number(lineage_.size());
  for (const Life& life : lineage_) {
    hash.Number(life.incarnation.value());
    hash.Number(life.jobs_until);
    hash.Number(life.replicas_until);
  }
  hash.Add(*policy_);
  hash.Number(nodes_.size());
  for (const NodeState& node : nodes_) hash.Add(node);
  hash.Number(jobs_.size());
  for (const auto& [id, job] : jobs_) hash.Add(job);
  for (const JobId id : finished_) hash.Number(id.value());
  hash.Number(forgotten_keys_.size());
  for (const ForgottenKey& forgotten : forgotten_keys_) {
    hash.Text(forgotten.key);
    hash.Number(forgotten.job.value());
    hash.At(forgotten.finished);
    hash.Text(forgotten.owner);
  }
  hash.Number(deployments_.size());
  for (const auto& [name, deployment] : deployments_) hash.Add(deployment);
  hash.Number(replicas_.size());
  for (const auto& [id, replica] : replicas_) hash.Add(replica);
  hash.Number(last_job_.value());
  hash.Number(last_replica_.value());
  hash.Number(generations_gone_);
  hash.Number(numbers_skipped_);
  hash.At(newest_);
  hash.At(trust_.certain);
  hash.At(trust_.doubted);
  return hash.value();
}

}  // namespace allot::scheduler
