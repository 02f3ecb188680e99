// Reads the durable records as an outsider would and keeps its own books on devices and epochs.
//
// Promises: no device has two leases; a lease is taken only on a node that is alive and not
// draining, and of that and of each device only if it is not quarantined; a node on probation has
// one job at a time; the epochs of a node only grow. Leases follow a device's id when a node's
// list of devices changes; the lease of a device that is gone ends. The accelerators of a lease are
// those that were asked for, and may be used together (together.h).
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "scheduler/core/events.h"
#include "simulator/checkers/findings.h"

namespace allot::simulator {

class LeaseLedger {
 public:
  explicit LeaseLedger(Findings& findings) : findings_(&findings) {}
  void Kept(const scheduler::Record& record);

 private:
  struct Node {
    Epoch epoch;
    bool alive = false;
    bool draining = false;
    scheduler::NodeInfoPtr info;
    std::map<std::string, std::string> owners;  // device id → who
    std::set<std::string> out;                  // quarantined: device ids, "" is the node
    bool probation = false;                     // the node as a whole
    std::multiset<JobId> tried;                 // of each task placed there since, and not over
  };
  static constexpr std::string_view kName = "lease ledger";
  void Take(const scheduler::TaskPlacement& placement, const std::string& owner);
  void CheckTogether(const scheduler::TaskPlacement& placement, const DeviceRequest* request,
                     const std::string& owner);
  void On(const scheduler::JobAccepted& r) { jobs_[r.job] = r.spec; }
  void On(const scheduler::JobFinished& r) { jobs_.erase(r.job); }
  void On(const scheduler::DeploymentSet& r) { deployments_[r.spec->name] = r.spec; }
  void Free(NodeId node, const std::string& owner);
  void On(const scheduler::NodeRegistered& r);
  void On(const scheduler::NodeLost& r);
  void On(const scheduler::NodeDrainSet& r) { nodes_[r.node].draining = r.drain; }
  void On(const scheduler::DeviceQuarantined& r);
  void On(const scheduler::DeviceOnProbation& r);
  void On(const scheduler::DeviceCleared& r);
  void On(const scheduler::JobPlaced& r);
  void On(const scheduler::TaskExited& r) { EndTask(r.key); }
  void On(const scheduler::TaskAbandoned& r) { EndTask(r.key); }
  void On(const scheduler::ReplicaPlaced& r);
  void On(const scheduler::ReplicaGone& r);
  template <class R>
  void On(const R&) {}
  void EndTask(const TaskKey& key);

  Findings* findings_;  // never null
  std::map<NodeId, Node> nodes_;
  std::map<TaskKey, NodeId> tasks_;
  std::map<ReplicaId, NodeId> replicas_;
  std::map<JobId, scheduler::JobSpecPtr> jobs_;
  std::map<std::string, scheduler::DeploymentSpecPtr> deployments_;
};

}  // namespace allot::simulator
