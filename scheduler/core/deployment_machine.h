// The life of a deployment: its replicas brought to what the spec asks for, one step at a time.
//
// A new generation (another launch spec) replaces the old one by one: a new replica is started, and
// when it is ready an old one goes; where there is no room for both, the old one goes first.
// Replicas on draining nodes are replaced the same way. Counts that change only add or remove.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "scheduler/core/delivery.h"
#include "scheduler/core/ledger.h"

namespace allot::scheduler {

// Do both specs start the same processes for the groups they share? Counts, the objective, the
// queue and the cap may differ.
bool SameLaunch(const DeploymentSpec& a, const DeploymentSpec& b);

// The name clients ask for.
const std::string& ModelOf(const DeploymentSpec& spec);

// The demand of one replica of a group.
Demand DemandOf(const DeploymentSpec& spec, uint32_t group);

class DeploymentMachine {
 public:
  DeploymentMachine(Ledger& ledger, Delivery& delivery) : ledger_(ledger), delivery_(delivery) {}

  void Apply(const DeploymentApplied& event, Effects& out);
  void Delete(const DeploymentDeleteRequested& event, Effects& out);
  void ReplicaSaid(NodeId node, const ReplicaStatus& status, Effects& out);
  // Prices, scores or caps have changed: whatever found no place may find one now.
  void PricesChanged() { short_.clear(); }
  // Reconciles what is dirty, within a budget; true if it stopped there and would go on at once.
  // It goes in rounds, and what becomes dirty during one waits for the next: so whoever has a turn
  // between rounds gets it, however often replicas come and go.
  bool Reconcile(Effects& out);
  bool AnyDirty() const { return !ledger_.deployments_dirty.empty(); }

 private:
  // The replicas of one group, as a decision needs them.
  struct Group {
    std::vector<ReplicaId> current, outdated;  // not stopping
    uint32_t current_ready = 0;
    uint32_t stopping = 0;
  };
  using GroupKey = std::pair<std::string, uint32_t>;

  Status CheckModel(const DeploymentSpec& spec) const;
  bool GoOn(Effects& out);
  void RecheckShort();
  void ForgetShort(const std::string& deployment);
  // False: stopped at the budget; calling again goes on from there.
  bool ReconcileOne(const std::string& name, Effects& out);
  bool ReconcileGroup(const DeploymentState& deployment, uint32_t index, Group& group,
                      Effects& out);
  std::vector<Group> Sort(const DeploymentState& deployment, Effects& out);
  bool Place(const DeploymentState& deployment, uint32_t group, Effects& out);
  void Stop(ReplicaId replica, Effects& out);
  bool IsReady(ReplicaId replica) const;
  bool IsKnown(ReplicaId replica) const;
  bool Spent() const { return work_ >= kWorkMax; }

  // A unit is a node looked at or a fraction of a record, as for the planner.
  static constexpr uint64_t kWorkMax = 6'000;
  static constexpr uint64_t kWorkPerReplica = 12;

  Ledger& ledger_;
  Delivery& delivery_;
  std::set<std::string> round_;  // what this round has still to reconcile
  // Groups for whose replicas no node has room, with what one needs. They are searched for again
  // only when a node has gained room for one: a replica fits on a node that grew or nowhere. Those
  // that a cap on power refused also when the cluster has gained power.
  struct Short {
    Demand demand;
    bool refused_power = false;
  };
  std::map<GroupKey, Short> short_;
  uint64_t work_ = 0;
  uint32_t searched_ = 0, placed_ = 0;  // in this step
};

}  // namespace allot::scheduler
