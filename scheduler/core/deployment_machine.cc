#include "scheduler/core/deployment_machine.h"

#include <algorithm>

#include "scheduler/core/answer.h"

namespace allot::scheduler {
bool SameLaunch(const DeploymentSpec& a, const DeploymentSpec& b) {
  const size_t shared = std::min(a.groups.size(), b.groups.size());
  for (size_t g = 0; g < shared; ++g) {
    if (a.groups[g].device != b.groups[g].device ||
        a.groups[g].concurrency != b.groups[g].concurrency)
      return false;
  }
  return a.model == b.model && a.command == b.command && a.environment == b.environment &&
         a.work_dir == b.work_dir && a.resources == b.resources && a.health == b.health;
}

Demand DemandOf(const DeploymentSpec& spec, uint32_t group) {
  return {1, spec.resources, {spec.groups[group].device}, {}, 0};
}

const std::string& ModelOf(const DeploymentSpec& spec) {
  return spec.model.empty() ? spec.name : spec.model;
}

// Clients name a model and nothing else, so whoever serves it gets their requests, prompts and all:
// the first to have it keeps it until it is gone, whoever else asks.
Status DeploymentMachine::CheckModel(const DeploymentSpec& spec) const {
  const auto& deployments = ledger_.state().deployments();
  const auto own = deployments.find(spec.name);
  // From before this was checked: it has the model already, and may at least be changed.
  if (own != deployments.end() && !own->second.stopping &&
      ModelOf(*own->second.spec) == ModelOf(spec))
    return absl::OkStatus();
  for (const auto& [name, other] : deployments) {
    if (name == spec.name || other.stopping || ModelOf(*other.spec) != ModelOf(spec)) continue;
    return AlreadyExists(
        "the model \"{}\" is served by deployment \"{}\" of tenant {} already, and requests name "
        "nothing but the model; give this one another `model`, or change or undeploy that one",
        ModelOf(spec), name, other.spec->tenant);
  }
  return absl::OkStatus();
}

void DeploymentMachine::Apply(const DeploymentApplied& event, Effects& out) {
  const auto& deployments = ledger_.state().deployments();
  const auto it = deployments.find(event.spec->name);
  if (Status status = CheckModel(*event.spec); !status.ok())
    return Answer(event.token, std::move(status), JobId(), out);
  uint64_t generation = ledger_.state().generations_gone() + 1;
  if (it != deployments.end()) {
    const DeploymentState& before = it->second;
    if (!before.stopping && *before.spec == *event.spec)
      return Answer(event.token, absl::OkStatus(), JobId(), out);
    const bool same = !before.stopping && SameLaunch(*before.spec, *event.spec);
    generation = before.generation + (same ? 0 : 1);
    ForgetShort(event.spec->name);
  }
  ledger_.Remember(DeploymentSet{ledger_.now, event.spec, generation, event.user}, out);
  Answer(event.token, absl::OkStatus(), JobId(), out);
}

void DeploymentMachine::Delete(const DeploymentDeleteRequested& event, Effects& out) {
  const auto it = ledger_.state().deployments().find(event.name);
  if (it == ledger_.state().deployments().end()) {
    return Answer(
        event.token,
        NotFound("there is no deployment \"{}\"; `allot deployments` lists them", event.name),
        JobId(), out);
  }
  if (!it->second.stopping) ledger_.Remember(DeploymentStopping{ledger_.now, event.name}, out);
  Answer(event.token, absl::OkStatus(), JobId(), out);
}

bool DeploymentMachine::IsReady(ReplicaId replica) const {
  const auto it = ledger_.replica_status.find(replica);
  return it != ledger_.replica_status.end() && it->second.phase == ReplicaPhase::kReady;
}

// After our own restart nothing is known of a node's replicas until it has registered.
bool DeploymentMachine::IsKnown(ReplicaId replica) const {
  const NodeState& node =
      *ledger_.state().FindNode(ledger_.state().replicas().at(replica).placement.node);
  const NodeLink* link = ledger_.FindLink(node.id);
  return !node.alive || (link != nullptr && link->registered);
}

void DeploymentMachine::ReplicaSaid(NodeId node, const ReplicaStatus& status, Effects& out) {
  const auto it = ledger_.state().replicas().find(status.id);
  const bool gone = status.phase == ReplicaPhase::kGone;
  if (it == ledger_.state().replicas().end() || it->second.placement.node != node) {
    NodeLink& link = ledger_.link(node);
    if (gone) {
      link.Gone(status.id);
    } else if (link.stray_replicas.insert(status.id).second) {
      delivery_.Push(Delivery::Kind::kStopStrayReplica, node, status.id);
    }
    return;
  }
  if (gone) return ledger_.ForgetReplica(ReplicaGone{ledger_.now, status.id}, out);
  const bool was_ready = IsReady(status.id);
  ledger_.replica_status[status.id] = status;
  if (was_ready == IsReady(status.id)) return;
  ledger_.routes_dirty.insert(it->second.deployment);
  // Only a roll waits for replicas to become ready, and what a node cannot do moves.
  if (ledger_.deployments_rolling.contains(it->second.deployment) ||
      !ledger_.state().FindNode(node)->info->unfit.empty())
    ledger_.deployments_dirty.insert(it->second.deployment);
}

void DeploymentMachine::Stop(ReplicaId replica, Effects& out) {
  const NodeId node = ledger_.state().replicas().at(replica).placement.node;
  work_ += kWorkPerReplica;
  ledger_.Remember(ReplicaStopping{ledger_.now, replica}, out);
  delivery_.Push(Delivery::Kind::kStopReplica, node, replica);
}

bool DeploymentMachine::Place(const DeploymentState& deployment, uint32_t group, Effects& out) {
  const DeploymentSpec& spec = *deployment.spec;
  if (short_.contains({spec.name, group})) return false;
  work_ += kWorkPerReplica;
  Demand demand = DemandOf(spec, group);
  Resolve(ledger_.classes(), demand);
  PlacementSearch::Limits limits;
  limits.price_cap = spec.price_cap;
  ++searched_;
  std::optional<PlacementSearch::Found> found;
  if (ledger_.search().MayFit(demand, limits)) found = ledger_.search().Find(demand, limits, work_);
  if (!found) {
    const bool refused_power = ledger_.search().refused_power();
    short_.insert_or_assign({spec.name, group}, Short{std::move(demand), refused_power});
    return false;
  }
  ReplicaPlaced record;
  record.at = ledger_.now;
  record.replica = ledger_.NextReplica();
  record.deployment = spec.name;
  record.generation = deployment.generation;
  record.group = group;
  record.placement = found->tasks.front();
  record.price = found->price;
  record.resources = LeasedOf(spec.resources, record.placement);
  record.concurrency = spec.groups[group].concurrency;
  ++placed_;
  const ReplicaId id = record.replica;
  const NodeId node = record.placement.node;
  ledger_.Remember(std::move(record), out);
  delivery_.Push(Delivery::Kind::kStartReplica, node, id);
  return true;
}

// Groups the replicas; stops at once those that have no place in the spec any more.
std::vector<DeploymentMachine::Group> DeploymentMachine::Sort(const DeploymentState& deployment,
                                                              Effects& out) {
  const DeploymentSpec& spec = *deployment.spec;
  std::vector<Group> groups(spec.groups.size());
  for (const ReplicaId id : deployment.replicas) {
    const ReplicaState& replica = ledger_.state().replicas().at(id);
    const bool grouped = replica.group < groups.size();
    if (replica.stopping) {
      if (grouped) ++groups[replica.group].stopping;
      continue;
    }
    const bool too_dear = spec.price_cap && replica.price > *spec.price_cap;
    if (deployment.stopping || !grouped || too_dear) {
      Stop(id, out);
      if (grouped) ++groups[replica.group].stopping;
      continue;
    }
    Group& group = groups[replica.group];
    const NodeState& node = *ledger_.state().FindNode(replica.placement.node);
    // What the node cannot do is tried elsewhere, where there is room; it may yet be mended.
    const bool cannot = !node.info->unfit.empty() && IsKnown(id) && !IsReady(id);
    if (replica.generation == deployment.generation && !node.draining && !cannot) {
      group.current.push_back(id);
      group.current_ready += IsReady(id);
    } else {
      group.outdated.push_back(id);
    }
  }
  return groups;
}

bool DeploymentMachine::ReconcileGroup(const DeploymentState& deployment, uint32_t index,
                                       Group& group, Effects& out) {
  const uint32_t count = deployment.spec->groups[index].count;
  // Too many: those that serve nobody yet go first, then the youngest.
  while (group.current.size() > count) {
    auto victim = group.current.end() - 1;
    for (auto it = group.current.rbegin(); it != group.current.rend(); ++it) {
      if (!IsReady(*it)) {
        victim = it.base() - 1;
        break;
      }
    }
    group.current_ready -= IsReady(*victim);
    Stop(*victim, out);
    group.current.erase(victim);
  }
  // Every new one that is ready releases an old one. One that is outdated and not ready serves
  // nobody and is not waited for; one of which we have not heard since we restarted may well serve.
  const auto older = [&](ReplicaId id) {
    return ledger_.state().replicas().at(id).generation != deployment.generation;
  };
  while (!group.outdated.empty()) {
    const auto unready =
        std::find_if(group.outdated.begin(), group.outdated.end(),
                     [&](ReplicaId id) { return older(id) && IsKnown(id) && !IsReady(id); });
    const bool surplus = group.outdated.size() + group.current_ready > count;
    if (unready == group.outdated.end() && !surplus) break;
    auto victim = unready;
    if (victim == group.outdated.end()) {  // Of those that go, one that serves nobody.
      victim = std::find_if_not(group.outdated.begin(), group.outdated.end(),
                                [this](ReplicaId id) { return IsReady(id); });
      if (victim == group.outdated.end()) victim = group.outdated.begin();
    }
    Stop(*victim, out);
    group.outdated.erase(victim);
    ++group.stopping;
  }
  while (group.current.size() < count) {
    // While old ones serve, at most one new one is on its way.
    if (!group.outdated.empty() && group.current.size() > group.current_ready) return true;
    if (Spent()) return false;
    if (Place(deployment, index, out)) {
      group.current.push_back(deployment.replicas.back());
      continue;
    }
    // No room for both: the old one first. Not one on a node that drains: its end would make none.
    const auto victim =
        std::find_if(group.outdated.begin(), group.outdated.end(), [&](ReplicaId id) {
          const NodeId node = ledger_.state().replicas().at(id).placement.node;
          return older(id) && !ledger_.state().FindNode(node)->draining;
        });
    if (victim != group.outdated.end() && group.stopping == 0) {
      Stop(*victim, out);
      group.outdated.erase(victim);
      ++group.stopping;
    }
    break;
  }
  return true;
}

bool DeploymentMachine::ReconcileOne(const std::string& name, Effects& out) {
  const auto it = ledger_.state().deployments().find(name);
  if (it == ledger_.state().deployments().end()) return true;
  const DeploymentState& deployment = it->second;
  ledger_.deployments_rolling.erase(name);
  std::vector<Group> groups = Sort(deployment, out);
  if (deployment.stopping) {
    ForgetShort(name);
    if (deployment.replicas.empty()) ledger_.Remember(DeploymentRemoved{ledger_.now, name}, out);
    return true;
  }
  for (uint32_t g = 0; g < groups.size(); ++g) {
    const bool finished = ReconcileGroup(deployment, g, groups[g], out);
    if (!groups[g].outdated.empty()) ledger_.deployments_rolling.insert(name);
    if (!finished) return false;
  }
  return true;
}

void DeploymentMachine::ForgetShort(const std::string& deployment) {
  auto it = short_.lower_bound({deployment, 0});
  while (it != short_.end() && it->first.first == deployment) it = short_.erase(it);
}

// Done in every step and to the end, so that what is in short_ is true of the index as it is now.
// One step grows a node or two; a search looks at all of them.
void DeploymentMachine::RecheckShort() {
  const std::vector<uint32_t> grown = ledger_.index().TakeGrownNodes();
  const bool power_freed = ledger_.index().TakeClusterFreed();
  if (grown.empty() && !power_freed) return;
  for (auto it = short_.begin(); it != short_.end();) {
    Demand& demand = it->second.demand;
    bool& refused_power = it->second.refused_power;
    Resolve(ledger_.classes(), demand);
    PlacementSearch::Limits limits;
    limits.price_cap = ledger_.state().deployments().at(it->first.first).spec->price_cap;
    bool fits = std::any_of(grown.begin(), grown.end(), [&](uint32_t node) {
      ++work_;
      const bool here = ledger_.search().FitsOn(demand, limits, node);
      // What lacked a node may lack nothing but power now, and waits for that from here on.
      refused_power |= ledger_.search().refused_power();
      return here;
    });
    fits |= power_freed && refused_power && ledger_.search().MayFit(demand, limits);
    if (fits) ledger_.deployments_dirty.insert(it->first.first);
    it = fits ? short_.erase(it) : std::next(it);
  }
}

bool DeploymentMachine::Reconcile(Effects& out) {
  work_ = searched_ = placed_ = 0;
  RecheckShort();
  work_ = std::min(work_, kWorkMax / 2);  // A round goes on in every step.
  const bool more = GoOn(out);
  if (searched_ > 0) out.notes.push_back(ReplicasPlanned{placed_, searched_, more});
  return more;
}

bool DeploymentMachine::GoOn(Effects& out) {
  if (round_.empty()) round_.swap(ledger_.deployments_dirty);
  while (!round_.empty()) {
    if (Spent() || !ReconcileOne(*round_.begin(), out)) return true;
    round_.erase(round_.begin());
  }
  return false;
}

}  // namespace allot::scheduler
