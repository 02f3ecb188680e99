#include "scheduler/core/routes.h"

namespace allot::scheduler {
namespace {

// A table of 10,000 replicas is a megabyte, and when as many become ready one after the other,
// nobody wants 10,000 of them. So big tables are spaced: 5 ms for every 256 replicas.
Duration Spacing(uint32_t replicas) { return std::chrono::milliseconds(replicas / 256 * 5); }

RouteReplica RouteOf(const ReplicaState& replica, const NodeState& node, PriceRate price,
                     bool ready) {
  RouteReplica route;
  route.id = replica.id;
  route.node = node.info->name;
  route.concurrency = replica.concurrency;
  route.price = price;
  route.power = replica.placement.power;
  route.ready = ready;
  route.kind = DeviceKind::kCpu;
  route.device_count = std::max(replica.placement.devices.Count(), 1U);
  const Device* device = nullptr;
  for (uint32_t i = 0; i < node.info->devices.size() && device == nullptr; ++i) {
    const Device& candidate = node.info->devices[i];
    const bool chosen = replica.placement.devices.Empty() ? candidate.kind == DeviceKind::kCpu
                                                          : replica.placement.devices.Has(i);
    if (chosen) device = &candidate;
  }
  if (device != nullptr) {
    route.kind = device->kind;
    route.device_model = device->model;
    route.emulated = device->emulated;
  }
  return route;
}

}  // namespace

std::optional<RouteDeployment> RouteKeeper::Build(const std::string& name) const {
  const ClusterState& state = ledger_.state();
  const auto it = state.deployments().find(name);
  if (it == state.deployments().end() || it->second.stopping) return std::nullopt;
  const DeploymentSpec& spec = *it->second.spec;
  RouteDeployment route;
  route.name = name;
  route.model = spec.model.empty() ? name : spec.model;
  route.objective = spec.objective;
  route.queue_max = spec.queue_max;
  route.queue_timeout = spec.queue_timeout;
  route.created = it->second.created;
  route.tenant = spec.tenant;
  for (const ReplicaId id : it->second.replicas) {
    const ReplicaState& replica = state.replicas().at(id);
    const NodeState& node = *state.FindNode(replica.placement.node);
    if (replica.stopping) continue;
    const auto status = ledger_.replica_status.find(id);
    const bool heard = status != ledger_.replica_status.end();
    const bool ready = heard && status->second.phase == ReplicaPhase::kReady;
    RouteReplica& row =
        route.replicas.emplace_back(RouteOf(replica, node, ledger_.PriceNow(replica), ready));
    // After a restart all nodes are still to be heard, and their replicas serve meanwhile.
    const NodeLink* link = ledger_.FindLink(node.id);
    row.unheard = !heard && (link == nullptr || !link->registered);
  }
  return route;
}

std::shared_ptr<RouteTable> RouteKeeper::Head() const {
  const Policy& policy = *ledger_.state().policy();
  auto table = std::make_shared<RouteTable>();
  table->incarnation = ledger_.state().incarnation();
  table->term = ledger_.state().term();
  table->version = table_->version;
  table->policy_name = policy.name;
  table->routing_algorithm = policy.routing.algorithm;
  table->explore_ratio = policy.routing.explore_ratio;
  table->history = policy.routing.history;
  table->value_nanos_per_second = policy.prices.value_nanos_per_second;
  return table;
}

std::optional<Time> RouteKeeper::NextDue() const {
  if (!waiting_) return std::nullopt;
  return sent_ + Spacing(replicas_);
}

void RouteKeeper::Publish(Ledger& ledger, Effects& out) {
  if (!ledger.routes_all_dirty && ledger.routes_dirty.empty()) return;
  if (waiting_ = ledger.now < sent_ + Spacing(replicas_); waiting_) return;
  if (ledger.routes_all_dirty) {
    deployments_.clear();
    for (const auto& [name, deployment] : ledger.state().deployments())
      ledger.routes_dirty.insert(name);
  }
  for (const std::string& name : ledger.routes_dirty) {
    deployments_.erase(name);
    if (auto route = Build(name)) deployments_.emplace(name, *std::move(route));
  }
  ledger.routes_dirty.clear();
  ledger.routes_all_dirty = false;

  std::shared_ptr<RouteTable> table = Head();
  replicas_ = 0;
  for (const auto& [name, route] : deployments_) {
    table->deployments.push_back(route);
    replicas_ += static_cast<uint32_t>(route.replicas.size());
  }
  if (*table == *table_) return;  // Nothing that gateways see.
  ++table->version;
  table_ = table;
  sent_ = ledger.now;
  out.commands.emplace_back(std::in_place_type<SendRoutes>, SendRoutes{table_});
}

}  // namespace allot::scheduler
