// The scheduler's control plane as a pure state machine.
//
// One thread, no clock, no I/O: the shell stamps the time, makes Effects::records
// durable, then performs Effects::commands in order. The same events give the same
// effects, byte for byte. The simulator and the scenario tests call this same class.
//
// Life after a crash: construct, Replay() every record (snapshot first, see
// ClusterState), then Step(Restarted). Replay runs no policy and issues no command.
//
// No step takes longer than a few milliseconds: planning stops after
// CoreOptions::plan_attempts_max tries and sets Effects::more.
#pragma once

#include <memory>
#include <optional>

#include "scheduler/core/cluster_state.h"
#include "scheduler/core/events.h"
#include "scheduler/core/explain.h"
#include "common/base/limits.h"
#include "scheduler/core/power.h"
#include "scheduler/core/soft_state.h"

namespace allot::scheduler {

struct CoreOptions {
  Duration heartbeat_every = std::chrono::seconds(1);
  Duration lease = std::chrono::seconds(15);        // silence after which a node is lost
  Duration resend_after = std::chrono::seconds(2);  // unacknowledged commands are sent again
  // A task whose node is heard, but does not say in so long that it has it, is taken back.
  Duration acknowledge_within = std::chrono::seconds(60);
  // Of tasks of which at most one attempt may be alive.
  LeaseTerms task_lease = {std::chrono::minutes(1), std::chrono::seconds(15)};
  uint32_t plan_attempts_max = 2'000;               // placements tried in one step
  uint32_t pending_jobs_max = 1'000'000;            // more are refused (ResourceExhausted)
  // ClusterState::spec_bytes; more are refused.
  uint64_t spec_bytes_max = limits::kSpecsBytes.value;
  uint64_t spec_bytes_of_tenant_max = limits::kSpecsBytesOfTenant.value;
  std::string checkpoint_root = "/var/lib/allotrope/checkpoints";
  uint16_t task_port_min = 20'000, task_port_max = 29'999;  // main ports of gangs
};

struct JobCounts {
  uint32_t pending = 0, running = 0, stopping = 0, finished = 0;  // finished: those still kept
};

class Core {
 public:
  explicit Core(CoreOptions options);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // Restart only: folds one durable record, or a whole snapshotted state before them.
  void Restore(ClusterState state);
  void Replay(const Record& record);

  // `now` never goes backwards (CHECKed). Appends to `out`.
  void Step(Time now, const Event& event, Effects& out);

  const ClusterState& state() const;

  // When the core next wants a ClockTicked if nothing else happens; at least once a heartbeat while
  // nodes are alive. A step that comes later tells it that it was not listening.
  std::optional<Time> NextWakeup() const;

  // Why a job is where it is, computed on demand from the current state.
  StatusOr<JobExplanation> ExplainJob(Time now, JobId job) const;
  // Groups of a deployment that want more replicas than they have, with the reasons.
  // The reasons take a look at every node for each group; kCounts leaves them out.
  StatusOr<std::vector<ReplicaWait>> ExplainDeployment(
      const std::string& name, WaitDetail detail = WaitDetail::kReasons) const;
  // How far a deployment is on its way to what was deployed last.
  Rollout RolloutOf(const DeploymentState& deployment) const;
  // What is leased of power, and the caps.
  const PowerBook& power() const;
  // How many jobs are in each phase, without walking them.
  JobCounts Counts() const;
  // The routing table as gateways should have it now.
  std::shared_ptr<const RouteTable> Routes() const;
  // Soft state: what agents said last. Null if never.
  const NodeSoftState* SoftState(NodeId node) const;
  const TaskProgress* ProgressOf(TaskId task) const;
  const ReplicaStatus* StatusOf(ReplicaId replica) const;
  // What to show of a replica: what its agent said, within what was decided.
  ReplicaPhase PhaseOf(const ReplicaState& replica) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace allot::scheduler
