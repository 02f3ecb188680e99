#include "tests/unit/agent_core/scenario.h"

#include <map>
#include <sstream>
#include <stdexcept>

#include "agent/core/describe.h"
#include "fmt/format.h"

namespace allot::agent {
namespace {

struct Line {
  std::vector<std::string> words;  // without key=value
  std::map<std::string, std::string> values;
  std::string tail;  // everything after the second word

  explicit Line(const std::string& text) {
    std::istringstream in(text);
    std::string word;
    while (in >> word) {
      const size_t equals = word.find('=');
      if (equals == std::string::npos) {
        words.push_back(word);
      } else {
        values[word.substr(0, equals)] = word.substr(equals + 1);
      }
    }
    std::istringstream again(text);
    again >> word >> word;
    std::getline(again >> std::ws, tail);
  }
  bool Has(const std::string& word) const {
    for (const auto& w : words)
      if (w == word) return true;
    return false;
  }
  uint64_t Number(const std::string& key, uint64_t otherwise) const {
    const auto it = values.find(key);
    return it == values.end() ? otherwise : std::stoull(it->second);
  }
};

Duration ParseDuration(const std::string& text) {
  size_t used = 0;
  const double value = std::stod(text, &used);
  const std::string unit = text.substr(used);
  const double micros = unit == "ms" ? 1e3 : unit == "s" ? 1e6 : unit == "m" ? 60e6 : 0;
  if (micros == 0) throw std::runtime_error("duration without unit: " + text);
  return Duration(static_cast<int64_t>(value * micros));
}

Duration DurationOf(const Line& line, const std::string& key, Duration otherwise) {
  const auto it = line.values.find(key);
  return it == line.values.end() ? otherwise : ParseDuration(it->second);
}

// "job-1/0#2"
TaskKey ParseKey(const std::string& text) {
  const size_t slash = text.find('/'), hash = text.find('#');
  const auto job = ParseJobId(text.substr(0, slash));
  if (!job || hash == std::string::npos) throw std::runtime_error("not a task key: " + text);
  return TaskKey{{*job, static_cast<uint32_t>(std::stoul(text.substr(slash + 1)))},
                 Attempt(static_cast<uint32_t>(std::stoul(text.substr(hash + 1))))};
}

ReplicaId ParseReplica(const std::string& text) {
  const auto id = ParseReplicaId(text.substr(0, text.find('.')));
  if (!id) throw std::runtime_error("not a replica: " + text);
  return *id;
}

uint32_t ParseStart(const std::string& text) {
  return static_cast<uint32_t>(std::stoul(text.substr(text.find('.') + 1)));
}

NodeInfo MakeInfo(uint64_t devices) {
  NodeInfo info;
  info.name = "n1";
  info.instance = "i1";
  for (uint64_t i = 0; i < devices; ++i) {
    Device device;
    device.id = fmt::format("gpu{}", i);
    device.model = "nvidia/h200";
    info.devices.push_back(device);
  }
  return info;
}

TaskExit ExitOf(const Line& line, Time now) {
  TaskExit exit;
  exit.code = static_cast<int32_t>(line.Number("code", 0));
  exit.signal = static_cast<int32_t>(line.Number("signal", 0));
  exit.finished = now;
  if (const auto cause = line.values.find("cause"); cause != line.values.end()) {
    EXPECT_EQ(cause->second, ToString(ExitCause::kSupervisorLost));
    exit.cause = ExitCause::kSupervisorLost;
  }
  return exit;
}

// lease=60s
LeaseTerms TermsOf(const Line& line) {
  const Duration lease = DurationOf(line, "lease", Duration{});
  return {lease, lease / 4};
}

std::vector<std::string> ListOf(const Line& line, const std::string& key) {
  std::vector<std::string> list;
  const auto it = line.values.find(key);
  if (it == line.values.end()) return list;
  std::istringstream in(it->second);
  for (std::string item; std::getline(in, item, ',');) list.push_back(item);
  return list;
}

// groups=gpu0+gpu1,gpu2+gpu3
std::vector<DeviceGroup> GroupsOf(const Line& line) {
  std::vector<DeviceGroup> groups;
  for (const std::string& text : ListOf(line, "groups")) {
    DeviceGroup& group = groups.emplace_back();
    group.kind = "island";
    std::istringstream in(text);
    for (std::string member; std::getline(in, member, '+');) group.members.push_back(member);
  }
  return groups;
}

std::vector<GatewayAddress> GatewaysOf(const Line& line) {
  std::vector<GatewayAddress> gateways;
  for (const std::string& name : ListOf(line, "gateways"))
    gateways.push_back({"tcp://" + name, ""});
  return gateways;
}

}  // namespace

Scenario::Scenario() : core_(std::make_unique<Core>(CoreOptions{}, 1)) {}

std::string Scenario::Run(const std::vector<std::string>& lines) {
  output_.clear();
  block_began_ = now_;
  for (const std::string& line : lines) RunLine(line);
  return output_;
}

void Scenario::Print(const std::string& line) {
  if (now_ != block_began_) output_ += fmt::format("+{} ", FormatDuration(now_ - block_began_));
  output_ += line + "\n";
}

void Scenario::Step(const Event& event) {
  Effects effects;
  core_->Step(now_, event, effects);
  for (const Note& note : effects.notes) Print("note " + Describe(note));
  for (const Command& command : effects.commands) {
    if (const auto* send = std::get_if<SendToScheduler>(&command)) {
      if (const auto* m = std::get_if<RegisterNode>(&send->message))
        registration_ = m->registration;
      const auto* beat = std::get_if<Heartbeat>(&send->message);
      if (beat != nullptr && beat->devices.empty() && beat->progress.empty() && !show_heartbeats_)
        continue;
    }
    Print(Describe(command));
  }
}

void Scenario::Advance(Duration span, bool heard) {
  const Time end = now_ + span;
  Time next_heard = now_ + std::chrono::seconds(1);
  while (true) {
    std::optional<Time> next = core_->NextWakeup();
    const bool hear = heard && (!next || next_heard <= *next);
    if (hear) next = next_heard;
    if (!next || *next > end) break;
    if (*next < now_ && !hear) throw std::runtime_error("the core wants to wake in the past");
    now_ = std::max(now_, *next);
    if (hear) {
      next_heard += std::chrono::seconds(1);
      Step(SchedulerHeard{});
    } else {
      Step(ClockTicked{});
      if (core_->NextWakeup() == now_) throw std::runtime_error("what was due is still due");
    }
  }
  now_ = end;
}

void Scenario::RunLine(const std::string& text) {
  const Line line(text);
  const std::string& verb = line.words.at(0);
  const auto word = [&](size_t i) -> const std::string& { return line.words.at(i); };
  const Epoch epoch(line.Number("epoch", epoch_.value()));
  const auto said = [&](SchedulerMessage message) { Step(SchedulerSaid{std::move(message)}); };

  if (verb == "agent" || verb == "restart") {
    core_ = std::make_unique<Core>(CoreOptions{}, line.Number("seed", 1));
    start_.info = MakeInfo(line.Number("devices", 2));
    start_.boot = line.Number("boot", 1);
    Step(start_);
    start_ = AgentStarted{};
  } else if (verb == "found-task") {
    FoundTask found;
    found.key = found.status.key = ParseKey(word(1));
    found.status.pid = static_cast<int64_t>(line.Number("pid", 0));
    found.launch.device_ids = ListOf(line, "devices");
    found.launch.terms = TermsOf(line);
    if (line.Has("running")) found.status.phase = TaskPhase::kRunning;
    if (line.Has("exited")) {
      found.status.phase = TaskPhase::kExited;
      found.status.exit = ExitOf(line, now_);
    }
    start_.tasks.push_back(found);
  } else if (verb == "found-replica") {
    FoundReplica found;
    found.id = ParseReplica(word(1));
    found.starts = static_cast<uint32_t>(line.Number("starts", 1));
    found.running = line.Has("running");
    found.pid = static_cast<int64_t>(line.Number("pid", 0));
    found.port = static_cast<uint16_t>(line.Number("port", 0));
    found.launch.device_ids = ListOf(line, "devices");
    start_.replicas.push_back(found);
  } else if (verb == "link") {
    word(1) == "up" ? Step(LinkUp{}) : Step(LinkDown{});
  } else if (verb == "heard") {
    Step(SchedulerHeard{});
  } else if (verb == "devices") {
    Step(DevicesChanged{MakeInfo(std::stoull(word(1))).devices, GroupsOf(line), {}});
  } else if (verb == "unfit") {
    FitnessChanged event;
    if (line.words.size() > 1) event.unfit = {text.substr(text.find(' ') + 1)};
    Step(event);
  } else if (verb == "address") {
    Step(AddressFound{word(1), word(1) + ":7402"});
  } else if (verb == "telemetry") {
    Step(TelemetrySampled{std::vector<DeviceTelemetry>(std::stoull(word(1)))});
  } else if (verb == "show") {
    show_heartbeats_ = true;
  } else if (verb == "welcome") {
    Welcome welcome;
    welcome.registration = line.Number("registration", registration_);
    welcome.epoch = epoch;
    welcome.term = Term(1);
    welcome.heartbeat_every = DurationOf(line, "heartbeat", std::chrono::seconds(1));
    welcome.gateways = GatewaysOf(line);
    if (const auto it = line.values.find("instance"); it != line.values.end())
      welcome.instance = it->second;
    if (line.values.contains("enrolled")) welcome.gateway_keys = ListOf(line, "enrolled");
    if (welcome.registration == registration_) epoch_ = epoch;
    said(welcome);
  } else if (verb == "refuse") {
    Refuse refuse;
    for (const RefuseReason reason : {RefuseReason::kStaleEpoch, RefuseReason::kStaleRegistration,
                                      RefuseReason::kNameTaken, RefuseReason::kBadInfo})
      if (ToString(reason) == word(1)) refuse.reason = reason;
    const bool stale_epoch = refuse.reason == RefuseReason::kStaleEpoch;
    refuse.registration = line.Number("registration", stale_epoch ? 0 : registration_);
    refuse.epoch = epoch;
    said(refuse);
  } else if (verb == "start") {
    StartTask start{epoch, ParseKey(word(1)), {}};
    start.launch.device_ids = ListOf(line, "devices");
    start.launch.terms = TermsOf(line);
    if (line.Has("noop")) start.launch.runtime = TaskRuntime::kNoop;
    said(start);
  } else if (verb == "granted") {  // [ago=2s]: asked for so long ago
    GrantLeases grant{epoch, now_ - DurationOf(line, "ago", Duration{}), {}};
    for (size_t i = 1; i < line.words.size(); ++i) grant.keys.push_back(ParseKey(word(i)));
    said(grant);
  } else if (verb == "stop") {
    said(StopTask{epoch, ParseKey(word(1)), DurationOf(line, "grace", std::chrono::seconds(10))});
  } else if (verb == "ack") {
    AckTasks ack{epoch, {}};
    for (size_t i = 1; i < line.words.size(); ++i) ack.keys.push_back(ParseKey(word(i)));
    said(ack);
  } else if (verb == "start-replica") {
    StartReplica start{epoch, ParseReplica(word(1)), {}};
    start.launch.device_ids = ListOf(line, "devices");
    start.launch.health.start_timeout = DurationOf(line, "start_timeout", std::chrono::seconds(30));
    start.launch.health.interval = DurationOf(line, "interval", start.launch.health.interval);
    start.launch.health.failures_max = static_cast<uint32_t>(line.Number("failures_max", 3));
    start.launch.health.restart_after = DurationOf(line, "restart_after", std::chrono::minutes(5));
    start.launch.grace = DurationOf(line, "grace", std::chrono::seconds(10));
    said(start);
  } else if (verb == "stop-replica") {
    said(StopReplica{epoch, ParseReplica(word(1)),
                     DurationOf(line, "grace", std::chrono::seconds(10)),
                     DurationOf(line, "drain", Duration{})});
  } else if (verb == "traffic") {
    Step(ReplicaTraffic{ParseReplica(word(1)), static_cast<uint32_t>(line.Number("in_flight", 0)),
                        line.Has("flowed")});
  } else if (verb == "spawned") {
    Step(TaskSpawned{ParseKey(word(1)), static_cast<int64_t>(line.Number("pid", 100)), now_});
  } else if (verb == "spawn-failed") {
    Step(TaskSpawnFailed{ParseKey(word(1)), line.tail});
  } else if (verb == "command-refused") {
    Step(TaskSpawnFailed{ParseKey(word(1)), line.tail, ExitCause::kTask});
  } else if (verb == "exited") {
    Step(TaskProcessExited{ParseKey(word(1)), ExitOf(line, now_)});
  } else if (verb == "progressed") {
    TaskProgress progress;
    progress.step = static_cast<int64_t>(line.Number("step", 0));
    progress.total = static_cast<int64_t>(line.Number("total", 0));
    Step(TaskProgressed{ParseKey(word(1)), progress});
  } else if (verb == "replica-spawned") {
    Step(ReplicaSpawned{ParseReplica(word(1)), ParseStart(word(1)),
                        static_cast<int64_t>(line.Number("pid", 100)),
                        static_cast<uint16_t>(line.Number("port", 8000)), line.Has("remote")});
  } else if (verb == "replica-spawn-failed") {
    Step(ReplicaSpawnFailed{ParseReplica(word(1)), ParseStart(word(1)), line.tail});
  } else if (verb == "replica-exited") {
    Step(ReplicaProcessExited{ParseReplica(word(1)), ParseStart(word(1)), ExitOf(line, now_)});
  } else if (verb == "probed") {
    const bool healthy = line.tail == "healthy";
    Step(HealthProbed{ParseReplica(word(1)), ParseStart(word(1)), healthy,
                      healthy ? "" : line.tail});
  } else if (verb == "advance") {
    Advance(ParseDuration(word(1)), line.Has("heard"));
  } else {
    throw std::runtime_error("unknown line: " + text);
  }
}

std::string RunScenarioFile(const std::string& text) {
  Scenario scenario;
  std::istringstream in(text);
  std::string result;
  std::vector<std::string> block;
  bool answer = false;
  for (std::string line; std::getline(in, line);) {
    if (answer) {
      if (!line.empty()) continue;  // The old answer.
      answer = false;
      result += "\n";
    } else if (line == "----") {
      result += "----\n" + scenario.Run(block);
      block.clear();
      answer = true;
    } else {
      if (!line.empty() && line[0] != '#') block.push_back(line);
      result += line + "\n";
    }
  }
  if (!block.empty()) throw std::runtime_error("the last block lacks its ---- line");
  return result;
}

}  // namespace allot::agent
