// The durable state of the cluster: a fold over records, and nothing else.
//
// Apply is the one way anything here changes. A snapshot is this class written out
// (common/wire); snapshot + later records = the state before the crash.
// Owned by Core, touched from its thread only.
#pragma once

#include <deque>
#include <map>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/base/limits.h"
#include "scheduler/core/events.h"

namespace allot::scheduler {

struct TaskState {
  TaskPlacement placement;
  TaskPhase phase = TaskPhase::kAssigned;
  bool abandoned = false;  // its node went away; the lease is free
  int64_t pid = 0;
  Time started;
  std::optional<TaskExit> exit;
  bool operator==(const TaskState&) const = default;
};

// Where a task's log of that attempt is.
struct EarlierAttempt {
  Attempt attempt;
  std::vector<NodeId> nodes;  // by rank
  // Ranks that were given up while their node could not be asked: they may still run there.
  std::vector<uint32_t> abandoned;
};

struct JobState {
  JobId id;
  Incarnation incarnation;  // that accepted it
  JobSpecPtr spec;
  std::string user, idempotency_key;
  JobPhase phase = JobPhase::kPending;
  Time submitted, queued, placed, finished;  // queued: when it last entered its queue
  Attempt attempt;                           // of the last placement; 0 before the first
  uint32_t failures = 0;                     // attempts that ended in a non-zero exit
  Time not_before;                           // of the next attempt, while it waits for it
  // Attempts in a row that ended by a fault of a node, and of which nodes (the last ones of them).
  uint32_t node_faults = 0;
  std::vector<NodeId> unfit_nodes;
  // Of the last attempt: who failed first, before the others were stopped for it.
  std::optional<uint32_t> failed_rank;
  std::vector<TaskState> tasks;              // of the last attempt, by rank
  std::vector<EarlierAttempt> earlier;       // oldest first; the last ones, see kEarlierNodesKept
  uint32_t alternative = 0;
  PriceRate price;
  uint16_t main_port = 0;
  LeaseTerms terms;                     // of the tasks of the last attempt
  Cost cost;                            // of attempts that ended
  MilliJoule energy = 0;                // of tasks that ended
  bool energy_modelled = false;         // some of it by what devices draw at most, not measured
  std::optional<JobStopping> stopping;  // set iff kStopping
  std::optional<JobOutcome> outcome;    // set iff kFinished
  int32_t code = 0;
  // Finished: bytes of environment and command that are not kept any more (KeptOf).
  uint64_t spec_cut = 0;
};

struct ReplicaState {
  ReplicaId id;
  std::string deployment;
  uint64_t generation = 0;
  uint32_t group = 0;
  TaskPlacement placement;
  PriceRate price;
  Resources resources;
  uint32_t concurrency = 4;
  bool stopping = false;
  Time placed;
};

struct DeploymentState {
  DeploymentSpecPtr spec;
  uint64_t generation = 0;
  bool stopping = false;
  std::vector<ReplicaId> replicas;  // in order of id
  Time created;                     // set for the first time since it was last removed
  std::string user;                 // who set it last; empty: from before it was kept
};

// The idempotency key of a finished job that is not kept any more. `owner` is empty where a build
// that did not keep it wrote it: such a key is everybody's.
struct ForgottenKey {
  std::string key;
  JobId job;
  Time finished;
  std::string owner;
};

// A device, or a node, that is out of service for failing jobs or by an operator's word.
struct Quarantine {
  Time since;  // that it is out, or on probation
  Time until;
  uint32_t strikes = 0;
  bool probation = false;  // it takes work again, and its next failure is its next strike
  std::string why;
  bool operator==(const Quarantine&) const = default;
};

struct NodeState {
  NodeId id;
  NodeInfoPtr info;  // never null
  Epoch epoch;
  uint64_t registration = 0;
  bool alive = false;
  bool draining = false;
  Time since;  // of the last change of `alive`
  MilliCpu cpus_free = 0;
  Bytes memory_free = 0;
  MilliWatt power = 0;          // leased, as the placements of the leases say
  MilliWatt power_lasting = 0;  // of it by replicas
  DeviceSet accelerators;       // positions that are not CPU devices and are ready
  DeviceSet devices_free;       // accelerators no lease holds
  std::vector<TaskKey> tasks;   // leases, in order of placement
  std::vector<ReplicaId> replicas;
  std::map<std::string, Quarantine> quarantines;  // by device id; "": the whole node
  // Out of service, and not on probation?
  bool Quarantined(const std::string& device) const {
    const auto it = quarantines.find(device);
    return it != quarantines.end() && !it->second.probation;
  }
  // As a whole on probation: it gets one job at a time.
  const Quarantine* Probation() const {
    const auto it = quarantines.find("");
    return it != quarantines.end() && it->second.probation ? &it->second : nullptr;
  }
};

// The attempt of that job by whose number it is asked for; as given if it is not remembered.
Attempt Named(const JobState& job, Attempt attempt);

class ClusterState {
 public:
  void Apply(const Record& record);

