#include "scheduler/router/fleet.h"

#include <algorithm>

namespace allot::router {
namespace {

uint32_t PerTenThousand(double percentile) {
  return static_cast<uint32_t>(std::clamp(percentile, 0.0, 1.0) * 10'000 + 0.5);
}

}  // namespace

int64_t HeldCostNanos(const RouteReplica& facts, Duration time) {
  // µ$/h × µs × 1000 ÷ (3.6e9 µs/h × places)
  const auto product = static_cast<__int128>(facts.price.micros_per_hour) * time.count();
  const __int128 divisor = static_cast<__int128>(3'600'000) * std::max(facts.concurrency, 1u);
  return static_cast<int64_t>((product + divisor / 2) / divisor);
}

int64_t HeldEnergyNanos(const RouteReplica& facts, Duration time) {
  // mW × µs = nJ
  const auto product = static_cast<__int128>(facts.power) * time.count();
  const __int128 divisor = std::max(facts.concurrency, 1u);
  return static_cast<int64_t>((product + divisor / 2) / divisor);
}

void Fleet::Take(std::shared_ptr<const RouteTable> table) {
  table_ = std::move(table);
  models_.clear();
  for (auto& [name, deployment] : deployments_) {
    deployment->listed = false;
    deployment->slots.clear();
    deployment->available = 0;
  }
  for (auto& [id, replica] : replicas_) replica->listed = false;
  for (auto& [name, node] : nodes_) node.replicas.clear();
  for (const RouteDeployment& row : table_->deployments) TakeDeployment(row);
}

void Fleet::TakeDeployment(const RouteDeployment& row) {
  std::unique_ptr<Deployment>& entry = deployments_[row.name];
  if (entry == nullptr) entry = std::make_unique<Deployment>();
  Deployment& deployment = *entry;
  if (deployment.listed && !deployment.name.empty()) return;  // The name comes twice.
  deployment.listed = true;
  deployment.name = row.name;
  deployment.model = row.model;
  deployment.objective = row.objective;
  deployment.queue_max = row.queue_max;
  deployment.queue_timeout = row.queue_timeout;
  deployment.slots.reserve(row.replicas.size());
  for (const RouteReplica& replica : row.replicas) TakeReplica(deployment, replica);
  for (const auto& group : deployment.groups)
    group->estimate.Configure(table_->history, PerTenThousand(row.objective.percentile));
  models_.try_emplace(row.model, &deployment);
}

void Fleet::TakeReplica(Deployment& deployment, const RouteReplica& row) {
  std::unique_ptr<Replica>& entry = replicas_[row.id];
  if (entry == nullptr) {
    entry = std::make_unique<Replica>();
    entry->deployment = &deployment;
    entry->listed = false;
  }
  Replica& replica = *entry;
  if (replica.listed || replica.deployment != &deployment) return;
  replica.listed = true;
  replica.facts = row;
  replica.facts.concurrency = std::max(row.concurrency, 1u);
  replica.group = GroupOf(deployment, row);
  replica.slot = static_cast<uint32_t>(deployment.slots.size());
  NodeLink& node = nodes_[row.node];
  node.replicas.push_back(&replica);

  Slot slot;
  slot.in_flight = static_cast<uint32_t>(replica.flights.size());
  slot.concurrency = replica.facts.concurrency;
  slot.ready = row.ready;
  slot.linked = node.linked;
  slot.group = replica.group;
  slot.price = row.price;
  slot.nanos_per_microsecond =
      static_cast<double>(row.price.micros_per_hour) / (3.6e6 * slot.concurrency);
  slot.replica = &replica;
  deployment.slots.push_back(slot);
  if (slot.available()) ++deployment.available;
}

DeviceGroup* Fleet::GroupOf(Deployment& deployment, const RouteReplica& row) {
  for (const auto& group : deployment.groups)
    if (group->device_model == row.device_model && group->device_count == row.device_count &&
        group->emulated == row.emulated)
      return group.get();
  auto group = std::make_unique<DeviceGroup>();
  group->device_model = row.device_model;
  group->device_count = row.device_count;
  group->emulated = row.emulated;
  group->kind = row.kind;
  deployment.groups.push_back(std::move(group));
  return deployment.groups.back().get();
}

void Fleet::Sweep(const std::function<void(const Replica&)>& gone) {
  std::erase_if(replicas_, [&gone](const auto& entry) {
    if (entry.second->listed || !entry.second->flights.empty()) return false;
    gone(*entry.second);
    return true;
  });
  std::erase_if(deployments_, [](const auto& entry) {
    return !entry.second->listed && entry.second->in_flight == 0 && entry.second->queue.empty();
  });
  std::erase_if(nodes_, [](const auto& entry) {
    return !entry.second.linked && entry.second.replicas.empty();
  });
}

bool Fleet::SetLinked(const std::string& name, bool linked) {
  NodeLink& node = nodes_[name];
  if (node.linked == linked) return false;
  node.linked = linked;
  for (Replica* replica : node.replicas) {
    Slot& slot = replica->deployment->slots[replica->slot];
    slot.linked = linked;
    if (slot.ready) replica->deployment->available += linked ? 1 : -1;
  }
  return true;
}

void Fleet::SetInFlight(Replica& replica) {
  if (replica.listed)
    replica.deployment->slots[replica.slot].in_flight =
        static_cast<uint32_t>(replica.flights.size());
}

Deployment* Fleet::FindModel(const std::string& model) {
  const auto found = models_.find(model);
  return found == models_.end() ? nullptr : found->second;
}

Deployment* Fleet::FindDeployment(const std::string& name) {
  const auto found = deployments_.find(name);
  return found == deployments_.end() ? nullptr : found->second.get();
}

const Deployment* Fleet::FindDeployment(const std::string& name) const {
  const auto found = deployments_.find(name);
  return found == deployments_.end() ? nullptr : found->second.get();
}

Replica* Fleet::FindReplica(ReplicaId id) {
  const auto found = replicas_.find(id);
  return found == replicas_.end() ? nullptr : found->second.get();
}

const Replica* Fleet::FindReplica(ReplicaId id) const {
  const auto found = replicas_.find(id);
  return found == replicas_.end() ? nullptr : found->second.get();
}

std::vector<Replica*> Fleet::BusyOn(const std::string& node) {
  std::vector<Replica*> busy;
  for (auto& [id, replica] : replicas_)
    if (!replica->flights.empty() && replica->facts.node == node) busy.push_back(replica.get());
  return busy;
}

}  // namespace allot::router
