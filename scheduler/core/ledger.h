// The durable state together with everything derived from it, changed in one place.
//
// Remember(record) is the one way anything durable changes while the core runs: it folds the record
// into the state, brings what is derived (index, queue, usage, time limits, counts) up to date by
// looking at the same record, and hands it to the journal. After a restart Rebuild derives it all
// from the state, so no derived thing is ever written down.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "policies/api/registry.h"
#include "scheduler/core/core.h"
#include "scheduler/core/pending_queue.h"
#include "scheduler/core/placement_index.h"
#include "scheduler/core/placement_search.h"

namespace allot::scheduler {

// A replica of a node that was lost, as it was; see NodeMachine::TakeBackReplicas.
struct LostReplica {
  ReplicaState replica;
  Time created;  // of its deployment
};

// Soft state the core keeps of a node; SoftState() shows the first part.
struct NodeLink {
  NodeSoftState seen;
  Time lease_end;                 // on NodeMachine's listening clock
  bool ends_soon = false;         // as a look at the lease found; the next one may end it
  bool registered = false;        // in this term; until then nothing it says is believed
  bool obeys = false;             // since its last registration, something was heard in that epoch
  bool incarnations = false;      // it names them
  bool repeat_welcome = false;    // gateways changed since it registered
  std::set<TaskKey> stray_tasks;  // it has them and should not: stopped until they are gone
  std::set<ReplicaId> stray_replicas;
  std::map<ReplicaId, LostReplica> lost_replicas;  // while it is lost

  void Gone(const TaskKey& stray) {
    stray_tasks.erase(stray);
    ForeignGone();
  }
  void Gone(ReplicaId stray) {
    stray_replicas.erase(stray);
    ForeignGone();
  }
  // What was foreign was stray; it is told for as long as there is any.
  void ForeignGone() {
    if (stray_tasks.empty() && stray_replicas.empty()) seen.foreign.reset();
  }
};

class Ledger {
 public:
  explicit Ledger(CoreOptions options);

  // ---- durable ----
  void Restore(ClusterState state) { state_ = std::move(state); }
  void Replay(const Record& record) { state_.Apply(record); }
  const ClusterState& state() const { return state_; }
  template <class R>
  void Remember(R record, Effects& out) {
    const JobPhase before = PhaseBefore(record);
    Record any(std::move(record));
    state_.Apply(any);
    Observe(std::get<R>(any), before);
    out.records.push_back(std::move(any));
  }
  // Remember(ReplicaGone): what is derived of a replica is looked up before it is forgotten.
  void ForgetReplica(const ReplicaGone& record, Effects& out);
  // Derives everything anew; once, before the first Remember.
  void Rebuild();
  // The numbers of the next job and the next replica; see Restarted.
  void CountFrom(uint64_t job, uint64_t replica) {
    jobs_from_ = job;
    replicas_from_ = replica;
  }
  JobId NextJob() const { return JobId(std::max(state_.last_job().value() + 1, jobs_from_)); }
  ReplicaId NextReplica() const {
    return ReplicaId(std::max(state_.last_replica().value() + 1, replicas_from_),
                     state_.incarnation());
  }
  // Prices that hold by hour of day: when the next ones begin, and how they are taken. What runs
  // keeps the price that it was placed at; what gateways are told follows the hour.
  const std::optional<Time>& prices_end() const { return prices_end_; }
  void TakePricesOfHour();
  // Of everything the replica leases, as it would be now.
  PriceRate PriceNow(const ReplicaState& replica) const;

  // ---- derived ----
  const CoreOptions& options() const { return options_; }
  DeviceClasses& classes() { return classes_; }
  const DeviceClasses& classes() const { return classes_; }
  PlacementIndex& index() { return index_; }
  const PlacementIndex& index() const { return index_; }
  PlacementSearch& search() { return search_; }
  const PlacementSearch& search() const { return search_; }
  PendingQueue& queue() { return queue_; }
  const PendingQueue& queue() const { return queue_; }
  const JobCounts& counts() const { return counts_; }
  // Pending jobs that are not to begin yet, by when they may; they are in no queue.
  const std::set<std::pair<Time, JobId>>& paused() const { return paused_; }
  void ReleasePaused();
  // When the next attempt of a job that waits may begin; the zero time: at once.
  Time BeginsAt(const JobState& job) const { return std::max(job.not_before, FencedUntil(job)); }

  // Leases of tasks of which at most one attempt may be alive (ADR 27). A task that is given up
  // while its node cannot be asked may live until the last lease that it was granted is over; until
  // then the job is fenced. All of this is soft: what an earlier life of ours may have granted, or
  // a store that was put back has forgotten, counts as granted when this life began.
  void Fence(const TaskKey& key);
  Time FencedUntil(const JobState& job) const;
  // Running jobs whose tasks have all started and that have a limit, by when it runs out.
  const std::set<std::pair<Time, JobId>>& time_limits() const { return time_limits_; }