  Term term() const { return term_; }
  // Of this life of the store, and whether one is of it or of an earlier one that led to it.
  Incarnation incarnation() const {
    return lineage_.empty() ? Incarnation() : lineage_.back().incarnation;
  }
  bool Knows(Incarnation incarnation) const;
  // Whether this store gave that name, as far as it remembers: else it is of a life of the store that
  // was lost when it was put back, or of another store. What was forgotten since was given.
  bool Gave(const TaskKey& key) const;
  bool Gave(ReplicaId id) const;
  const PolicyPtr& policy() const { return policy_; }             // never null
  const std::vector<NodeState>& nodes() const { return nodes_; }  // index = NodeId.value() - 1
  const NodeState* FindNode(NodeId id) const;
  const NodeState* FindNode(const std::string& name) const;
  const JobState* FindJob(JobId id) const;
  // Keys are made up by clients, so each is good only for whoever sent it: two tenants, or two
  // tokens of one, that think of the same key mean two jobs. Invalid if none.
  JobId FindByIdempotencyKey(const std::string& owner, const std::string& key) const;
  static std::string KeyOwner(const JobSpec& spec, const std::string& user);
  const std::map<JobId, JobState>& jobs() const { return jobs_; }
  const std::map<std::string, DeploymentState>& deployments() const { return deployments_; }
  const std::map<ReplicaId, ReplicaState>& replicas() const { return replicas_; }
  // The replica by whose number it is asked for; as given if there is none.
  ReplicaId Named(ReplicaId id) const;
  JobId last_job() const { return last_job_; }
  ReplicaId last_replica() const { return last_replica_; }
  // Jobs ever accepted. Less than the last number where some were skipped (Restarted).
  uint64_t jobs_accepted() const { return last_job_.value() - numbers_skipped_; }
  // The highest generation of any deployment that was removed. New ones begin above it, so that a
  // name that comes back never has a generation that somebody may still know it by.
  uint64_t generations_gone() const { return generations_gone_; }

  // Bytes of what people wrote for jobs that have not ended and for deployments, beyond
  // kSpecBytesFree each: of all, and of a tenant's.
  uint64_t spec_bytes() const { return spec_bytes_; }
  uint64_t spec_bytes(const std::string& tenant) const;
  static constexpr size_t kSpecBytesFree = 1 << 10;
  static uint64_t SpecBytes(const JobSpec& spec);
  static uint64_t SpecBytes(const DeploymentSpec& spec);
  // What is kept of a finished job's: not its environment, if that is large, and of its command the
  // beginning. `*cut`: bytes that were left out.
  static constexpr size_t kFinishedSpecBytes = limits::kFinishedSpecBytes.value;
  static JobSpecPtr KeptOf(const JobSpecPtr& spec, uint64_t* cut);

  // Finished jobs kept for queries; the oldest are forgotten (history stays in the store).
  static constexpr size_t kFinishedJobsKept = 20'000;

