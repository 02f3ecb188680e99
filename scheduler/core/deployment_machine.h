// The life of a deployment: its replicas brought to what the spec asks for, one step at a time.
//
// A new generation (another launch spec) replaces the old one by one: a new replica is started, and
// when it is ready an old one goes; where there is no room for both, the old one goes first.
// Replicas on draining nodes are replaced the same way. Counts that change only add or remove.
#pragma once

#include <string>
#include <vector>

#include "scheduler/core/delivery.h"
#include "scheduler/core/ledger.h"

namespace allot::scheduler {

// Do both specs start the same processes for the groups they share? Counts, the objective, the
// queue and the cap may differ.
bool SameLaunch(const DeploymentSpec& a, const DeploymentSpec& b);

// The demand of one replica of a group.
Demand DemandOf(const DeploymentSpec& spec, uint32_t group);

class DeploymentMachine {
 public:
  DeploymentMachine(Ledger& ledger, Delivery& delivery) : ledger_(ledger), delivery_(delivery) {}

  void Apply(const DeploymentApplied& event, Effects& out);
  void Delete(const DeploymentDeleteRequested& event, Effects& out);
  void ReplicaSaid(NodeId node, const ReplicaStatus& status, Effects& out);
  // Reconciles what is dirty, within a budget; true if more is left.
  bool Reconcile(Effects& out);

 private:
  // The replicas of one group, as a decision needs them.
  struct Group {
    std::vector<ReplicaId> current, outdated;  // not stopping
    uint32_t current_ready = 0;
    uint32_t stopping = 0;
  };
  enum class Outcome : uint8_t { kDone, kShort, kBudget };

  Outcome ReconcileOne(const std::string& name, uint32_t& budget, Effects& out);
  Outcome ReconcileGroup(const DeploymentState& deployment, uint32_t index, Group& group,
                         uint32_t& budget, Effects& out);
  std::vector<Group> Sort(const DeploymentState& deployment, Effects& out);
  bool Place(const DeploymentState& deployment, uint32_t group, Effects& out);
  void Stop(ReplicaId replica, Effects& out);
  bool IsReady(ReplicaId replica) const;

  Ledger& ledger_;
  Delivery& delivery_;
};

}  // namespace allot::scheduler
