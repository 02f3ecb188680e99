#include "scheduler/core/core.h"

#include <algorithm>

#include "common/base/check.h"
#include "scheduler/core/answer.h"
#include "scheduler/core/delivery.h"
#include "scheduler/core/deployment_machine.h"
#include "scheduler/core/explainer.h"
#include "scheduler/core/job_machine.h"
#include "scheduler/core/ledger.h"
#include "scheduler/core/node_machine.h"
#include "scheduler/core/planner.h"
#include "scheduler/core/quarantine.h"
#include "scheduler/core/rollout.h"
#include "scheduler/core/routes.h"

namespace allot::scheduler {

std::string_view ToString(RequeueReason reason) {
  switch (reason) {
    case RequeueReason::kNodeLost:
      return "node_lost";
    case RequeueReason::kTaskFailed:
      return "task_failed";
    case RequeueReason::kTaskLost:
      return "task_lost";
    case RequeueReason::kNodeFault:
      return "node_fault";
    case RequeueReason::kNodeRestarted:
      return "node_restarted";
    case RequeueReason::kNoAnswer:
      return "no_answer";
    case RequeueReason::kLeaseEnded:
      return "lease_ended";
  }
  return "unknown";
}

// The dispatcher: an event goes to the machine it concerns; then, in this order, what time and the
// change have made due: leases and limits, probations, replicas, jobs, messages, routes.
class Core::Impl {
 public:
  explicit Impl(CoreOptions options)
      : ledger(std::move(options)),
        delivery(ledger),
        quarantine(ledger),
        jobs(ledger, delivery, quarantine),
        deployments(ledger, delivery),
        nodes(ledger, delivery, jobs, deployments, quarantine),
        planner(ledger, delivery),
        routes(ledger),
        explainer(ledger, planner) {
    CHECK(ledger.options().task_port_min > 0);
    CHECK(ledger.options().task_port_min <= ledger.options().task_port_max);
  }

  void Step(Time now, const Event& event, Effects& out) {
    CHECK(now >= ledger.now);
    CHECK(started || std::holds_alternative<Restarted>(event));
    nodes.Woken(now, out);
    ledger.now = now;
    if (started && ledger.prices_end().value_or(kTimeMax) <= now) {
      ledger.TakePricesOfHour();
      deployments.PricesChanged();
    }
    std::visit([&](const auto& e) { On(e, out); }, event);
    nodes.ExpireLeases(out);
    jobs.StopOverdue(out);
    nodes.TakeBackUnanswered(out);
    quarantine.Run(out);
    ledger.ReleasePaused();
    bool more = deployments.Reconcile(out);
    // Replicas come before jobs: as long as some of a round wait for their turn, jobs do too.
    if (!more) {
      more = planner.Run(out);
      more |= deployments.AnyDirty();
    }
    // Gateways hear first: what is to end is off the routes before it is told to.
    routes.Publish(ledger, out);
    more |= delivery.Run(out);
    out.more = out.more || more;
    unfinished = more;
  }

  void On(const Restarted& e, Effects& out) {
    CHECK(!started);
    started = true;
    ledger.started = ledger.now;
    ledger.CountFrom(e.jobs_from, e.replicas_from);
    // First of all: it may turn times back, from which the rest is derived.
    ledger.Remember(TermBegun{ledger.now, Term(ledger.state().term().value() + 1), e.incarnation,
                              e.trust},
                    out);
    ledger.Rebuild();
    quarantine.Rebuild();
    nodes.WatchAll();
  }
  void On(const ClockTicked&, Effects&) {}
  void On(const JobSubmitted& e, Effects& out) { jobs.Submit(e, out); }
  void On(const JobCancelRequested& e, Effects& out) { jobs.Cancel(e, out); }
  void On(const DeploymentApplied& e, Effects& out) { deployments.Apply(e, out); }
  void On(const DeploymentDeleteRequested& e, Effects& out) { deployments.Delete(e, out); }
  void On(const NodeDrainRequested& e, Effects& out) { nodes.Drain(e, out); }
  void On(const DeviceServiceRequested& e, Effects& out) { quarantine.Request(e, out); }
  void On(const AgentSaid& e, Effects& out) { nodes.Heard(e, out); }
  void On(const GatewaysChanged& e, Effects& out) {
    if (e.gateways == ledger.gateways && e.keys == ledger.gateway_keys) return;
    ledger.gateways = e.gateways;
    ledger.gateway_keys = e.keys;
    nodes.TellGateways(out);
  }
  void On(const PolicyApplied& e, Effects& out) {
    Status status = policies::MakeQueuePolicy(e.policy->queue).status();
    status.Update(policies::MakePlacementPolicy(e.policy->placement, e.policy->prices).status());
    if (status.ok()) {
      ledger.Remember(PolicySet{ledger.now, e.policy}, out);
      deployments.PricesChanged();
      quarantine.PolicyChanged();
    }
    Answer(e.token, std::move(status), JobId(), out);
  }

