#include "agent/core/replica_machine.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"

namespace allot::agent {
namespace {

constexpr int kSigTerm = 15, kSigKill = 9;
constexpr Duration kKillAgainAfter = std::chrono::seconds(10);
constexpr Duration kStablePauseMax = std::chrono::minutes(5);
// Gateways hear a moment later than we do that a replica takes no more requests.
constexpr Duration kIdleMoment = std::chrono::seconds(1);
// An answer flows though its next byte is late.
constexpr Duration kFlowPause = std::chrono::seconds(10);
constexpr size_t kGoneKeysMax = 4'096;

std::string WhyEnded(const TaskExit& exit) {
  if (!exit.message.empty()) return exit.message;
  if (exit.signal != 0) return fmt::format("the model server was ended by signal {}", exit.signal);
  return fmt::format("the model server exited with code {}", exit.code);
}

}  // namespace

ReplicaMachine::ReplicaMachine(const CoreOptions& options, DeviceGuard& devices)
    : options_(options), devices_(devices), gone_(kGoneKeysMax) {}

void ReplicaMachine::Found(Time now, const FoundReplica& found, Effects& out) {
  Replica& replica = replicas_[found.id];
  replica.id = found.id;
  replica.launch = found.launch;
  replica.start = std::max(found.starts, 1u);
  replica.backoff = options_.restart_backoff_min;
  replica.pid = found.pid;
  replica.port = found.port;
  devices_.Found({{}, found.id}, found.launch.device_ids);
  // Its supervisor lives and has yet to say what came of it.
  if (found.running && found.pid == 0) return;
  if (found.running) {
    Live(now, replica, out);
  } else if (found.starts == 0) {
    Spawn(replica, out);
  } else {
    Ended(now, replica,
          found.why.empty() ? "the model server ended while the agent was away" : found.why, out);
  }
}

void ReplicaMachine::Start(Time, const StartReplica& command, Effects& out) {
  if (gone_.Has(command.id)) {
    gone_changed_.insert(command.id);  // An echo: ids are never used again.
    return;
  }
  auto [it, fresh] = replicas_.try_emplace(command.id);
  Replica& replica = it->second;
  replica.id = command.id;
  Changed(replica);
  if (!fresh) return;
  replica.launch = command.launch;
  replica.backoff = options_.restart_backoff_min;
  if (devices_.Hold({{}, command.id}, command.launch.device_ids)) return Spawn(replica, out);
  replica.life = Life::kBlocked;
  replica.message = "waits for what used its devices before to end";
}

ReplicaId ReplicaMachine::Named(ReplicaId id) const {
  if (id.incarnation().valid()) return id;
  const auto it = replicas_.lower_bound(id);
  return it != replicas_.end() && it->first.value() == id.value() ? it->first : id;
}

void ReplicaMachine::Proceed(ReplicaId id, Effects& out) {
  Replica& replica = replicas_.at(id);
  replica.message.clear();
  Changed(replica);
  Spawn(replica, out);
}

void ReplicaMachine::Stop(Time now, const StopReplica& command, Effects& out) {
  const auto it = replicas_.find(command.id);
  if (it == replicas_.end()) {
    gone_.Add(command.id);
    gone_changed_.insert(command.id);
    return;
  }
  Replica& replica = it->second;
  if (replica.stop) {  // Repeated; what is shorter counts.
    replica.grace = std::min(replica.grace, command.grace);
    if (replica.life == Life::kDraining) {
      replica.drain = std::min(replica.drain, command.drain);
      replica.deadline = std::min(replica.deadline, now + command.drain);
      Plan(replica);
    }
    if (replica.life == Life::kEnding && !replica.kill_sent) {
      replica.deadline = std::min(replica.deadline, now + command.grace);
      Plan(replica);
    }
    return;
  }
  replica.stop = true;
  replica.grace = command.grace;
  replica.message = "asked to stop";
  Changed(replica);
  switch (replica.life) {
    case Life::kBlocked:
    case Life::kWaiting:
      return Gone(replica.id, out);
    case Life::kSpawning:  // Ended as soon as it is spawned.
      return;
    case Life::kStarting:
      return AskToEnd(now, replica, out);
    case Life::kReady:
    case Life::kAway:
      if (command.drain > Duration{}) return Drain(now, replica, command.drain);
      return AskToEnd(now, replica, out);
    case Life::kDraining:
    case Life::kEnding:
      if (replica.kill_sent) return;
      replica.deadline = std::min(replica.deadline, now + replica.grace);
      return Plan(replica);
  }
}

void ReplicaMachine::Spawned(Time now, const ReplicaSpawned& event, Effects& out) {
  Replica* replica = Find(event.id, event.start);
  if (replica == nullptr || replica->life != Life::kSpawning) return;
  replica->pid = event.pid;
  replica->port = event.port;
  replica->remote = event.remote;
  Changed(*replica);
  if (replica->stop) return AskToEnd(now, *replica, out);
  Live(now, *replica, out);
}

void ReplicaMachine::SpawnFailed(Time now, const ReplicaSpawnFailed& event, Effects& out) {
  Replica* replica = Find(event.id, event.start);
  // Whatever it was taken for: without a process nothing else will come.
  if (replica == nullptr || replica->life == Life::kWaiting || replica->life == Life::kBlocked)
    return;
  Ended(now, *replica, event.message, out);
}

void ReplicaMachine::Exited(Time now, const ReplicaProcessExited& event, Effects& out) {
  Replica* replica = Find(event.id, event.start);
  if (replica == nullptr || replica->life == Life::kWaiting) return;
  // One we were ending for its health keeps that as its reason: it is the more useful one.
  const bool ours = replica->life == Life::kEnding;
  Ended(now, *replica, ours ? replica->message : WhyEnded(event.exit), out);
}

void ReplicaMachine::Probed(Time now, const HealthProbed& event, Effects& out) {
  Replica* replica = Find(event.id, event.start);
  if (replica == nullptr || !Watched(*replica) || !replica->probing) return;
  replica->probing = false;
  Plan(*replica);
  if (event.healthy) {
    replica->failures = 0;
    if (replica->life == Life::kReady) return;
    replica->life = Life::kReady;
    replica->ready_since = now;
    replica->message.clear();
    Serve(*replica, true, out);
    Changed(*replica);
    Plan(*replica);
    return;
  }
  replica->failure = event.message;
  if (replica->life == Life::kStarting) {
    replica->message = event.message;  // Why it is not ready yet; start_timeout decides.
    return;
  }
  if (replica->life == Life::kAway) {
    if (replica->message != event.message) Changed(*replica);
    replica->message = event.message;
    return;
  }
  if (replica->failures++ == 0) replica->failing_since = now;
  if (replica->failures < replica->launch.health.failures_max) return;
  replica->message = fmt::format("{} health checks in a row failed, the last: {}",
                                 replica->failures, event.message);
  Leave(now, *replica, out);
}

void ReplicaMachine::Traffic(Time now, const ReplicaTraffic& event) {
  const auto it = replicas_.find(event.id);
  if (it != replicas_.end()) Traffic(now, it->second, event);
}

void ReplicaMachine::Traffic(Time now, Replica& replica, const ReplicaTraffic& event) {
  if (event.flowed) replica.flowed = now;
  if (replica.in_flight > 0) replica.idle_since = now;  // If it is idle now.
  replica.in_flight = event.in_flight;
  // One that is away is looked at when it was due before, and then waits on.
  if (replica.life == Life::kDraining) Plan(replica);
}

void ReplicaMachine::Tick(Time now, Effects& out) {
  while (const auto id = due_.PopDue(now)) Advance(now, replicas_.at(*id), out);
}

std::vector<ReplicaStatus> ReplicaMachine::TakeReport(Time now, Duration every) {
  std::vector<ReplicaStatus> report;
  while (const auto id = told_.PopDue(now)) Changed(replicas_.at(*id));
  for (const ReplicaId id : changed_) {
    const auto it = replicas_.find(id);
    if (it == replicas_.end()) continue;
    Replica& replica = it->second;
    replica.in_report = false;
    report.push_back(StatusOf(replica));
    const bool stable = replica.life == Life::kReady;
    replica.report_pause = stable && replica.report_pause > Duration{}
                               ? std::min(replica.report_pause * 2, kStablePauseMax)
                               : every;
    told_.Set(id, now + replica.report_pause);
  }
  changed_.clear();
  for (const ReplicaId id : gone_changed_) {
    ReplicaStatus status;
    status.id = id;
    status.phase = ReplicaPhase::kGone;
    report.push_back(status);
  }
  gone_changed_.clear();
  return report;
}

std::optional<Time> ReplicaMachine::NextWakeup(bool registered) const {
  return registered ? Earlier(due_.Earliest(), told_.Earliest()) : due_.Earliest();
}

std::vector<ReplicaStatus> ReplicaMachine::Statuses() const {
  std::vector<ReplicaStatus> statuses;
  statuses.reserve(replicas_.size());
  for (const auto& [id, replica] : replicas_) statuses.push_back(StatusOf(replica));
  return statuses;
}

void ReplicaMachine::Spawn(Replica& replica, Effects& out) {
  replica.life = Life::kSpawning;  // Nothing is due: a spawn always answers.
  out.commands.emplace_back(SpawnReplica{replica.id, replica.start, replica.launch});
}

// The process is there; watch its health.
void ReplicaMachine::Live(Time now, Replica& replica, Effects& out) {
  replica.life = Life::kStarting;
  replica.probing = false;
  replica.failure.clear();
  replica.flowed.reset();
  replica.probe_at = now;
  replica.deadline = now + replica.launch.health.start_timeout;
  Advance(now, replica, out);
}

// It must not be asked any more, until it is well; what it was asked goes on.
void ReplicaMachine::Leave(Time now, Replica& replica, Effects& out) {
  LeaveReady(now, replica, out);
  replica.life = Life::kAway;
  Changed(replica);
  Advance(now, replica, out);
}

// Gateways are told by the scheduler that it is no longer to be asked; what is under way, and what
// they send until they know, is served.
void ReplicaMachine::Drain(Time now, Replica& replica, Duration drain) {
  replica.life = Life::kDraining;
  replica.drain = drain;
  replica.deadline = now + drain;
  replica.idle_since = now;
  replica.message = "asked to stop; finishes the requests it has";
  Plan(replica);
}

std::optional<Time> ReplicaMachine::GivenUpAt(const Replica& replica) {
  if (replica.remote) return std::nullopt;
  const Duration after = replica.launch.health.restart_after;
  const Time failing = replica.failing_since + after;
  if (!replica.flowed) return failing;
  return std::max(failing, *replica.flowed + std::max(after, kFlowPause));
}

void ReplicaMachine::AskToEnd(Time now, Replica& replica, Effects& out) {
  LeaveReady(now, replica, out);
  if (replica.remote) return Gone(replica.id, out);  // Nothing runs here that could end.
  replica.life = Life::kEnding;
  replica.kill_sent = false;
  replica.deadline = now + (replica.stop ? replica.grace : replica.launch.grace);
  out.commands.emplace_back(SignalReplica{replica.id, replica.start, kSigTerm});
  Changed(replica);
  Plan(replica);
}

void ReplicaMachine::Ended(Time now, Replica& replica, const std::string& why, Effects& out) {
  LeaveReady(now, replica, out);
  if (replica.stop) return Gone(replica.id, out);
  replica.life = Life::kWaiting;
  replica.pid = 0;
  replica.message = why;
  replica.deadline = now + replica.backoff;
  replica.backoff = std::min(replica.backoff * 2, options_.restart_backoff_max);
  Changed(replica);
  Plan(replica);
}

void ReplicaMachine::Gone(ReplicaId id, Effects& out) {
  due_.Clear(id);
  told_.Clear(id);
  replicas_.erase(id);
  devices_.Release({{}, id});
  gone_.Add(id);
  gone_changed_.insert(id);
  out.commands.emplace_back(ForgetReplica{id});
}

void ReplicaMachine::Serve(Replica& replica, bool serving, Effects& out) {
  if (replica.serving == serving) return;
  replica.serving = serving;
  out.commands.emplace_back(
      ReplicaServing{replica.id, serving, replica.port, replica.launch.concurrency});
}

void ReplicaMachine::LeaveReady(Time now, Replica& replica, Effects& out) {
  if (replica.life == Life::kReady && now - replica.ready_since >= options_.restart_backoff_reset)
    replica.backoff = options_.restart_backoff_min;
  Serve(replica, false, out);
}

// What was planned is due; of one that is watched it may be its next check or its deadline.
void ReplicaMachine::Advance(Time now, Replica& replica, Effects& out) {
  switch (replica.life) {
    case Life::kBlocked:
    case Life::kSpawning:
      return;
    case Life::kStarting:
      if (now >= replica.deadline) {
        replica.message =
            fmt::format("not healthy {} after its start{}{}",
                        FormatDuration(replica.launch.health.start_timeout),
                        replica.failure.empty() ? "" : "; the last check: ", replica.failure);
        if (!replica.remote) return AskToEnd(now, replica, out);
        replica.life = Life::kAway;
        Changed(replica);
      }
      return Probe(now, replica, out);
    case Life::kAway:
      if (now >= GivenUpAt(replica).value_or(kTimeMax)) {
        replica.message = fmt::format("no health check has passed for {}, the last: {}",
                                      FormatDuration(now - replica.failing_since), replica.failure);
        return AskToEnd(now, replica, out);
      }
      return Probe(now, replica, out);
    case Life::kReady:
      return Probe(now, replica, out);
    case Life::kDraining:
      replica.message = "asked to stop";
      if (replica.in_flight > 0)
        replica.message += fmt::format("; requests that had not finished after {}: {}",
                                       FormatDuration(replica.drain), replica.in_flight);
      return AskToEnd(now, replica, out);
    case Life::kEnding:
      replica.kill_sent = true;
      replica.deadline = now + kKillAgainAfter;
      out.commands.emplace_back(SignalReplica{replica.id, replica.start, kSigKill});
      return Plan(replica);
    case Life::kWaiting:
      ++replica.start;
      out.notes.emplace_back(ReplicaRestarted{replica.id, replica.start - 1});
      Changed(replica);
      return Spawn(replica, out);
  }
}

void ReplicaMachine::Probe(Time now, Replica& replica, Effects& out) {
  if (!replica.probing && now >= replica.probe_at) {
    replica.probing = true;
    replica.probe_at = now + replica.launch.health.interval;
    out.commands.emplace_back(ProbeReplica{replica.id, replica.start});
  }
  Plan(replica);
}

void ReplicaMachine::Plan(const Replica& replica) {
  std::optional<Time> next;
  if (replica.life == Life::kStarting || replica.life == Life::kDraining ||
      replica.life == Life::kEnding || replica.life == Life::kWaiting)
    next = replica.deadline;
  if (replica.life == Life::kDraining && replica.in_flight == 0)
    next = Earlier(next, replica.idle_since + kIdleMoment);
  if (replica.life == Life::kAway) next = GivenUpAt(replica);
  if (Watched(replica) && !replica.probing) next = Earlier(next, replica.probe_at);
  if (next) {
    due_.Set(replica.id, *next);
  } else {
    due_.Clear(replica.id);
  }
}

void ReplicaMachine::Changed(Replica& replica) {
  if (!std::exchange(replica.in_report, true)) changed_.push_back(replica.id);
}

ReplicaMachine::Replica* ReplicaMachine::Find(ReplicaId id, uint32_t start) {
  const auto it = replicas_.find(id);
  if (it == replicas_.end()) return nullptr;
  return it->second.start == start ? &it->second : nullptr;
}

ReplicaStatus ReplicaMachine::StatusOf(const Replica& replica) const {
  ReplicaStatus status;
  status.id = replica.id;
  status.restarts = replica.start - 1;
  status.pid = replica.pid;
  status.message = replica.message;
  status.phase = PhaseOf(replica);
  return status;
}

ReplicaPhase ReplicaMachine::PhaseOf(const Replica& replica) {
  if (replica.stop)
    return replica.life == Life::kDraining ? ReplicaPhase::kDraining : ReplicaPhase::kStopping;
  switch (replica.life) {
    case Life::kBlocked:
    case Life::kSpawning:
    case Life::kStarting:
      return ReplicaPhase::kStarting;
    case Life::kReady:
      return ReplicaPhase::kReady;
    case Life::kAway:
    case Life::kDraining:  // Only where it is to stop.
    case Life::kEnding:
    case Life::kWaiting:
      return ReplicaPhase::kUnhealthy;
  }
  return ReplicaPhase::kUnhealthy;
}

}  // namespace allot::agent
