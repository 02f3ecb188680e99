#include "agent/core/describe.h"

#include "fmt/format.h"

namespace allot::agent {
namespace {

std::string DescribeExit(const TaskExit& exit) {
  std::string text =
      exit.signal != 0 ? fmt::format("signal={}", exit.signal) : fmt::format("code={}", exit.code);
  if (exit.cause != ExitCause::kTask) text += fmt::format(" cause={}", ToString(exit.cause));
  if (!exit.message.empty()) text += fmt::format(" \"{}\"", exit.message);
  return text;
}

template <class T>
std::string DescribeAll(const std::vector<T>& statuses) {
  std::string text;
  for (const T& status : statuses) text += fmt::format(" [{}]", Describe(status));
  return text;
}

std::string DescribeProgress(const TaskProgress& progress) {
  return fmt::format("step={}/{}", progress.step, progress.total);
}

struct MessageText {
  std::string operator()(const RegisterNode& m) const {
    std::string text = fmt::format(
        "RegisterNode {}{}{} devices={} tasks:{} replicas:{}", m.registration,
        m.info.address.empty() ? "" : " at ", m.info.address, m.info.devices.size(),
        DescribeAll(m.tasks), DescribeAll(m.replicas));
    for (const std::string& why : m.info.unfit) text += fmt::format(" unfit=\"{}\"", why);
    return text;
  }
  std::string operator()(const Heartbeat& m) const {
    std::string text = fmt::format("Heartbeat epoch={}", m.epoch.value());
    if (!m.devices.empty()) text += fmt::format(" telemetry={}", m.devices.size());
    return text + DescribeAll(m.progress);
  }
  std::string operator()(const TaskReport& m) const {
    return fmt::format("TaskReport epoch={}{}", m.epoch.value(), DescribeAll(m.tasks));
  }
  std::string operator()(const ReplicaReport& m) const {
    return fmt::format("ReplicaReport epoch={}{}", m.epoch.value(), DescribeAll(m.replicas));
  }
  std::string operator()(const AskLeases& m) const {
    std::string text = fmt::format("AskLeases epoch={}", m.epoch.value());
    for (const TaskKey& key : m.keys) text += " " + ToString(key);
    return text;
  }
  std::string operator()(const GrantLeases& m) const {
    std::string text = fmt::format("GrantLeases epoch={}", m.epoch.value());
    for (const TaskKey& key : m.keys) text += " " + ToString(key);
    return text;
  }
  std::string operator()(const Welcome& m) const {
    return fmt::format("Welcome {} epoch={} term={}", m.registration, m.epoch.value(),
                       m.term.value());
  }
  std::string operator()(const Refuse& m) const {
    return fmt::format("Refuse {} registration={} epoch={}", ToString(m.reason), m.registration,
                       m.epoch.value());
  }
  std::string operator()(const StartTask& m) const {
    return fmt::format("StartTask epoch={} {}", m.epoch.value(), ToString(m.key));
  }
  std::string operator()(const StopTask& m) const {
    return fmt::format("StopTask epoch={} {} grace={}", m.epoch.value(), ToString(m.key),
                       FormatDuration(m.grace));
  }
  std::string operator()(const AckTasks& m) const {
    std::string text = fmt::format("AckTasks epoch={}", m.epoch.value());
    for (const TaskKey& key : m.keys) text += " " + ToString(key);
    return text;
  }
  std::string operator()(const StartReplica& m) const {
    return fmt::format("StartReplica epoch={} {}", m.epoch.value(), ToString(m.id));
  }
  std::string operator()(const StopReplica& m) const {
    std::string text = fmt::format("StopReplica epoch={} {} grace={}", m.epoch.value(),
                                   ToString(m.id), FormatDuration(m.grace));
    if (m.drain > Duration{}) text += " drain=" + FormatDuration(m.drain);
    return text;
  }
};

struct EventText {
  std::string operator()(const AgentStarted& e) const {
    return fmt::format("AgentStarted boot={} tasks={} replicas={}", e.boot, e.tasks.size(),
                       e.replicas.size());
  }
  std::string operator()(const AddressFound& e) const {
    return fmt::format("AddressFound {} metrics={}", e.address, e.metrics_address);
  }
  std::string operator()(const DevicesChanged& e) const {
    return fmt::format("DevicesChanged devices={}", e.devices.size());
  }
  std::string operator()(const FitnessChanged& e) const {
    std::string text = "FitnessChanged";
    for (const std::string& why : e.unfit) text += fmt::format(" \"{}\"", why);
    return text;
  }
  std::string operator()(const SchedulerSaid& e) const {
    return "SchedulerSaid " + Describe(e.message);
  }
  std::string operator()(const SchedulerHeard&) const { return "SchedulerHeard"; }
  std::string operator()(const LinkUp&) const { return "LinkUp"; }
  std::string operator()(const LinkDown&) const { return "LinkDown"; }
  std::string operator()(const TaskSpawned& e) const {
    return fmt::format("TaskSpawned {} pid={}", ToString(e.key), e.pid);
  }
  std::string operator()(const TaskSpawnFailed& e) const {
    return fmt::format("TaskSpawnFailed {} \"{}\"", ToString(e.key), e.message);
  }
  std::string operator()(const TaskProcessExited& e) const {
    return fmt::format("TaskProcessExited {} {}", ToString(e.key), DescribeExit(e.exit));
  }
  std::string operator()(const TaskProgressed& e) const {
    return fmt::format("TaskProgressed {} {}", ToString(e.key), DescribeProgress(e.progress));
  }
  std::string operator()(const ReplicaSpawned& e) const {
    const std::string who = ProcessOf(e.id, e.start);
    if (e.remote) return fmt::format("ReplicaSpawned {} remote", who);
    return fmt::format("ReplicaSpawned {} pid={} port={}", who, e.pid, e.port);
  }
  std::string operator()(const ReplicaSpawnFailed& e) const {
    return fmt::format("ReplicaSpawnFailed {} \"{}\"", ProcessOf(e.id, e.start), e.message);
  }
  std::string operator()(const ReplicaProcessExited& e) const {
    return fmt::format("ReplicaProcessExited {} {}", ProcessOf(e.id, e.start),
                       DescribeExit(e.exit));
  }
  std::string operator()(const HealthProbed& e) const {
    return fmt::format("HealthProbed {} {}", ProcessOf(e.id, e.start),
                       e.healthy ? "healthy" : e.message);
  }
  std::string operator()(const ReplicaTraffic& e) const {
    return fmt::format("ReplicaTraffic {} in_flight={}{}", ToString(e.id), e.in_flight,
                       e.flowed ? " flowed" : "");
  }
  std::string operator()(const TelemetrySampled& e) const {
    return fmt::format("TelemetrySampled devices={}", e.devices.size());
  }
  std::string operator()(const ClockTicked&) const { return "ClockTicked"; }
};

struct CommandText {
  std::string operator()(const SendToScheduler& c) const { return "send " + Describe(c.message); }
  std::string operator()(const Reconnect&) const { return "Reconnect"; }
  std::string operator()(const SpawnTask& c) const {
    return fmt::format("SpawnTask {}{}", ToString(c.key),
                       c.lease_until == Time() ? "" : " by a lease");
  }
  std::string operator()(const RenewLease& c) const {
    return fmt::format("RenewLease {}", ToString(c.key));
  }
  std::string operator()(const SignalTask& c) const {
    return fmt::format("SignalTask {} {}", ToString(c.key), c.signal);
  }
  std::string operator()(const ForgetTask& c) const {
    return fmt::format("ForgetTask {}", ToString(c.key));
  }
  std::string operator()(const SpawnReplica& c) const {
    return fmt::format("SpawnReplica {}", ProcessOf(c.id, c.start));
  }
  std::string operator()(const SignalReplica& c) const {
    return fmt::format("SignalReplica {} {}", ProcessOf(c.id, c.start), c.signal);
  }
  std::string operator()(const ProbeReplica& c) const {
    return fmt::format("ProbeReplica {}", ProcessOf(c.id, c.start));
  }
  std::string operator()(const ForgetReplica& c) const {
    return fmt::format("ForgetReplica {}", ToString(c.id));
  }
  std::string operator()(const ReplicaServing& c) const {
    return fmt::format("ReplicaServing {} {} port={} concurrency={}", ToString(c.id),
                       c.serving ? "yes" : "no", c.port, c.concurrency);
  }
  std::string operator()(const SetGateways& c) const {
    std::string text = "SetGateways";
    for (const GatewayAddress& gateway : c.gateways) text += " " + gateway.endpoint;
    if (c.keys.has_value()) text += fmt::format(" enrolled={}", fmt::join(*c.keys, ","));
    return text;
  }
};

struct NoteText {
  std::string operator()(const StaleCommandRefused& n) const {
    return fmt::format("StaleCommandRefused epoch={}", n.epoch.value());
  }
  std::string operator()(const ReplicaRestarted& n) const {
    return fmt::format("ReplicaRestarted {} restarts={}", ToString(n.id), n.restarts);
  }
  std::string operator()(const RegistrationRefused& n) const {
    return fmt::format("RegistrationRefused {} \"{}\"", ToString(n.reason), n.message);
  }
  std::string operator()(const SchedulerSilent&) const { return "SchedulerSilent"; }
};

}  // namespace

std::string Describe(const TaskStatus& status) {
  std::string text = fmt::format("{} {}", ToString(status.key), ToString(status.phase));
  if (status.phase == TaskPhase::kRunning) text += fmt::format(" pid={}", status.pid);
  if (status.exit) text += " " + DescribeExit(*status.exit);
  if (status.progress) text += " " + DescribeProgress(*status.progress);
  return text;
}

std::string Describe(const ReplicaStatus& status) {
  std::string text = fmt::format("{} {} restarts={}", ToString(status.id), ToString(status.phase),
                                 status.restarts);
  if (!status.message.empty()) text += fmt::format(" \"{}\"", status.message);
  return text;
}

std::string Describe(const AgentMessage& message) { return std::visit(MessageText{}, message); }
std::string Describe(const SchedulerMessage& message) { return std::visit(MessageText{}, message); }
std::string Describe(const Event& event) { return std::visit(EventText{}, event); }
std::string Describe(const Command& command) { return std::visit(CommandText{}, command); }
std::string Describe(const Note& note) { return std::visit(NoteText{}, note); }

}  // namespace allot::agent
