#include "simulator/checkers/power_ledger.h"

#include "simulator/cluster_maker.h"

namespace allot::simulator {

void PowerLedger::Kept(const scheduler::Record& record) {
  std::visit([this](const auto& r) { On(r); }, record);
}

void PowerLedger::Add(NodeId id, MilliWatt power) {
  Node& node = nodes_[id];
  node.leased += power;
  if (!node.rack.empty()) racks_[node.rack] += power;
  cluster_ += power;
}

void PowerLedger::On(const scheduler::NodeRegistered& r) {
  Node& node = nodes_[r.node];
  node.info = r.info;
  const auto label = r.info->labels.find("rack");
  const std::string rack = label == r.info->labels.end() ? "" : label->second;
  if (rack == node.rack) return;
  const MilliWatt leased = node.leased;
  Add(r.node, -leased);
  node.rack = rack;
  Add(r.node, leased);
}

void PowerLedger::Take(const scheduler::TaskPlacement& placement, MilliCpu share,
                       const std::string& owner) {
  const auto it = nodes_.find(placement.node);
  if (it == nodes_.end()) return;  // The lease ledger says more.
  const NodeInfo& info = *it->second.info;
  MilliWatt least = ShareDrawsAtMost(policy_->prices, info, share);
  placement.devices.ForEach([&](uint32_t i) {
    if (i < info.devices.size()) least += DrawsAtMost(policy_->prices, info, info.devices[i]);
  });
  if (placement.power < least)
    findings_->Add(kName, "{} is written down with {} mW on {}, but may draw {}", owner,
                  placement.power, info.name, least);
  Add(placement.node, placement.power);
}

void PowerLedger::CheckCaps(NodeId id, const std::string& owner) {
  const Node& node = nodes_[id];
  if (node.info == nullptr) return;
  const auto check = [&](std::optional<MilliWatt> cap, MilliWatt leased, const std::string& of) {
    if (cap && leased > *cap)
      findings_->Add(kName, "{} brings {} to {} mW, above its cap of {}", owner, of, leased, *cap);
  };
  check(CapOfNode(policy_->power, node.info->name), node.leased, "node " + node.info->name);
  if (!node.rack.empty())
    check(CapOfRack(policy_->power, node.rack), racks_[node.rack], "rack " + node.rack);
  check(policy_->power.cluster, cluster_, "the cluster");
}

void PowerLedger::On(const scheduler::JobPlaced& r) {
  const auto spec = specs_.find(r.job);
  if (spec == specs_.end()) return;  // The job ledger says more.
  for (uint32_t i = 0; i < r.tasks.size(); ++i) {
    const TaskKey key{{r.job, i}, r.attempt};
    Take(r.tasks[i], spec->second->resources.cpus, ToString(key));
    tasks_[key] = {r.tasks[i].node, r.tasks[i].power};
  }
  // A gang is one placement: what counts is where it leaves the books.
  for (const scheduler::TaskPlacement& task : r.tasks) CheckCaps(task.node, ToString(r.job));
}

void PowerLedger::End(const TaskKey& key) {
  const auto it = tasks_.find(key);
  if (it == tasks_.end()) return;
  Add(it->second.node, -it->second.power);
  tasks_.erase(it);
}

void PowerLedger::On(const scheduler::ReplicaPlaced& r) {
  Take(r.placement, r.resources.cpus, ToString(r.replica));
  replicas_[r.replica] = {r.placement.node, r.placement.power};
  CheckCaps(r.placement.node, ToString(r.replica));
}

void PowerLedger::On(const scheduler::ReplicaGone& r) {
  const auto it = replicas_.find(r.replica);
  if (it == replicas_.end()) return;
  Add(it->second.node, -it->second.power);
  replicas_.erase(it);
}

}  // namespace allot::simulator