  // Of a job's earlier attempts so many are remembered, and fewer of a wide gang: a job that is
  // placed again and again must not grow.
  static constexpr size_t kEarlierAttemptsKept = 16, kEarlierNodesKept = 8'192;
  // An idempotency key is good for as long as its job is kept, and after that until a day has
  // passed since the job finished: a client may retry long after, and a second job would be the
  // very thing its key is to prevent. Beyond this many keys of forgotten jobs the oldest go.
  static constexpr Duration kKeyLife = std::chrono::hours(24);
  static constexpr size_t kForgottenKeysMax = 500'000;
  // Nodes remembered of those that could not run a job, and how long an attempt runs before its
  // node's faults until then are forgotten.
  static constexpr size_t kUnfitNodesKept = 8;
  static constexpr Duration kFaultsForgottenAfter = std::chrono::minutes(10);

  // Of the newest record. Where a term begins before it, its times are turned back to that.
  Time newest() const { return newest_; }
  TimeTrust trust() const { return trust_; }
  // Lives that led to this one: as many as an agent might come back from, and few enough to look
  // through.
  static constexpr size_t kLineageKept = 1'024;

  // A number over everything durable, the same for equal states (checkers, tests).
  uint64_t Fingerprint() const;

 private:
  JobState& MutableJob(JobId id);
  NodeState& MutableNode(NodeId id);
  void Fold(const TermBegun& r);
  void Fold(const PolicySet& r);
  void Fold(const NodeRegistered& r);
  void Fold(const NodeLost& r);
  void Fold(const NodeDrainSet& r);
  void Fold(const DeviceQuarantined& r);
  void Fold(const DeviceOnProbation& r);
  void Fold(const DeviceCleared& r);
  void Fold(const JobAccepted& r);
  void Fold(const JobPlaced& r);
  void Fold(const TaskStarted& r);
  void Fold(const TaskExited& r);
  void Fold(const JobStopping& r);
  void Fold(const TaskAbandoned& r);
  void Fold(const JobRequeued& r);
  void Fold(const JobFinished& r);
  void Fold(const DeploymentSet& r);
  void Fold(const DeploymentRemoved& r);
  void Fold(const DeploymentStopping& r);
  void Fold(const ReplicaPlaced& r);
  void Fold(const ReplicaStopping& r);
  void Fold(const ReplicaGone& r);
  void ForgetOldestJob();
  void CountSpec(const std::string& tenant, int64_t bytes);
  void LapseKeys(Time now);
  void TurnBack(Time now);
  void MoveLeases(NodeState& node, const NodeInfo& before);
  void ComputeFree(NodeState& node);

  // After a snapshot was read into the other fields: node_names_, idempotency_ and what nodes have
  // free (cpus_free, memory_free, accelerators, devices_free) and leased (power) follow from the
  // rest.
  void RestoreDerived();

  friend struct StateCodec;  // common/wire cannot see us; scheduler/shell/snapshot.cc writes and
                             // reads all fields
  Term term_;
  // One life of the store, and the highest numbers that had been given when it ended, as far as this
  // store knows. What names it and a higher number was given after a backup that was put back: in
  // the numbers that are skipped since. Of the last one, and of those that a build before kept,
  // nothing is known: kNoEnd.
  struct Life {
    static constexpr uint64_t kNoEnd = UINT64_MAX;
    Incarnation incarnation;
    uint64_t jobs_until = kNoEnd, replicas_until = kNoEnd;
  };
  const Life* FindLife(Incarnation incarnation) const;
  std::deque<Life> lineage_;  // the last ones, oldest first
  PolicyPtr policy_ = std::make_shared<Policy>();
  std::vector<NodeState> nodes_;
  absl::flat_hash_map<std::string, NodeId> node_names_;
  std::map<JobId, JobState> jobs_;
  absl::flat_hash_map<std::string, JobId> idempotency_;
  std::deque<JobId> finished_;
  std::deque<ForgottenKey> forgotten_keys_;  // in order of finishing
  std::map<std::string, DeploymentState> deployments_;
  std::map<ReplicaId, ReplicaState> replicas_;
  JobId last_job_;
  ReplicaId last_replica_;
  uint64_t generations_gone_ = 0;
  uint64_t numbers_skipped_ = 0;  // up to last_job_
  Time newest_;
  TimeTrust trust_;
  // Derived.
  uint64_t spec_bytes_ = 0;
  absl::flat_hash_map<std::string, uint64_t> tenant_spec_bytes_;
};

}  // namespace allot::scheduler
