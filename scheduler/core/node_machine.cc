#include "scheduler/core/node_machine.h"

#include <algorithm>
#include <utility>

#include "scheduler/core/answer.h"

namespace allot::scheduler {
namespace {

Status CheckInfo(const std::string& name, const NodeInfo& info) {
  if (info.name != name)
    return InvalidArgument("the node calls itself \"{}\" but its key is that of \"{}\"", info.name,
                           name);
  if (info.devices.size() > DeviceSet::kMax)
    return InvalidArgument("{} devices; a node may have {}", info.devices.size(), DeviceSet::kMax);
  if (info.cpus < 0 || info.memory < 0)
    return InvalidArgument("a node cannot offer less than nothing");
  std::set<std::string> ids;
  for (const Device& device : info.devices) {
    if (!ids.insert(device.id).second)
      return InvalidArgument("two devices are called \"{}\"; ids must differ", device.id);
  }
  return absl::OkStatus();
}

// Nothing differs but how its devices do: a lease of one is a lease of the other.
bool SameMachine(const NodeInfo& a, const NodeInfo& b) {
  const auto same = [](Device x, const Device& y) {
    x.state = y.state;
    x.health = y.health;
    return x == y;
  };
  return a.instance == b.instance && a.cpus == b.cpus && a.memory == b.memory &&
         a.groups == b.groups &&
         std::equal(a.devices.begin(), a.devices.end(), b.devices.begin(), b.devices.end(), same);
}

Epoch EpochOf(const AgentMessage& message) {
  return std::visit(
      [](const auto& m) {
        if constexpr (requires { m.epoch; }) return m.epoch;
        return Epoch();
      },
      message);
}

}  // namespace

void NodeMachine::Watch(NodeId node, Time check) {
  if (node.value() > watched_.size()) watched_.resize(node.value());
  if (watched_[node.value() - 1]) return;
  watched_[node.value() - 1] = true;
  checks_.insert({check, node});
}

void NodeMachine::WatchAll() {
  anybody_heard_ = ListeningNow();
  for (const NodeState& node : ledger_.state().nodes()) {
    NodeLink& link = ledger_.link(node.id);
    Hear(link);  // A full lease to say hello in.
    if (node.alive) Watch(node.id, BeforeItEnds(link));
  }
}

// Not only when a lease may end: a step at least every heartbeat shows how long we did not listen.
std::optional<Time> NodeMachine::NextCheck() const {
  if (checks_.empty()) return std::nullopt;
  return std::min(std::max(checks_.begin()->first + ledger_.deaf, hold_until_),
                  ledger_.now + ledger_.options().heartbeat_every);
}

// A timer is always a little late, so a fraction of a heartbeat is no stall.
Duration NodeMachine::Moment() const { return ledger_.options().heartbeat_every / 4; }

void NodeMachine::Woken(Time now, Effects& out) {
  const std::optional<Time> due = NextCheck();
  if (!due || now - *due <= Moment()) return;
  ledger_.deaf += now - *due;
  hold_until_ = now + ledger_.options().heartbeat_every;
  out.notes.push_back(Stalled{now - *due});
}

bool NodeMachine::StandStill() {
  const Duration silent = ListeningNow() - anybody_heard_;
  if (silent <= ledger_.options().lease / 2) return false;
  const auto& nodes = ledger_.state().nodes();
  if (std::count_if(nodes.begin(), nodes.end(), [](const auto& n) { return n.alive; }) < 2)
    return false;
  ledger_.deaf += silent;
  return true;
}

void NodeMachine::LineIsWhole() {
  StandStill();
  anybody_heard_ = ListeningNow();
  cut_off_ = false;
}

void NodeMachine::Hear(NodeLink& link) {
  link.seen.last_heard = ledger_.now;
  link.lease_end = ListeningNow() + ledger_.options().lease;
  link.ends_soon = false;
}

void NodeMachine::Heard(AgentSaid said, Effects& out) {
  LineIsWhole();
  const std::string& name = said.node;
  AgentMessage& message = said.message;
  if (const auto* registration = std::get_if<RegisterNode>(&message)) {
    if (!registration->incarnations) Name(message);
    return Register(name, *registration, out);
  }
  const NodeState* node = ledger_.state().FindNode(name);
  const Epoch epoch = EpochOf(message);
  // The store counts epochs, and one that was restored counts them again. A node that has not come to
  // this life yet obeys one that led to it.
  const NodeLink* known = node == nullptr ? nullptr : ledger_.FindLink(node->id);
  const bool ours = !said.incarnation.valid() ||
                    said.incarnation == ledger_.state().incarnation() ||
                    ((known == nullptr || !known->registered) &&
                     ledger_.state().Knows(said.incarnation));
  if (node == nullptr || !node->alive || node->epoch != epoch || !ours) {
    out.commands.push_back(
        SendToAgent{name, Refuse{RefuseReason::kStaleEpoch, 0, epoch, "register anew"}});
    out.notes.push_back(StaleRefused{name});
    return;
  }
  NodeLink& link = ledger_.link(node->id);
  Hear(link);
  link.obeys = true;
  if (!link.incarnations) Name(message);
  // After our own restart we have forgotten what the agent said before (which replicas are ready,
  // what it runs): it is alive, but has to tell everything once more.
  if (!link.registered) {
    out.commands.push_back(SendToAgent{name, Refuse{RefuseReason::kStaleEpoch, 0, epoch,
                                                    "the scheduler restarted; register anew"}});
    return;
  }
  std::visit([&](const auto& m) { Take(node->id, m, out); }, message);
}

void NodeMachine::Name(AgentMessage& message) const {
  const ClusterState& state = ledger_.state();
  const auto tasks = [&](std::vector<TaskStatus>& statuses) {
    for (TaskStatus& status : statuses)
      if (const JobState* job = state.FindJob(status.key.task.job); job != nullptr)
        status.key.attempt = Named(*job, status.key.attempt);
  };
  const auto replicas = [&](std::vector<ReplicaStatus>& statuses) {
    for (ReplicaStatus& status : statuses) status.id = state.Named(status.id);
  };
  std::visit(
      [&](auto& m) {
        if constexpr (requires { m.tasks; }) tasks(m.tasks);
        if constexpr (requires { m.replicas; }) replicas(m.replicas);
        if constexpr (requires { m.progress; }) tasks(m.progress);
      },
      message);
}

void NodeMachine::LookForForeign(NodeLink& link, const RegisterNode& message, Effects& out) {
  ForeignWork found{message.info.name};
  for (const TaskStatus& status : message.tasks) {
    if (ledger_.state().Gave(status.key)) continue;
    found.incarnation = std::max(found.incarnation, status.key.attempt.incarnation());
    ++found.tasks;
  }
  for (const ReplicaStatus& status : message.replicas) {
    if (ledger_.state().Gave(status.id)) continue;
    found.incarnation = std::max(found.incarnation, status.id.incarnation());
    ++found.replicas;
  }
  link.seen.foreign.reset();
  if (found.tasks + found.replicas == 0) return;
  link.seen.foreign = {found.incarnation, found.tasks, found.replicas, ledger_.now};
  out.notes.emplace_back(std::move(found));
}

void NodeMachine::Register(const std::string& name, const RegisterNode& message, Effects& out) {
  const auto refuse = [&](RefuseReason reason, std::string text) {
    if (reason != RefuseReason::kStaleRegistration)
      out.notes.emplace_back(RegistrationRefused{name, reason, text});
    out.commands.push_back(
        SendToAgent{name, Refuse{reason, message.registration, Epoch(), std::move(text)}});
  };
  if (const Status status = CheckInfo(name, message.info); !status.ok())
    return refuse(RefuseReason::kBadInfo, MessageOf(status));

  const NodeState* known = ledger_.state().FindNode(name);
  if (known != nullptr) {
    const bool same = known->info->instance == message.info.instance;
    if (!same && known->alive) {
      return refuse(
          RefuseReason::kNameTaken,
          fmt::format("another machine is called \"{}\" and was heard {} ago", name,
                      FormatDuration(ledger_.now - ledger_.link(known->id).seen.last_heard)));
    }
    if (same && message.registration < known->registration)
      return refuse(RefuseReason::kStaleRegistration, "a later registration was seen");
    if (same && message.registration == known->registration && known->alive) {
      NodeLink& link = ledger_.link(known->id);
      if (link.obeys || !link.registered) Hear(link);
      // We died after it was kept, and with us what was to be said to the node next. Only a new
      // registration tells what the node lacks: this one may be an echo, with a list long out of
      // date.
      if (!link.registered)
        return refuse(RefuseReason::kStaleRegistration, "the scheduler restarted; register anew");
      // The Welcome was lost. What the message lists may be old by now, so only what is true for
      // good is taken from it: that something started or ended, not that something is missing.
      Welcome(*known, out);
      Take(known->id, TaskReport{known->epoch, message.tasks}, out);
      return;
    }
  }

  const bool same_machine = known != nullptr && SameMachine(*known->info, message.info);
  const NodeId id = known != nullptr
                        ? known->id
                        : NodeId(static_cast<uint32_t>(ledger_.state().nodes().size() + 1));
  const Epoch epoch(known != nullptr ? known->epoch.value() + 1 : 1);
  const bool rebooted = known != nullptr && !known->info->boot_id.empty() &&
                        !message.info.boot_id.empty() &&
                        known->info->boot_id != message.info.boot_id;
  ledger_.Remember(NodeRegistered{ledger_.now, id, epoch, message.registration,
                                  std::make_shared<const NodeInfo>(message.info)},
                   out);
  NodeLink& link = ledger_.link(id);
  // Whoever only registers, again and again, is there and does not obey; its lease is for those who
  // do.
  if (!link.registered || link.obeys) Hear(link);
  link.registered = true;
  link.obeys = false;
  link.incarnations = message.incarnations;
  link.repeat_welcome = false;
  link.stray_tasks.clear();
  link.stray_replicas.clear();
  Watch(id, BeforeItEnds(link));
  LookForForeign(link, message, out);
  const NodeState& node = *ledger_.state().FindNode(id);
  quarantine_.NodeChanged(id);
  Welcome(node, out);
  if (same_machine && !rebooted) TakeBackReplicas(node, message.replicas, out);
  link.lost_replicas.clear();
  quarantine_.Registering(true);
  Reconcile(node, message, rebooted, out);
  quarantine_.Registering(false);
  ledger_.link(id).ForeignGone();
}

// Gateways may have reached the node all the time, so its replicas serve: ending them would cut
// streams over a way that is whole, to start the same on the same devices. So they are leased anew
// as they were, and what that makes too many ends as any other does: off the routes, then drained.
// What would not be placed today as it was (another generation, a drain, devices out of service, a
// cap on power) stays given up. So does all of it after a restart of ours: this is soft.
void NodeMachine::TakeBackReplicas(const NodeState& node, const std::vector<ReplicaStatus>& running,
                                   Effects& out) {
  const uint32_t position = node.id.value() - 1;
  const PlacementIndex::Row& row = ledger_.index().row(position);
  if (!row.open) return;
  const std::map<ReplicaId, LostReplica>& lost = ledger_.link(node.id).lost_replicas;
  for (const ReplicaStatus& status : running) {
    const auto it = lost.find(status.id);
    if (status.phase == ReplicaPhase::kGone || it == lost.end()) continue;
    const ReplicaState& replica = it->second.replica;
    const auto deployment = ledger_.state().deployments().find(replica.deployment);
    if (deployment == ledger_.state().deployments().end() || deployment->second.stopping ||
        deployment->second.created != it->second.created ||
        deployment->second.generation != replica.generation)
      continue;
    // Its group, or one of its devices, has gone since.
    const std::vector<ReplicaGroup>& groups = deployment->second.spec->groups;
    if (replica.group >= groups.size()) continue;
    const DeviceRequest& asked = groups[replica.group].device;
    if (!MeansProcessor(asked) && replica.placement.devices.Count() != asked.count) continue;
    const Resources& each = replica.resources;
    TaskPlacement placement = replica.placement;
    if (!placement.devices.Minus(node.devices_free).Empty() || each.cpus > node.cpus_free ||
        each.memory > node.memory_free)
      continue;
    ClassId device_class = row.cpu_class;
    for (const PlacementIndex::Part& part : row.parts)
      if (placement.devices.Minus(part.all).Empty()) device_class = part.device_class;
    // As it counts by the policy of today.
    placement.power =
        ledger_.index().PowerOf(position, device_class, placement.devices.Count(), each.cpus);
    if (PowerTrial(ledger_.index().power()).Refusal(position, placement.power)) continue;
    ledger_.Remember(
        ReplicaPlaced{ledger_.now, replica.id, replica.deployment, replica.generation,
                      replica.group, placement, replica.price, each, replica.concurrency},
        out);
    ledger_.deployments_dirty.insert(replica.deployment);
  }
}

// Compares what the node holds with what it should hold.
void NodeMachine::Reconcile(const NodeState& node, const RegisterNode& message, bool rebooted,
                            Effects& out) {
  const NodeId id = node.id;
  if (rebooted) LoseTasks(node, RequeueReason::kNodeRestarted, out);
  const std::vector<TaskKey> leases = node.tasks;
  const std::vector<ReplicaId> replica_leases = node.replicas;
  for (const ReplicaId replica : replica_leases) ledger_.replica_status.erase(replica);

  std::set<TaskKey> listed;
  for (const TaskStatus& status : message.tasks) listed.insert(status.key);
  std::set<JobId> stopping;  // Jobs that begin to stop below tell all their tasks so themselves.
  for (const TaskKey& key : leases) {
    if (ledger_.state().FindJob(key.task.job)->phase == JobPhase::kStopping)
      stopping.insert(key.task.job);
  }
  Take(id, TaskReport{node.epoch, message.tasks}, out);

  std::set<JobId> broken;
  for (const TaskKey& key : leases) {
    const JobState* job = ledger_.state().FindJob(key.task.job);
    if (job == nullptr || job->attempt != key.attempt) continue;
    const TaskState& task = job->tasks[key.task.index];
    if (task.abandoned || task.phase == TaskPhase::kExited) continue;
    const bool has = listed.contains(key);
    // One of an earlier life of the store may never have arrived, or have run and been forgotten in a
    // life that was lost when the store was put back: the same name must not run again.
    const bool may_have_run = task.phase == TaskPhase::kRunning ||
                              key.attempt.incarnation() != ledger_.state().incarnation();
    if (!has && (may_have_run || job->phase == JobPhase::kStopping)) {
      // It ran and is gone; or it never arrived and need not any more.
      jobs_.Abandon(key, RequeueReason::kTaskLost, out);
      broken.insert(key.task.job);
    } else if (stopping.contains(key.task.job)) {
      delivery_.Push(Delivery::Kind::kStopTask, id, key);
    } else if (!has && job->phase == JobPhase::kRunning) {
      delivery_.Push(Delivery::Kind::kStartTask, id, key);
    }
  }
  for (const JobId job : broken) jobs_.Settle(job, out);

  std::set<ReplicaId> listed_replicas;
  for (const ReplicaStatus& status : message.replicas) listed_replicas.insert(status.id);
  Take(id, ReplicaReport{node.epoch, message.replicas}, out);
  for (const ReplicaId replica : replica_leases) {
    const auto it = ledger_.state().replicas().find(replica);
    if (it == ledger_.state().replicas().end()) continue;
    if (!listed_replicas.contains(replica) &&
        (it->second.stopping ||
         it->second.generation !=
             ledger_.state().deployments().at(it->second.deployment).generation)) {
      ledger_.ForgetReplica(ReplicaGone{ledger_.now, replica}, out);
    } else {
      delivery_.Push(
          it->second.stopping ? Delivery::Kind::kStopReplica : Delivery::Kind::kStartReplica, id,
          replica);
    }
  }
}

void NodeMachine::Take(NodeId node, const Heartbeat& message, Effects& out) {
  if (!message.devices.empty()) ledger_.link(node).seen.telemetry = message.devices;
  for (const TaskStatus& status : message.progress) jobs_.TaskSaid(node, status, out);
}

// What is not granted any more ends there by itself; what of it is to be stopped is told so apart.
void NodeMachine::Take(NodeId id, const AskLeases& message, Effects& out) {
  const NodeState& node = *ledger_.state().FindNode(id);
  GrantLeases grant{node.epoch, message.asked, {}};
  for (const TaskKey& key : message.keys)
    if (jobs_.Renew(id, key)) grant.keys.push_back(key);
  if (!grant.keys.empty()) out.commands.push_back(SendToAgent{node.info->name, std::move(grant)});
}

void NodeMachine::Take(NodeId id, const TaskReport& message, Effects& out) {
  AckTasks ack;
  for (const TaskStatus& status : message.tasks) {
    if (jobs_.TaskSaid(id, status, out)) ack.keys.push_back(status.key);
  }
  if (ack.keys.empty()) return;
  const NodeState& node = *ledger_.state().FindNode(id);
  ack.epoch = node.epoch;
  out.commands.push_back(SendToAgent{node.info->name, std::move(ack)});
}

void NodeMachine::Take(NodeId node, const ReplicaReport& message, Effects& out) {
  for (const ReplicaStatus& status : message.replicas) {
    deployments_.ReplicaSaid(node, status, out);
    if (status.phase != ReplicaPhase::kReady) continue;
    const auto it = ledger_.state().replicas().find(status.id);
    if (it != ledger_.state().replicas().end() && it->second.placement.node == node)
      quarantine_.ReplicaReady(it->second, out);
  }
}

void NodeMachine::Welcome(const NodeState& node, Effects& out) {
  allot::Welcome welcome{node.registration,       node.epoch,
                         ledger_.state().term(),  ledger_.options().heartbeat_every,
                         ledger_.options().lease, ledger_.gateways};
  welcome.gateway_keys = ledger_.gateway_keys;
  welcome.instance = node.info->instance;
  out.commands.push_back(SendToAgent{node.info->name, std::move(welcome)});
}

void NodeMachine::TellGateways(Effects& out) {
  for (const NodeState& node : ledger_.state().nodes()) {
    NodeLink& link = ledger_.link(node.id);
    if (!node.alive || !link.registered) continue;
    link.repeat_welcome = true;
    Welcome(node, out);
  }
}

void NodeMachine::Drain(const NodeDrainRequested& event, Effects& out) {
  const NodeState* node = ledger_.state().FindNode(event.node);
  if (node == nullptr) {
    return Answer(event.token,
                  NotFound("there is no node \"{}\"; `allot nodes` lists them", event.node),
                  JobId(), out);
  }
  if (node->draining != event.drain)
    ledger_.Remember(NodeDrainSet{ledger_.now, node->id, event.drain}, out);
  if (!event.drain) quarantine_.TakeIn(node->id, out);
  Answer(event.token, absl::OkStatus(), JobId(), out);
}

void NodeMachine::LoseTasks(const NodeState& node, RequeueReason reason, Effects& out) {
  const std::vector<TaskKey> tasks = node.tasks;
  std::set<JobId> broken;
  for (const TaskKey& key : tasks) {
    jobs_.Abandon(key, reason, out);
    broken.insert(key.task.job);
  }
  for (const JobId job : broken) jobs_.Settle(job, out);
}

// A node whose lease has run out may still be running our tasks: the network may be at fault, not
// the machine. So nothing is sent to it; we raise its epoch, and whatever the old incarnation says
// later is refused.
void NodeMachine::Lose(const NodeState& node, Effects& out) {
  const NodeId id = node.id;
  const std::vector<ReplicaId> replicas = node.replicas;

  ledger_.Remember(NodeLost{ledger_.now, id, Epoch(node.epoch.value() + 1)}, out);
  NodeLink& link = ledger_.link(id);
  link.registered = false;
  link.stray_tasks.clear();
  link.stray_replicas.clear();
  LoseTasks(node, RequeueReason::kNodeLost, out);
  link.lost_replicas.clear();
  for (const ReplicaId id : replicas) {
    const ReplicaState& replica = ledger_.state().replicas().at(id);
    if (!replica.stopping)
      link.lost_replicas[id] = {replica,
                                ledger_.state().deployments().at(replica.deployment).created};
    ledger_.ForgetReplica(ReplicaGone{ledger_.now, id}, out);
  }
}

bool NodeMachine::HeardLately(NodeId node) const {
  const NodeLink* link = ledger_.FindLink(node);
  return ledger_.state().FindNode(node)->alive && link != nullptr && link->registered &&
         link->lease_end >= ListeningNow() + ledger_.options().lease / 2;
}

// The entries are in order of time, and there is one for each attempt that was placed; most are
// gone through long after their tasks run. A node that is silent itself has a lease that ends.
void NodeMachine::TakeBackUnanswered(Effects& out) {
  if (ledger_.now < hold_until_) return;
  const Duration within = ledger_.options().acknowledge_within;
  while (!ledger_.assigned.empty() && ledger_.assigned.front().since + within <= ListeningNow()) {
    const Ledger::Assigned entry = ledger_.assigned.front();
    ledger_.assigned.pop_front();
    const JobState* job = ledger_.state().FindJob(entry.job);
    if (job == nullptr || job->attempt != entry.attempt || job->phase != JobPhase::kRunning)
      continue;
    const auto acknowledged = ledger_.acknowledged.find({entry.job, entry.attempt});
    const auto said = [&](uint32_t rank) {
      return acknowledged != ledger_.acknowledged.end() && acknowledged->second.contains(rank);
    };
    bool later = false;
    std::vector<TaskKey> unanswered;
    for (uint32_t rank = 0; rank < job->tasks.size(); ++rank) {
      const TaskKey key{TaskId{entry.job, rank}, entry.attempt};
      if (job->tasks[rank].phase != TaskPhase::kAssigned || said(rank)) continue;
      if (HeardLately(job->tasks[rank].placement.node)) {
        unanswered.push_back(key);
      } else {
        later = true;
      }
    }
    if (unanswered.empty() && later) {
      ledger_.assigned.push_back({ListeningNow(), entry.job, entry.attempt});
      continue;
    }
    for (const TaskKey& key : unanswered) jobs_.TakeBack(key, within, out);
    if (!unanswered.empty()) jobs_.Settle(entry.job, out);
  }
}

std::optional<Time> NodeMachine::NextUnanswered() const {
  if (ledger_.assigned.empty()) return std::nullopt;
  return std::max(
      ledger_.assigned.front().since + ledger_.options().acknowledge_within + ledger_.deaf,
      hold_until_);
}

void NodeMachine::ExpireLeases(Effects& out) {
  if (ledger_.now < hold_until_) return;
  while (!checks_.empty() && checks_.begin()->first <= ListeningNow()) {
    const NodeId id = checks_.begin()->second;
    checks_.erase(checks_.begin());
    watched_[id.value() - 1] = false;
    const NodeState& node = *ledger_.state().FindNode(id);
    if (!node.alive) continue;
    NodeLink& link = ledger_.link(id);
    if (BeforeItEnds(link) > ListeningNow()) {
      Watch(id, BeforeItEnds(link));
    } else if (!std::exchange(link.ends_soon, true)) {
      // We may have been stopped until just now without being late for anything: what came
      // meanwhile is read before the next look.
      Watch(id, std::max(link.lease_end, ListeningNow() + Moment()));
    } else {
      const Duration silent = ListeningNow() - anybody_heard_;
      if (!StandStill()) {
        Lose(node, out);
        continue;
      }
      if (!std::exchange(cut_off_, true)) out.notes.push_back(CutOff{silent});
      link.ends_soon = false;
      Watch(id, BeforeItEnds(link));
    }
    // A Welcome that told of new gateways may have been lost; once a lease is often enough.
    if (link.registered && link.repeat_welcome) Welcome(node, out);
  }
}

}  // namespace allot::scheduler
