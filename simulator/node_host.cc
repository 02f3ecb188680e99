#include "simulator/node_host.h"

#include <algorithm>
#include <utility>

#include "simulator/checkers/black_hole.h"
#include "simulator/checkers/fencing.h"
#include "simulator/describe.h"
#include "simulator/gateway_host.h"
#include "simulator/scheduler_host.h"

namespace allot::simulator {

NodeHost::NodeHost(World& world, uint32_t index, NodeInfo info, agent::CoreOptions options)
    : world_(world), index_(index), whole_info_(info), info_(std::move(info)), options_(options) {}

std::string NodeHost::WhyBusy() const {
  if (!agent_alive()) return "its agent is down";
  if (!core_->registered()) return "it is not registered";
  if (!tasks_.empty() || !replicas_.empty()) return "processes live";
  if (!core_->Tasks().empty()) return "exits are not acknowledged";
  if (!core_->Replicas().empty()) return "it holds replicas";
  if (!folders_.empty() || !replica_folders_.empty()) return "folders are left";
  return "";
}

void NodeHost::BootMachine() {
  if (machine_alive_) return;
  machine_alive_ = true;
  info_.boot_id = fmt::format("{}-kernel-{}", name(), ++kernel_);
  StartAgent();
}

void NodeHost::StartAgent() {
  if (!machine_alive_ || agent_alive()) return;
  ++life_;
  core_ = std::make_unique<agent::Core>(options_, world_.rng.Next());
  tick_at_.reset();
  connected_ = false;
  knows_gateway_ = false;
  serving_.clear();

  agent::AgentStarted started;
  started.info = info_;
  started.boot = ++boot_;
  std::erase_if(folders_, [this](const auto& entry) {
    const auto& [key, folder] = entry;
    if (tasks_.contains(key)) return false;
    const bool began = folder.pid != 0, earlier = folder.kernel != kernel_;
    if (!began && !folder.exit && !earlier) world_.process_ledger.NeverBegan(key);
    // As the runtime judges: what a signal ended may have been ended by the shutdown.
    return folder.exit ? earlier && folder.exit->signal != 0 : !began || earlier;
  });
  for (const auto& [key, folder] : folders_) {
    agent::FoundTask found{key, folder.launch, {}};
    found.status.key = key;
    found.status.pid = folder.pid;
    found.status.started = folder.started;
    const auto process = tasks_.find(key);
    if (folder.exit) {
      found.status.phase = TaskPhase::kExited;
      found.status.exit = folder.exit;
    } else if (process->second.up) {
      found.status.phase = TaskPhase::kRunning;
    }
    started.tasks.push_back(std::move(found));
  }
  for (const auto& [id, folder] : replica_folders_) {
    agent::FoundReplica found{id, folder.launch, folder.starts};
    const auto process = replicas_.find(id);
    found.running = process != replicas_.end() && process->second.up;
    if (folder.kernel != kernel_) found.why = "its machine was restarted";
    if (found.running) {
      found.pid = process->second.pid;
      found.port = process->second.port;
    } else if (process != replicas_.end()) {
      // The runtime ends a start it finds half done, before it says what it found.
      world_.process_ledger.Ended(index_, ProcessLedger::OwnerOf(id));
      replicas_.erase(process);
    }
    started.replicas.push_back(std::move(found));
  }
  Step(started);
  Dial();
}

void NodeHost::CrashAgent() {
  if (!agent_alive()) return;
  if (world_.listening()) world_.Say(name(), "agent crashes");
  core_.reset();
  paused_ = false;
  unread_.clear();
  connected_ = false;
  requests_.clear();
  world_.gateway->BreakLink(index_);
  // A start whose supervisor was not reached yet never happens.
  for (auto it = tasks_.begin(); it != tasks_.end();) {
    if (it->second.up || world_.rng.OneIn(2)) {
      ++it;
      continue;
    }
    world_.process_ledger.Ended(index_, ProcessLedger::OwnerOf(it->first));
    it = tasks_.erase(it);
  }
}

void NodeHost::PauseAgent(Duration span) {
  if (world_.listening()) world_.Say(name(), "agent pauses for " + FormatDuration(span));
  paused_ = true;
  world_.loop.After(span, [this, life = life_, number = ++pauses_] {
    if (life == life_ && number == pauses_) ResumeAgent();
  });
}

void NodeHost::ResumeAgent() {
  if (!std::exchange(paused_, false)) return;
  for (const agent::Event& event : std::exchange(unread_, {}))
    if (agent_alive()) Step(event);
}

void NodeHost::CrashMachine(bool wipe) {
  if (!machine_alive_) return;
  if (world_.listening()) world_.Say(name(), wipe ? "machine is wiped" : "machine crashes");
  CrashAgent();
  machine_alive_ = false;
  tasks_.clear();
  replicas_.clear();
  world_.process_ledger.NodeDied(index_);
  if (!wipe) return;
  folders_.clear();
  replica_folders_.clear();
  boot_ = 0;
  info_.instance += "'";
}

void NodeHost::CutOff(Duration span) {
  cut_until_ = std::max(cut_until_, world_.now() + span);
  if (world_.rng.OneIn(2)) world_.gateway->BreakLink(index_);
}

void NodeHost::BreakLink() {
  if (!agent_alive() || !connected_) return;
  connected_ = false;
  Step(agent::LinkDown{});
}

void NodeHost::SchedulerDied() {
  if (!connected_) return;
  if (world_.rng.OneIn(5)) return;  // Not every death is noticed; silence tells the rest.
  world_.loop.After(world_.Between(0us, 20ms), [this, life = life_, connection = connection_] {
    if (life == life_ && connection == connection_) BreakLink();
  });
}

// One device fails, vanishes, or all are as they were.
void NodeHost::ChangeDevices() {
  if (whole_info_.devices.empty()) return;
  NodeInfo changed = info_;
  const size_t pick = world_.rng.Below(whole_info_.devices.size());
  if (world_.rng.OneIn(3)) {
    changed.devices = whole_info_.devices;
  } else if (pick < changed.devices.size() && changed.devices[pick].kind != DeviceKind::kCpu) {
    if (world_.rng.OneIn(2)) {
      changed.devices[pick].state = DeviceState::kUnhealthy;
    } else {
      changed.devices.erase(changed.devices.begin() + static_cast<ptrdiff_t>(pick));
    }
  }
  info_.devices = changed.devices;
  if (agent_alive()) Step(agent::DevicesChanged{info_.devices, info_.groups, {}});
}

void NodeHost::Heal() {
  CloseBlackHole();
  if (agent_alive()) ResumeAgent();
  cut_until_ = Time();
  info_.devices = whole_info_.devices;
  for (auto& [id, replica] : replicas_) replica.sick_until = Time();
  BootMachine();
  StartAgent();
  if (agent_alive()) Step(agent::DevicesChanged{info_.devices, info_.groups, {}});
}

void NodeHost::SchedulerSays(uint64_t connection, Incarnation incarnation,
                             const SchedulerMessage* message) {
  if (!agent_alive() || !connected_ || connection != connection_ || cut_off()) return;
  if (message == nullptr) return Step(agent::SchedulerHeard{});
  Step(agent::SchedulerSaid{*message, incarnation});
}

void NodeHost::Step(const agent::Event& event) {
  if (paused_) return unread_.push_back(event);
  const auto* said = std::get_if<agent::SchedulerSaid>(&event);
  const Epoch epoch = core_->epoch();
  agent::Effects effects;
  core_->Step(Clock(), event, effects);
  world_.Stepped(name(), [&] { return DescribeStep(event, effects); });
  if (said != nullptr) CheckAgentFenced(epoch, said->message, effects, world_.findings);
  for (const agent::Command& command : effects.commands) Perform(command);
  PlanTick();
}

void NodeHost::PlanTick() {
  const auto wanted = core_->NextWakeup();
  if (!wanted) return;
  const Time wanted_here = *wanted - skew_;
  if (tick_at_ && *tick_at_ <= wanted_here) return;
  tick_at_ = std::max(wanted_here, world_.now());
  Time at = *tick_at_;
  if (world_.faults.Strikes(Fault::kTickJitter, 100)) at += world_.Between(0us, 300ms);
  world_.loop.At(at, [this, life = life_, tick = ++tick_] {
    if (life != life_ || tick != tick_ || !agent_alive()) return;
    tick_at_.reset();
    Step(agent::ClockTicked{});
  });
}

void NodeHost::Dial() {
  const uint64_t connection = ++connection_;
  connected_ = false;
  world_.loop.After(world_.Between(1ms, 50ms), [this, life = life_, connection] {
    if (life != life_ || connection != connection_ || !agent_alive() || connected_) return;
    // Nobody there: a dial says nothing, and the agent's own patience ends it.
    if (cut_off() || !world_.scheduler->alive()) return;
    connected_ = true;
    Step(agent::LinkUp{});
  });
}

void NodeHost::Send(const AgentMessage& message) {
  if (cut_off()) return;
  auto shared = std::make_shared<const AgentMessage>(message);
  // On a connection that was dropped meanwhile a message may still arrive: it was on its way.
  world_.network.Send(to_scheduler_, [this, connection = connection_,
                                      incarnation = core_->incarnation(), shared] {
    if (!cut_off()) world_.scheduler->AgentSays(index_, connection, incarnation, *shared);
  });
}

void NodeHost::Perform(const agent::Command& command) {
  if (const auto* send = std::get_if<agent::SendToScheduler>(&command)) {
    Send(send->message);
  } else if (std::holds_alternative<agent::Reconnect>(command)) {
    Dial();
  } else if (const auto* spawn = std::get_if<agent::SpawnTask>(&command)) {
    SpawnTask(*spawn);
  } else if (const auto* renew = std::get_if<agent::RenewLease>(&command)) {
    RenewLease(*renew);
  } else if (const auto* signal = std::get_if<agent::SignalTask>(&command)) {
    SignalTask(signal->key, signal->signal);
  } else if (const auto* forget = std::get_if<agent::ForgetTask>(&command)) {
    world_.process_ledger.Forgotten(index_, ProcessLedger::OwnerOf(forget->key));
    folders_.erase(forget->key);
  } else if (const auto* start = std::get_if<agent::SpawnReplica>(&command)) {
    SpawnReplica(start->id, start->start, start->launch);
  } else if (const auto* end = std::get_if<agent::SignalReplica>(&command)) {
    SignalReplica(end->id, end->start, end->signal);
  } else if (const auto* probe = std::get_if<agent::ProbeReplica>(&command)) {
    Probe(probe->id, probe->start);
  } else if (const auto* gone = std::get_if<agent::ForgetReplica>(&command)) {
    world_.process_ledger.Forgotten(index_, ProcessLedger::OwnerOf(gone->id));
    replica_folders_.erase(gone->id);
    serving_.erase(gone->id);
  } else if (const auto* serving = std::get_if<agent::ReplicaServing>(&command)) {
    serving_[serving->id] = serving->serving;
  } else if (std::holds_alternative<agent::SetGateways>(command)) {
    knows_gateway_ = true;
    DialGateway();
  }
}

// ---- tasks ----------------------------------------------------------------------------------

void NodeHost::SpawnTask(const agent::SpawnTask& command) {
  const TaskKey& key = command.key;
  const TaskLaunch& launch = command.launch;
  // The folder of its checkpoints is named after the job and the life of the store that took it.
  const std::string once =
      launch.terms.needed() ? fmt::format("{} {}", launch.checkpoint_dir, key.task.index) : "";
  world_.process_ledger.TaskSpawned(index_, key, launch.device_ids, once);
  folders_[key] = {.launch = launch, .kernel = kernel_, .started = {}, .exit = {}};
  Process& process = tasks_[key];
  process.number = ++processes_;
  process.stubborn = world_.faults.Strikes(Fault::kTaskIgnoresTerm, 200);
  if (launch.terms.needed()) {
    process.lease_until = command.lease_until - skew_;
    WatchLease(key, process.number);
  }
  const bool fails = world_.faults.Strikes(Fault::kSpawnFailure, 30);
  world_.loop.After(world_.Between(1ms, 30ms), [this, key, number = process.number, fails] {
    const auto it = tasks_.find(key);
    if (it == tasks_.end() || it->second.number != number) return;
    if (!fails) return TaskUp(key, number);
    world_.process_ledger.Ended(index_, ProcessLedger::OwnerOf(key));
    tasks_.erase(it);
    folders_[key].exit = TaskExit{127, 0, "no such file", Clock(), Clock()};
    if (agent_alive()) Step(agent::TaskSpawnFailed{key, "no such file", ExitCause::kTask});
  });
}

// The command of a virtual task ends in the microseconds it runs and how many attempts fail first;
// the words before say what it is.
void NodeHost::TaskUp(const TaskKey& key, uint64_t number) {
  Process& process = tasks_.at(key);
  TaskFolder& folder = folders_[key];
  process.up = true;
  process.pid = static_cast<int64_t>(1'000 + number);
  folder.pid = process.pid;
  folder.started = Clock();
  const auto& command = folder.launch.command;
  const size_t words = command.size();
  const Duration runs(words > 2 ? std::stoll(command[words - 2]) : 1'000);
  const uint64_t failures = words > 2 ? std::stoull(command[words - 1]) : 0;
  int32_t code = key.attempt.value() <= failures ? 1 : 0;
  if (world_.faults.Strikes(Fault::kTaskFailure, 30)) code = 3;
  const auto& devices = folder.launch.device_ids;
  const bool swallowed = hole_ && (hole_->empty() || std::find(devices.begin(), devices.end(),
                                                               *hole_) != devices.end());
  if (swallowed) code = BlackHole::kCode;
  const Duration lives = swallowed ? world_.Between(1ms, 900ms) : runs;
  world_.loop.After(lives, [this, key, number, code] { TaskEnds(key, number, code, 0); });
  if (!agent_alive()) return;
  Step(agent::TaskSpawned{key, process.pid, folder.started});
  if (agent_alive() && tasks_.contains(key) && world_.rng.OneIn(4))
    Step(agent::TaskProgressed{key, TaskProgress{1, 10, 0.5}});
}

void NodeHost::RenewLease(const agent::RenewLease& command) {
  const auto it = tasks_.find(command.key);
  if (it == tasks_.end() || it->second.lease_until <= world_.now()) return;  // Told to end.
  it->second.lease_until = std::max(*it->second.lease_until, command.until - skew_);
}

// What the supervisor does, whatever becomes of the agent.
void NodeHost::WatchLease(const TaskKey& key, uint64_t number) {
  world_.loop.At(*tasks_.at(key).lease_until, [this, key, number] {
    const auto it = tasks_.find(key);
    if (it == tasks_.end() || it->second.number != number) return;
    if (*it->second.lease_until > world_.now()) return WatchLease(key, number);
    const Duration grace = folders_.at(key).launch.terms.grace();
    const Duration takes = it->second.stubborn ? grace : std::min(grace, world_.Between(1ms, 300ms));
    world_.loop.After(takes, [this, key, number] {
      TaskEnds(key, number, 0, 15, ExitCause::kLeaseEnded);
    });
  });
}

void NodeHost::TaskEnds(const TaskKey& key, uint64_t number, int32_t code, int32_t signal,
                        ExitCause cause) {
  const auto it = tasks_.find(key);
  if (it == tasks_.end() || it->second.number != number) return;
  tasks_.erase(it);
  world_.process_ledger.Ended(index_, ProcessLedger::OwnerOf(key));
  TaskFolder& folder = folders_[key];
  folder.exit = TaskExit{code, signal, "", folder.started, Clock()};
  folder.exit->cause = cause;
  if (agent_alive()) Step(agent::TaskProcessExited{key, *folder.exit});
}

void NodeHost::SignalTask(const TaskKey& key, int signal) {
  const auto it = tasks_.find(key);
  if (it == tasks_.end() || (signal != 9 && it->second.stubborn)) return;
  const Duration takes = signal == 9 ? world_.Between(0us, 5ms) : world_.Between(1ms, 300ms);
  world_.loop.After(
      takes, [this, key, signal, number = it->second.number] { TaskEnds(key, number, 0, signal); });
}

// ---- replicas -------------------------------------------------------------------------------

void NodeHost::SpawnReplica(ReplicaId id, uint32_t start, const ReplicaLaunch& launch) {
  world_.process_ledger.ReplicaSpawned(index_, id, launch.device_ids);
  replica_folders_[id] = {launch, start, kernel_};
  ReplicaProcess& process = replicas_[id];
  process = {};
  process.number = ++processes_;
  process.start = start;
  const bool fails = world_.faults.Strikes(Fault::kSpawnFailure, 50);
  world_.loop.After(world_.Between(1ms, 50ms), [this, id, number = process.number, fails] {
    const auto it = replicas_.find(id);
    if (it == replicas_.end() || it->second.number != number) return;
    if (!fails) return ReplicaUp(id, number);
    const uint32_t failed = it->second.start;
    replicas_.erase(it);
    world_.process_ledger.Ended(index_, ProcessLedger::OwnerOf(id));
    if (agent_alive()) Step(agent::ReplicaSpawnFailed{id, failed, "no free port"});
  });
}

void NodeHost::ReplicaUp(ReplicaId id, uint64_t number) {
  ReplicaProcess& process = replicas_.at(id);
  process.up = true;
  process.pid = static_cast<int64_t>(1'000 + number);
  process.port = static_cast<uint16_t>(10'000 + number % 50'000);
  process.warm = world_.now() + world_.Between(10ms, 3s);
  if (agent_alive()) Step(agent::ReplicaSpawned{id, process.start, process.pid, process.port});
}

void NodeHost::ReplicaEnds(ReplicaId id, uint64_t number, int32_t code, int32_t signal) {
  const auto it = replicas_.find(id);
  if (it == replicas_.end() || it->second.number != number) return;
  const uint32_t start = it->second.start;
  replicas_.erase(it);
  world_.process_ledger.Ended(index_, ProcessLedger::OwnerOf(id));
  if (agent_alive())
    Step(agent::ReplicaProcessExited{id, start, TaskExit{code, signal, "", Clock(), Clock()}});
}

void NodeHost::SignalReplica(ReplicaId id, uint32_t start, int signal) {
  const auto it = replicas_.find(id);
  if (it == replicas_.end() || it->second.start != start) return;
  const Duration takes = signal == 9 ? world_.Between(0us, 5ms) : world_.Between(1ms, 500ms);
  world_.loop.After(takes, [this, id, signal, number = it->second.number] {
    ReplicaEnds(id, number, 0, signal);
  });
}

void NodeHost::Probe(ReplicaId id, uint32_t start) {
  world_.loop.After(world_.Between(1ms, 20ms), [this, id, start, life = life_] {
    if (life != life_ || !agent_alive()) return;
    const auto it = replicas_.find(id);
    const bool healthy = it != replicas_.end() && it->second.start == start && it->second.up &&
                         it->second.warm <= world_.now() && it->second.sick_until <= world_.now();
    Step(agent::HealthProbed{id, start, healthy, healthy ? "" : "503"});
  });
}

void NodeHost::CrashReplica() {
  if (replicas_.empty()) return;
  auto it = replicas_.begin();
  std::advance(it, static_cast<ptrdiff_t>(world_.rng.Below(replicas_.size())));
  if (it->second.up) ReplicaEnds(it->first, it->second.number, 1, 0);
}

void NodeHost::SickenReplica() {
  if (replicas_.empty()) return;
  auto it = replicas_.begin();
  std::advance(it, static_cast<ptrdiff_t>(world_.rng.Below(replicas_.size())));
  it->second.sick_until = world_.now() + world_.Between(1s, 20s);
}

// ---- requests -------------------------------------------------------------------------------

void NodeHost::GatewayBack() {
  if (agent_alive() && knows_gateway_) DialGateway();
}

void NodeHost::LinkToGatewayBroke() { requests_.clear(); }

void NodeHost::DialGateway() {
  world_.loop.After(world_.Between(1ms, 50ms), [this, life = life_] {
    if (life == life_ && agent_alive()) world_.gateway->NodeDialled(index_);
  });
}

void NodeHost::Serve(uint64_t link, RequestId id, ReplicaId replica) {
  const auto it = replicas_.find(replica);
  const auto serving = serving_.find(replica);
  if (it == replicas_.end() || !it->second.up || serving == serving_.end() || !serving->second) {
    world_.loop.After(world_.network.Latency(),
                      [this, link, id] { world_.gateway->Failed(index_, link, id, false); });
    return;
  }
  requests_[id] = replica;
  const Duration takes = world_.Between(5ms, 400ms);
  world_.loop.After(takes, [this, link, id, replica, number = it->second.number] {
    Answer(link, id, replica, number);
  });
}

void NodeHost::Answer(uint64_t link, RequestId id, ReplicaId replica, uint64_t number) {
  if (requests_.erase(id) == 0) return;  // Cancelled, or the agent died.
  const auto it = replicas_.find(replica);
  if (it == replicas_.end() || it->second.number != number)
    return world_.gateway->Failed(index_, link, id, world_.rng.OneIn(2));
  world_.gateway->FirstByte(index_, link, id);
  const int32_t status = world_.rng.OneIn(20) ? 500 : 200;
  world_.loop.After(world_.Between(1ms, 200ms), [this, link, id, status] {
    world_.gateway->Completed(index_, link, id, status);
  });
}

}  // namespace allot::simulator
