#include "simulator/checkers/lease_ledger.h"

#include <algorithm>

#include "simulator/checkers/together.h"

namespace allot::simulator {

void LeaseLedger::Kept(const scheduler::Record& record) {
  std::visit([this](const auto& r) { On(r); }, record);
}

void LeaseLedger::On(const scheduler::NodeRegistered& r) {
  Node& node = nodes_[r.node];
  if (r.epoch <= node.epoch)
    findings_->Add(kName, "node {} registered with epoch {} after {}", r.info->name, r.epoch.value(),
                  node.epoch.value());
  node.epoch = r.epoch;
  node.alive = true;
  node.info = r.info;
  std::erase_if(node.owners, [&](const auto& owner) {
    return std::none_of(r.info->devices.begin(), r.info->devices.end(),
                        [&](const Device& device) { return device.id == owner.first; });
  });
}

void LeaseLedger::On(const scheduler::NodeLost& r) {
  Node& node = nodes_[r.node];
  if (r.epoch <= node.epoch)
    findings_->Add(kName, "node {} lost with epoch {} after {}", r.node.value(), r.epoch.value(),
                  node.epoch.value());
  node.epoch = r.epoch;
  node.alive = false;
}

void LeaseLedger::Take(const scheduler::TaskPlacement& placement, const std::string& owner) {
  const auto it = nodes_.find(placement.node);
  if (it == nodes_.end() || !it->second.alive) {
    findings_->Add(kName, "{} placed on node {}, which is not alive", owner, placement.node.value());
    return;
  }
  Node& node = it->second;
  if (node.draining)
    findings_->Add(kName, "{} placed on {}, which is draining", owner.empty() ? "a task" : owner,
                  node.info->name);
  if (node.out.contains(""))
    findings_->Add(kName, "{} placed on {}, which is quarantined", owner.empty() ? "a task" : owner,
                  node.info->name);
  placement.devices.ForEach([&](uint32_t i) {
    if (i >= node.info->devices.size()) {
      findings_->Add(kName, "{} leases device {} of {}, which has {}", owner, i, node.info->name,
                    node.info->devices.size());
      return;
    }
    if (node.out.contains(node.info->devices[i].id))
      findings_->Add(kName, "{} leases {} of {}, which is quarantined", owner,
                    node.info->devices[i].id, node.info->name);
    const auto [held, fresh] = node.owners.try_emplace(node.info->devices[i].id, owner);
    if (!fresh)
      findings_->Add(kName, "device {} of {} leased to {} while {} has it", held->first,
                    node.info->name, owner, held->second);
  });
}

void LeaseLedger::CheckTogether(const scheduler::TaskPlacement& placement,
                                const DeviceRequest* request, const std::string& owner) {
  const auto it = nodes_.find(placement.node);
  if (request == nullptr || placement.devices.Empty() || it == nodes_.end()) return;
  const NodeInfo& node = *it->second.info;
  std::vector<std::string> devices;
  placement.devices.ForEach([&](uint32_t i) {
    if (i < node.devices.size()) devices.push_back(node.devices[i].id);
  });
  if (const std::string why = WhyNotTogether(node, devices, *request); !why.empty())
    findings_->Add(kName, "{} on {}: {}", owner, node.name, why);
}

void LeaseLedger::Free(NodeId node, const std::string& owner) {
  std::erase_if(nodes_[node].owners, [&](const auto& held) { return held.second == owner; });
}

void LeaseLedger::On(const scheduler::DeviceQuarantined& r) {
  Node& node = nodes_[r.node];
  node.out.insert(r.device);
  if (r.device.empty()) node.probation = false;
}

void LeaseLedger::On(const scheduler::DeviceOnProbation& r) {
  Node& node = nodes_[r.node];
  if (node.out.erase(r.device) == 0)
    findings_->Add(kName, "{} of node {} on probation without having been quarantined", r.device,
                  r.node.value());
  if (!r.device.empty()) return;
  node.probation = true;
  node.tried.clear();
}

void LeaseLedger::On(const scheduler::DeviceCleared& r) {
  Node& node = nodes_[r.node];
  node.out.erase(r.device);
  if (r.device.empty()) node.probation = false;
}

void LeaseLedger::On(const scheduler::JobPlaced& r) {
  const auto job = jobs_.find(r.job);
  const DeviceRequest* request = job == jobs_.end() || job->second->devices.empty()
                                     ? nullptr
                                     : &job->second->devices[r.alternative];
  for (uint32_t i = 0; i < r.tasks.size(); ++i) {
    const TaskKey key{{r.job, i}, r.attempt};
    tasks_[key] = r.tasks[i].node;
    CheckTogether(r.tasks[i], request, ToString(key));
    Take(r.tasks[i], r.tasks[i].devices.Empty() ? std::string() : ToString(key));
    Node& node = nodes_[r.tasks[i].node];
    if (!node.probation) continue;
    node.tried.insert(r.job);
    if (node.tried.count(r.job) < node.tried.size())
      findings_->Add(kName, "{} has two jobs at once on probation", node.info->name);
  }
}

void LeaseLedger::EndTask(const TaskKey& key) {
  const auto it = tasks_.find(key);
  if (it == tasks_.end()) return;  // The job ledger says more.
  std::multiset<JobId>& tried = nodes_[it->second].tried;
  if (const auto job = tried.find(key.task.job); job != tried.end()) tried.erase(job);
  if (!nodes_[it->second].owners.empty()) Free(it->second, ToString(key));
  tasks_.erase(it);
}

void LeaseLedger::On(const scheduler::ReplicaPlaced& r) {
  if (!replicas_.try_emplace(r.replica, r.placement.node).second)
    findings_->Add(kName, "{} placed twice", ToString(r.replica));
  if (const auto it = deployments_.find(r.deployment); it != deployments_.end())
    CheckTogether(r.placement, &it->second->groups[r.group].device, ToString(r.replica));
  Take(r.placement, ToString(r.replica));
}

void LeaseLedger::On(const scheduler::ReplicaGone& r) {
  const auto it = replicas_.find(r.replica);
  if (it == replicas_.end()) {
    findings_->Add(kName, "{} is gone, but it holds no lease", ToString(r.replica));
    return;
  }
  Free(it->second, ToString(r.replica));
  replicas_.erase(it);
}

}  // namespace allot::simulator
