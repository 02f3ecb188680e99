#include "scheduler/router/fleet.h"

#include <algorithm>
#include <string_view>
#include <tuple>

namespace allot::router {
namespace {

uint32_t PerTenThousand(double percentile) {
  return static_cast<uint32_t>(std::clamp(percentile, 0.0, 1.0) * 10'000 + 0.5);
}

void NoteAvailability(Time now, Deployment* deployment) {
  if (deployment->available > 0) {
    deployment->without_since.reset();
  } else if (!deployment->without_since.has_value()) {
    deployment->without_since = now;
  }
}

}  // namespace

int64_t HeldCostNanos(const RouteReplica& facts, Duration time) {
  // µ$/h × µs × 1000 ÷ (3.6e9 µs/h × places)
  const auto product = static_cast<__int128>(facts.price.micros_per_hour) * time.count();
  const __int128 divisor = static_cast<__int128>(3'600'000) * facts.concurrency;
  return static_cast<int64_t>((product + divisor / 2) / divisor);
}

int64_t HeldEnergyNanos(const RouteReplica& facts, Duration time) {
  // mW × µs = nJ
  const auto product = static_cast<__int128>(facts.power) * time.count();
  const __int128 divisor = facts.concurrency;
  return static_cast<int64_t>((product + divisor / 2) / divisor);
}

void Fleet::Take(Time now, std::shared_ptr<const RouteTable> table) {
  table_ = std::move(table);
  models_.clear();
  for (auto& [name, deployment] : deployments_) {
    deployment->listed = false;
    deployment->slots.clear();
    deployment->available = 0;
  }
  for (auto& [id, replica] : replicas_) replica->listed = false;
  for (auto& [name, node] : nodes_) node.replicas.clear();
  for (const RouteDeployment& row : table_->deployments) TakeDeployment(now, row);
  ChooseServing();
}

void Fleet::ChooseServing() {
  const auto age = [](const RouteDeployment& row) {
    const ReplicaId oldest = row.replicas.empty() ? ReplicaId(UINT64_MAX) : row.replicas[0].id;
    return std::tuple(row.created, oldest, std::string_view(row.name));
  };
  std::vector<const RouteDeployment*> by_age;
  for (const RouteDeployment& row : table_->deployments) by_age.push_back(&row);
  std::sort(by_age.begin(), by_age.end(),
            [&age](const auto* a, const auto* b) { return age(*a) < age(*b); });
  for (const RouteDeployment* row : by_age) {
    Deployment* deployment = deployments_.at(row->name).get();
    if (deployment->model != row->model) continue;  // The second row of one name.
    const auto [at, first] = models_.try_emplace(row->model, deployment);
    if (first || at->second == deployment) {
      deployment->shadowed_by.clear();
    } else {
      deployment->shadowed_by = at->second->name;
    }
  }
}

void Fleet::TakeDeployment(Time now, const RouteDeployment& row) {
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
  NoteAvailability(now, &deployment);
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
  // A scheduler that has just begun knows of no replica whether it is ready; we did.
  const bool ready = row.ready || (row.unheard && replica.facts.ready);
  replica.facts = row;
  replica.facts.ready = ready;
  replica.facts.concurrency = std::max(row.concurrency, 1u);
  replica.group = GroupOf(deployment, row);
  replica.slot = static_cast<uint32_t>(deployment.slots.size());
  NodeLink& node = nodes_[row.node];
  node.replicas.push_back(&replica);

  Slot slot;
  slot.in_flight = static_cast<uint32_t>(replica.flights.size());
  slot.concurrency = replica.facts.concurrency;
  slot.ready = ready;
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

void Fleet::SetLinked(Time now, const std::string& name, bool linked) {
  NodeLink& node = nodes_[name];
  if (node.linked == linked) return;
  node.linked = linked;
  for (Replica* replica : node.replicas) {
    Slot& slot = replica->deployment->slots[replica->slot];
    slot.linked = linked;
    if (slot.ready) replica->deployment->available += linked ? 1 : -1;
    NoteAvailability(now, replica->deployment);
  }
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

const Deployment* Fleet::FindModel(const std::string& model) const {
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

Conduct::Share BestPeerOf(const Replica& replica) {
  Conduct::Share best{1, 1};
  if (replica.deployment->available > 1) best = {0, 1};
  bool found = false;
  for (const Slot& slot : replica.deployment->slots) {
    const Conduct& conduct = slot.replica->conduct;
    if (slot.replica == &replica || !slot.available() || conduct.troubled()) continue;
    const Conduct::Share share = conduct.share();
    if (share.outcomes == 0) return {0, 1};
    if (!found || share.failures * best.outcomes < best.failures * share.outcomes) best = share;
    found = true;
  }
  return best;
}

Conduct::Share LeastDeclinedBy(const Replica& replica) {
  Conduct::Share least{1, 1};
  for (const Slot& slot : replica.deployment->slots) {
    const Conduct& conduct = slot.replica->conduct;
    if (slot.replica == &replica || !slot.available()) continue;
    if (conduct.troubled()) continue;
    const Conduct::Share share = conduct.declines();
    if (share.outcomes < Conduct::kAnswersMin) return {0, 0};
    if (share.failures * least.outcomes < least.failures * share.outcomes) least = share;
  }
  return least;
}

std::vector<Replica*> Fleet::BusyOn(const std::string& node) {
  std::vector<Replica*> busy;
  for (auto& [id, replica] : replicas_)
    if (!replica->flights.empty() && replica->facts.node == node) busy.push_back(replica.get());
  return busy;
}

}  // namespace allot::router