  // ---- soft ----
  Time now;  // of the step at hand
  Time started;
  std::map<TaskKey, Time> leases_granted;  // last
  // How far the listening clock is behind, see NodeMachine.
  Duration deaf{};
  Time ListeningNow() const { return now - deaf; }
  NodeLink& link(NodeId node);
  const NodeLink* FindLink(NodeId node) const;
  absl::flat_hash_map<TaskId, TaskProgress> progress;
  absl::flat_hash_map<ReplicaId, ReplicaStatus> replica_status;
  // Attempts of which some task may not have been acknowledged, in order of `since`, on the
  // listening clock; and tasks of which their nodes said that they have them, not yet that they
  // run.
  struct Assigned {
    Time since;
    JobId job;
    Attempt attempt;
  };
  std::deque<Assigned> assigned;
  absl::flat_hash_map<std::pair<JobId, Attempt>, std::set<uint32_t>> acknowledged;  // ranks
  std::vector<GatewayAddress> gateways;
  std::optional<std::vector<std::string>> gateway_keys;  // of all that are enrolled
  std::set<std::string> deployments_dirty;               // to be reconciled in this step
  std::set<std::string> deployments_rolling;  // have outdated replicas that wait to be replaced
  std::set<std::string> routes_dirty;         // what gateways see of them may have changed
  bool routes_all_dirty = false;

 private:
  // Of the job a record is about, before the record: afterwards the state has forgotten it.
  template <class R>
  JobPhase PhaseBefore(const R& record) const {
    if constexpr (std::is_same_v<R, JobFinished> || std::is_same_v<R, JobStopping> ||
                  std::is_same_v<R, JobRequeued>) {
      return state_.FindJob(record.job)->phase;
    }
    return JobPhase::kPending;
  }
  template <class R>
  void Observe(const R&, JobPhase) {}
  void Observe(const PolicySet& r, JobPhase before);
  void Observe(const NodeRegistered& r, JobPhase before);
  void Observe(const NodeLost& r, JobPhase before);
  void Observe(const NodeDrainSet& r, JobPhase before);
  void Observe(const DeviceQuarantined& r, JobPhase before);
  void Observe(const DeviceOnProbation& r, JobPhase before);
  void Observe(const DeviceCleared& r, JobPhase before);
  void Observe(const JobAccepted& r, JobPhase before);
  void Observe(const JobPlaced& r, JobPhase before);
  void Observe(const TaskStarted& r, JobPhase before);
  void Observe(const TaskExited& r, JobPhase before);
  void Observe(const TaskAbandoned& r, JobPhase before);
  void Observe(const JobStopping& r, JobPhase before);
  void Observe(const JobRequeued& r, JobPhase before);
  void Observe(const JobFinished& r, JobPhase before);
  void Observe(const DeploymentSet& r, JobPhase before);
  void Observe(const DeploymentStopping& r, JobPhase before);
  void Observe(const DeploymentRemoved& r, JobPhase before);
  void Observe(const ReplicaPlaced& r, JobPhase before);
  void Observe(const ReplicaStopping& r, JobPhase before);

  void Enqueue(const JobState& job);
  void TakePolicy();
  void TakePrices();
  // What of the node is in service has changed.
  void DescribeNode(NodeId node);
  // What replicas lease of it has changed, or where in its list their devices are.
  void TellLasting(NodeId node);
  void RefreshNode(NodeId node) { index_.Refresh(*state_.FindNode(node), OnTrial(node)); }
  // On probation, and the one job that it may have is there.
  bool OnTrial(NodeId node) const;
  void RefreshNodesOf(const JobState& job);
  void WatchTimeLimit(const JobState& job);
  void ForgetTimeLimit(JobId job);
  void ForgetAttempt(const JobState& job);
  void DirtyReplicasOf(const NodeState& node);

  const CoreOptions options_;
  ClusterState state_;
  DeviceClasses classes_;
  PlacementIndex index_;
  PlacementSearch search_;
  PendingQueue queue_;
  std::unique_ptr<policies::QueuePolicy> queue_policy_;
  std::unique_ptr<policies::PlacementPolicy> placement_policy_;
  JobCounts counts_;
  std::set<std::pair<Time, JobId>> paused_;
  std::set<std::pair<Time, JobId>> time_limits_;
  absl::flat_hash_map<JobId, Time> time_limit_of_;
  std::vector<NodeLink> links_;
  std::optional<Time> prices_end_;
  absl::flat_hash_map<JobId, Time> fences_;  // of jobs that stop or wait
  uint64_t jobs_from_ = 0, replicas_from_ = 0;
};

}  // namespace allot::scheduler