  std::optional<Time> NextWakeup() const {
    if (!started) return std::nullopt;
    if (unfinished) return ledger.now;
    std::optional<Time> next;
    const auto consider = [&next](std::optional<Time> t) {
      if (t && (!next || *t < *next)) next = t;
    };
    consider(nodes.NextCheck());
    consider(delivery.NextDue());
    consider(routes.NextDue());
    consider(quarantine.NextDue());
    consider(ledger.prices_end());
    consider(nodes.NextUnanswered());
    if (!ledger.paused().empty()) consider(ledger.paused().begin()->first);
    if (!ledger.time_limits().empty()) consider(ledger.time_limits().begin()->first);
    return next;
  }

  bool started = false;
  bool unfinished = false;  // the last step stopped at a budget
  Ledger ledger;
  Delivery delivery;
  QuarantineMachine quarantine;
  JobMachine jobs;
  DeploymentMachine deployments;
  NodeMachine nodes;
  Planner planner;
  RouteKeeper routes;
  Explainer explainer;
};

Core::Core(CoreOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Core::~Core() = default;

void Core::Restore(ClusterState state) {
  CHECK(!impl_->started);
  impl_->ledger.Restore(std::move(state));
}
void Core::Replay(const Record& record) {
  CHECK(!impl_->started);
  impl_->ledger.Replay(record);
}
void Core::Step(Time now, const Event& event, Effects& out) { impl_->Step(now, event, out); }
const ClusterState& Core::state() const { return impl_->ledger.state(); }
std::optional<Time> Core::NextWakeup() const { return impl_->NextWakeup(); }

StatusOr<JobExplanation> Core::ExplainJob(Time now, JobId job) const {
  return impl_->explainer.Explain(now, job);
}
StatusOr<std::vector<ReplicaWait>> Core::ExplainDeployment(const std::string& name,
                                                           WaitDetail detail) const {
  return impl_->explainer.ExplainDeployment(name, detail);
}
Rollout Core::RolloutOf(const DeploymentState& deployment) const {
  return scheduler::RolloutOf(impl_->ledger, deployment);
}
const PowerBook& Core::power() const { return impl_->ledger.index().power(); }
JobCounts Core::Counts() const { return impl_->ledger.counts(); }
std::shared_ptr<const RouteTable> Core::Routes() const { return impl_->routes.table(); }

const NodeSoftState* Core::SoftState(NodeId node) const {
  const NodeLink* link = impl_->ledger.FindLink(node);
  return link == nullptr ? nullptr : &link->seen;
}
const TaskProgress* Core::ProgressOf(TaskId task) const {
  const auto it = impl_->ledger.progress.find(task);
  return it == impl_->ledger.progress.end() ? nullptr : &it->second;
}
ReplicaPhase Core::PhaseOf(const ReplicaState& replica) const {
  const ReplicaStatus* said = StatusOf(replica.id);
  if (said == nullptr) return replica.stopping ? ReplicaPhase::kStopping : ReplicaPhase::kStarting;
  if (replica.stopping && said->phase != ReplicaPhase::kDraining) return ReplicaPhase::kStopping;
  return said->phase;
}
const ReplicaStatus* Core::StatusOf(ReplicaId replica) const {
  const auto it = impl_->ledger.replica_status.find(replica);
  return it == impl_->ledger.replica_status.end() ? nullptr : &it->second;
}

}  // namespace allot::scheduler
