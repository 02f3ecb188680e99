// Reads the durable records as an outsider would and keeps its own books of power.
//
// Promises: a placement leaves no node, rack or cluster above its cap, whatever was leased before;
// and a lease is written down with no less than its devices and its share of the processors draw at
// most, by the policy and the node's word at that moment. What runs is never stopped for a cap.
#pragma once

#include <map>
#include <string>

#include "scheduler/core/events.h"
#include "simulator/checkers/findings.h"

namespace allot::simulator {

class PowerLedger {
 public:
  explicit PowerLedger(Findings& findings) : findings_(&findings) {}
  void Kept(const scheduler::Record& record);
  MilliWatt leased() const { return cluster_; }

 private:
  struct Node {
    scheduler::NodeInfoPtr info;
    std::string rack;
    MilliWatt leased = 0;
  };
  struct Lease {
    NodeId node;
    MilliWatt power = 0;
  };
  static constexpr std::string_view kName = "power ledger";
  void On(const scheduler::PolicySet& r) { policy_ = r.policy; }
  void On(const scheduler::NodeRegistered& r);
  void On(const scheduler::JobAccepted& r) { specs_[r.job] = r.spec; }
  void On(const scheduler::JobPlaced& r);
  void On(const scheduler::TaskExited& r) { End(r.key); }
  void On(const scheduler::TaskAbandoned& r) { End(r.key); }
  void On(const scheduler::ReplicaPlaced& r);
  void On(const scheduler::ReplicaGone& r);
  template <class R>
  void On(const R&) {}

  void Take(const scheduler::TaskPlacement& placement, MilliCpu share, const std::string& owner);
  void Add(NodeId node, MilliWatt power);
  void CheckCaps(NodeId node, const std::string& owner);
  void End(const TaskKey& key);

  Findings* findings_;  // never null
  scheduler::PolicyPtr policy_ = std::make_shared<Policy>();
  std::map<NodeId, Node> nodes_;
  std::map<std::string, MilliWatt> racks_;
  MilliWatt cluster_ = 0;
  std::map<JobId, scheduler::JobSpecPtr> specs_;
  std::map<TaskKey, Lease> tasks_;
  std::map<ReplicaId, Lease> replicas_;
};

}  // namespace allot::simulator
