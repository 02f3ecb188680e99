// The life of a node: registered, heard, reconciled, lost, drained.
//
// Leases run on a clock of their own, which counts only the time we listened. When our own process
// was stopped, a machine was paused or a disk held up the loop, heartbeats lie unread and silence
// says nothing about the nodes. An agent never acts on the end of a lease (its tasks run on, and
// what fences it is the epoch), so a lease that we let run longer takes nothing from anybody. A
// lease is looked at a moment before its end and again at its end: a single look may come when we
// wake, with what the node said unread.
//
// Nor does it count where two nodes or more fall silent together: then it is our own line that is
// cut, most likely, and to give up all of them would take their replicas off the routes of gateways
// that reach them, for work that has no other place to go. As soon as one is heard again, those
// that stay silent are given up in time.
#pragma once

#include <optional>
#include <set>

#include "scheduler/core/delivery.h"
#include "scheduler/core/deployment_machine.h"
#include "scheduler/core/job_machine.h"
#include "scheduler/core/ledger.h"
#include "scheduler/core/quarantine.h"

namespace allot::scheduler {

class NodeMachine {
 public:
  NodeMachine(Ledger& ledger, Delivery& delivery, JobMachine& jobs, DeploymentMachine& deployments,
              QuarantineMachine& quarantine)
      : ledger_(ledger),
        delivery_(delivery),
        jobs_(jobs),
        deployments_(deployments),
        quarantine_(quarantine) {}

  // First in every step: `now` may be later than NextCheck asked for.
  void Woken(Time now, Effects& out);
  void WatchAll();  // at Restarted: every node that was alive has a lease from now
  void Heard(AgentSaid said, Effects& out);
  void Drain(const NodeDrainRequested& event, Effects& out);
  void TellGateways(Effects& out);
  void ExpireLeases(Effects& out);
  // Tasks that their nodes have not acknowledged in time, though those are heard.
  void TakeBackUnanswered(Effects& out);
  std::optional<Time> NextUnanswered() const;
  std::optional<Time> NextCheck() const;

 private:
  void Register(const std::string& name, const RegisterNode& message, Effects& out);
  // `rebooted`: nothing that ran before is there any more, whatever the message says of it.
  void Reconcile(const NodeState& node, const RegisterNode& message, bool rebooted, Effects& out);
  // Of replicas that were given up with the node: those that it has all the while been running.
  void TakeBackReplicas(const NodeState& node, const std::vector<ReplicaStatus>& running,
                        Effects& out);
  // What a node lists without incarnations, because its build knows of none, by its whole name.
  void Name(AgentMessage& message) const;
  // Notes what it holds of another life of the store, which ends like anything we do not know.
  void LookForForeign(NodeLink& link, const RegisterNode& message, Effects& out);
  void Take(NodeId node, const Heartbeat& message, Effects& out);
  void Take(NodeId node, const AskLeases& message, Effects& out);
  void Take(NodeId node, const TaskReport& message, Effects& out);
  void Take(NodeId node, const ReplicaReport& message, Effects& out);
  void Take(NodeId, const RegisterNode&, Effects&) {}
  void Welcome(const NodeState& node, Effects& out);
  void Lose(const NodeState& node, Effects& out);
  void LoseTasks(const NodeState& node, RequeueReason reason, Effects& out);
  Time ListeningNow() const { return ledger_.ListeningNow(); }
  Duration Moment() const;
  Time BeforeItEnds(const NodeLink& link) const { return link.lease_end - Moment(); }
  bool HeardLately(NodeId node) const;
  void Hear(NodeLink& link);
  // Any message from any node: our line is whole.
  void LineIsWhole();
  // If nobody was heard for long, that time does not count. True: it did not.
  bool StandStill();
  void Watch(NodeId node, Time check);

  Ledger& ledger_;
  Delivery& delivery_;
  JobMachine& jobs_;
  DeploymentMachine& deployments_;
  QuarantineMachine& quarantine_;
  // When to look at each alive node's lease next, on the listening clock; the lease itself moves
  // with every message.
  std::set<std::pair<Time, NodeId>> checks_;
  std::vector<bool> watched_;  // by node: it has an entry above
  Time hold_until_;            // no lease ends before: first, what has arrived is read
  Time anybody_heard_;         // last, on the listening clock
  bool cut_off_ = false;       // and it has been told
};

}  // namespace allot::scheduler
