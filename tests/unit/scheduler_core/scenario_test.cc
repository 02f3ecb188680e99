// Runs tests/scenario/scheduler/*.txt: dialogues with the scheduler core. A block is input lines,
// "----", and what they brought about; blocks are parted by empty lines. ALLOT_UPDATE=1 rewrites
// what is expected. The words are explained in tests/scenario/scheduler/README.md.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "gtest/gtest.h"
#include "tests/unit/scheduler_core/world.h"

namespace allot::scheduler {
namespace {

std::vector<std::string> Split(const std::string& text, char by) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, by);) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

Duration ParseTime(const std::string& text) {
  const double value = std::strtod(text.c_str(), nullptr);
  const double unit = text.ends_with("ms")  ? 1e3
                      : text.ends_with("m") ? 60e6
                      : text.ends_with("h") ? 3600e6
                                            : 1e6;
  return Duration(static_cast<int64_t>(value * unit));
}

// "h200:4@0.5": four of them, worth a half; "h200:4~joined~hard~100GiB": in one fabric, isolated
// hard, with so much memory; "nvidia/": whatever that vendor has.
DeviceRequest ParseDevice(const std::string& whole) {
  DeviceRequest request;
  const std::vector<std::string> marks = Split(whole, '~');
  for (size_t i = 1; i < marks.size(); ++i) {
    if (marks[i] == "joined")
      request.joined = true;
    else if (marks[i].ends_with("GiB"))
      request.min_memory = std::stoll(marks[i]) * kGiB;
    else
      request.isolation = ParseIsolation(marks[i]);
  }
  const std::string& text = marks[0];
  const std::string head = text.substr(0, text.find('@'));
  if (head.size() < text.size())
    request.worth = std::strtod(text.c_str() + head.size() + 1, nullptr);
  const std::vector<std::string> parts = Split(head, ':');
  if (parts.size() > 1) request.count = static_cast<uint32_t>(std::stoul(parts[1]));
  const std::string& word = parts[0];
  if (word == "gpu")
    request.kind = DeviceKind::kGpu;
  else if (word == "asic")
    request.kind = DeviceKind::kAsic;
  else if (word == "cpu")
    request.kind = DeviceKind::kCpu;
  else if (word.ends_with('/'))
    request.vendor = word.substr(0, word.size() - 1);
  else
    request.model = fmt::format("*/{}*", word == "groq"   ? "lpu"
                                         : word == "inf2" ? "inferentia2"
                                         : word == "trn1" ? "trainium1"
                                                          : word);
  return request;
}

// One line of input: a word, what it is about, and key=value options.
struct Line {
  std::string verb;
  std::vector<std::string> words;
  std::map<std::string, std::string> options;

  explicit Line(const std::string& text) {
    for (const std::string& part : Split(text, ' ')) {
      const size_t equals = part.find('=');
      if (verb.empty())
        verb = part;
      else if (equals != std::string::npos)
        options[part.substr(0, equals)] = part.substr(equals + 1);
      else
        words.push_back(part);
    }
  }
  bool Has(const std::string& key) const { return options.contains(key); }
  std::string Text(const std::string& key, const std::string& otherwise = "") const {
    const auto it = options.find(key);
    return it == options.end() ? otherwise : it->second;
  }
  int64_t Number(const std::string& key, int64_t otherwise) const {
    return Has(key) ? std::stoll(Text(key)) : otherwise;
  }
};

class Scenario {
 public:
  // The effects of a line as text; the text of a question's answer.
  std::string Run(const std::string& text) {
    out_.clear();
    const Line line(text);
    const auto verb = kVerbs.find(line.verb);
    if (verb == kVerbs.end()) {
      ADD_FAILURE() << "no such word: " << text;
      return "";
    }
    (this->*verb->second)(line);
    return out_;
  }

 private:
  using Verb = void (Scenario::*)(const Line&);
  static const std::map<std::string, Verb> kVerbs;

  void Print(const Effects& effects) {
    const DescribeOptions options{&world_.state(), true};
    for (const Record& record : effects.records)
      out_ += "record " + Describe(record, options) + "\n";
    for (const Command& command : effects.commands)
      out_ += "command " + Describe(command, options) + "\n";
  }

  JobId Job(const std::string& name) const {
    const auto it = jobs_.find(name);
    return it == jobs_.end() ? JobId() : it->second;
  }
  // "a/1" with option attempt=, else the present attempt.
  TaskKey Key(const std::string& text, const Line& line) const {
    const std::vector<std::string> parts = Split(text, '/');
    TaskKey key = KeyOf(world_.state(), Job(parts[0]), static_cast<uint32_t>(std::stoul(parts[1])));
    if (line.Has("attempt"))
      key.attempt = Attempt(static_cast<uint32_t>(line.Number("attempt", 0)));
    return key;
  }
  std::optional<Epoch> EpochIn(const Line& line) const {
    if (!line.Has("epoch")) return std::nullopt;
    return Epoch(static_cast<uint64_t>(line.Number("epoch", 0)));
  }

  static NodeShape ShapeOf(const std::string& name, const std::string& devices, const Line& line) {
    NodeShape shape;
    shape.name = name;
    for (const std::string& group : Split(devices, '+')) {
      const std::vector<std::string> parts = Split(group, '*');
      shape.devices.emplace_back(static_cast<uint32_t>(std::stoul(parts[0])), parts[1]);
    }
    shape.cpus = line.Number("cpus", 64) * 1000;
    shape.memory = line.Number("memory", 512) * kGiB;
    shape.instance = line.Text("instance", "i1");
    shape.boot_id = line.Text("boot");
    shape.unfit = Split(line.Text("unfit"), ',');
    shape.unhealthy = Split(line.Text("unhealthy"), ',');
    shape.seen = line.Text("seen");
    for (const std::string& text : Split(line.Text("fabric"), '+')) {
      const std::vector<std::string> parts = Split(text, ':');
      const std::vector<std::string> sized = Split(parts[1], '*');
      FabricShape& fabric = shape.fabrics.emplace_back();
      fabric.kind = parts[0];
      fabric.word = sized[0];
      if (sized.size() > 1) fabric.size = static_cast<uint32_t>(std::stoul(sized[1]));
      if (parts.size() > 2) fabric.shape = parts[2];
    }
    shape.numa_nodes = static_cast<uint32_t>(line.Number("numa", 0));
    shape.isolation = ParseIsolation(line.Text("isolation"));
    if (line.Has("price"))
      shape.price = PriceRate{std::llround(std::stod(line.Text("price")) * 1e6)};
    shape.rack = line.Text("rack");
    shape.powered = line.Has("powered");
    shape.leases = line.Text("leases") != "no";
    return shape;
  }

  // cluster 2x(8*h200) 1x(4*a100+4*groq) 1x()
  void Cluster(const Line& line) {
    for (const std::string& group : line.words) {
      const size_t open = group.find("x(");
      const uint64_t count = std::stoul(group.substr(0, open));
      const std::string devices = group.substr(open + 2, group.size() - open - 3);
      for (uint64_t i = 0; i < count; ++i)
        world_.Register(ShapeOf(fmt::format("n{}", ++nodes_), devices, line));
    }
  }
  // "tasks=a/0:running,b/0:exited"
  std::vector<TaskStatus> TasksIn(const Line& line) const {
    std::vector<TaskStatus> tasks;
    for (const std::string& item : Split(line.Text("tasks"), ',')) {
      const std::vector<std::string> parts = Split(item, ':');
      const TaskKey key = Key(parts[0], line);
      tasks.push_back(parts[1] == "exited" ? Exited(key) : Running(key));
      if (parts[1] == "assigned") tasks.back().phase = TaskPhase::kAssigned;
    }
    return tasks;
  }
  // node n3 8*h200 [tasks=a/0:running,b/0:exited] [replicas=1,2]: with those replicas ready
  void Node(const Line& line) {
    const std::string devices = line.words.size() > 1 ? line.words[1] : "";
    std::vector<TaskStatus> tasks = TasksIn(line);
    std::vector<ReplicaStatus> replicas;
    for (const std::string& id : Split(line.Text("replicas"), ','))
      replicas.push_back({ReplicaId(std::stoul(id)), ReplicaPhase::kReady, 0, 1, ""});
    Print(world_.Register(ShapeOf(line.words[0], devices, line), std::move(tasks),
                          std::move(replicas)));
  }
  // again n1 [tasks=a/0:running] [number=1]: its last registration once more, or an older one.
  void Again(const Line& line) {
    const std::string& name = line.words[0];
    const auto number = static_cast<uint64_t>(
        line.Number("number", static_cast<int64_t>(world_.state().FindNode(name)->registration)));
    Print(world_.Step(AgentSaid{
        name, RegisterNode{number, MakeInfo(world_.shapes().at(name)), TasksIn(line), {}}}));
  }
  // reregister n1 [unfit=disk]: with everything the state says it has, as an agent that only lost
  // its link does; a node that was unfit is fit again where it does not say so.
  void Reregister(const Line& line) {
    for (const std::string& name : line.words) {
      const NodeState node = *world_.state().FindNode(name);
      std::vector<TaskStatus> tasks;
      for (const TaskKey& key : node.tasks) {
        const TaskState& task = world_.job(key.task.job).tasks[key.task.index];
        if (task.phase == TaskPhase::kRunning) tasks.push_back(Running(key, task.pid));
      }
      std::vector<ReplicaStatus> replicas;
      for (const ReplicaId id : node.replicas)
        replicas.push_back({id, ReplicaPhase::kReady, 0, 1, ""});
      NodeShape shape = world_.shapes().at(name);
      shape.unfit = Split(line.Text("unfit"), ',');
      Print(world_.Register(shape, std::move(tasks), std::move(replicas)));
    }
  }
  void Submit(const Line& line) {
    JobSpec spec;
    spec.name = line.words[0];
    spec.tasks = static_cast<uint32_t>(line.Number("tasks", 1));
    spec.command = {line.Text("command", "train")};
    spec.tenant = line.Text("tenant", "default");
    spec.priority = static_cast<int32_t>(line.Number("priority", 0));
    spec.restarts_max = static_cast<uint32_t>(line.Number("restarts", 0));
    spec.resources.cpus = line.Number("cpus", 1) * 1000;
    if (line.Text("memory") == "share") {
      spec.resources.memory = 0;
      spec.resources.memory_share = true;
    } else {
      spec.resources.memory = line.Number("memory", 1) * kGiB;
    }
    spec.checkpoint_dir = line.Text("checkpoints");
    if (line.Has("pause")) {
      spec.restart_pause = ParseTime(line.Text("pause"));
      spec.restart_pause_max = ParseTime(line.Text("pause-max", "5m"));
    }
    spec.at_most_one = line.Has("at-most-one");
    if (line.Has("limit")) spec.time_limit = ParseTime(line.Text("limit"));
    if (line.Has("grace")) spec.grace = ParseTime(line.Text("grace"));
    for (const std::string& device : Split(line.Text("devices"), ','))
      spec.devices.push_back(ParseDevice(device));
    const std::string name = spec.name;
    const Effects effects =
        world_.Submit(std::move(spec), line.Text("key"), line.Text("user", "ann"));
    for (const Command& command : effects.commands) {
      const auto* reply = std::get_if<Reply>(&command);
      if (reply != nullptr && reply->job.valid()) jobs_.try_emplace(name, reply->job);
    }
    Print(effects);
  }
  void Cancel(const Line& line) {
    Print(world_.Step(JobCancelRequested{1, Job(line.words[0]), "ann"}));
  }
  // running n1 a/0 [attempt=1] [epoch=1]
  void TaskRuns(const Line& line) {
    for (size_t i = 1; i < line.words.size(); ++i)
      Print(world_.Report(line.words[0], Running(Key(line.words[i], line)), EpochIn(line)));
  }
  // assigned n1 a/0: the node has it, and has not started it yet.
  void TaskIsThere(const Line& line) {
    for (size_t i = 1; i < line.words.size(); ++i) {
      TaskStatus status = Running(Key(line.words[i], line));
      status.phase = TaskPhase::kAssigned;
      status.pid = 0;
      Print(world_.Report(line.words[0], status, EpochIn(line)));
    }
  }
  // exit n1 a/0 [code=1] [signal=9] [message=…] [lived=1s] [attempt=1] [epoch=1]
  void TaskExits(const Line& line) {
    for (size_t i = 1; i < line.words.size(); ++i) {
      const TaskKey key = Key(line.words[i], line);
      TaskStatus status =
          Exited(key, static_cast<int32_t>(line.Number("code", 0)),
                 static_cast<int32_t>(line.Number("signal", 0)), line.Text("message"));
      for (const ExitCause cause :
           {ExitCause::kNotStarted, ExitCause::kNodeRestarted, ExitCause::kSupervisorLost,
            ExitCause::kStopped, ExitCause::kLeaseEnded}) {
        if (ToString(cause) == line.Text("cause")) status.exit->cause = cause;
      }
      if (const std::string lived = line.Text("lived"); !lived.empty()) {
        status.exit->started = world_.now() - std::chrono::hours(1);  // by a clock of its own
        status.exit->finished = status.exit->started + ParseTime(lived);
      }
      Print(world_.Report(line.words[0], status, EpochIn(line)));
    }
  }
  // advance 30s [silent=n1,n2]: the others send a heartbeat each second.
  void Advance(const Line& line) {
    const std::vector<std::string> silent = Split(line.Text("silent"), ',');
    Duration left = ParseTime(line.words[0]);
    while (left > Duration(0)) {
      const Duration step = std::min<Duration>(left, std::chrono::seconds(1));
      left -= step;
      Print(world_.Advance(step));
      for (const auto& [name, shape] : world_.shapes()) {
        const NodeState* node = world_.state().FindNode(name);
        if (node->alive && std::find(silent.begin(), silent.end(), name) == silent.end())
          Print(world_.Beat(name));
      }
      Print(world_.Advance(Duration(0)));
    }
  }
  void Beat(const Line& line) {
    const std::string& name = line.words[0];
    const std::optional<Epoch> said = EpochIn(line);
    Print(world_.Step(AgentSaid{name, Heartbeat{said ? *said : world_.EpochOf(name), {}, {}}}));
  }
  // ask n1 a/0: for leases, as with every heartbeat.
  void Ask(const Line& line) {
    const std::optional<Epoch> said = EpochIn(line);
    AskLeases ask{said ? *said : world_.EpochOf(line.words[0]), world_.now(), {}};
    for (size_t i = 1; i < line.words.size(); ++i) ask.keys.push_back(Key(line.words[i], line));
    Print(world_.Step(AgentSaid{line.words[0], std::move(ask)}));
  }
  void Drain(const Line& line) { Print(world_.Step(NodeDrainRequested{1, line.words[0], true})); }
  void Undrain(const Line& line) {
    Print(world_.Step(NodeDrainRequested{1, line.words[0], false}));
  }
  // take-out n1 [device=h200-0], give-back n1 [device=h200-0]: an operator's word.
  void TakeOut(const Line& line) { Service(line, false); }
  void GiveBack(const Line& line) { Service(line, true); }
  void Service(const Line& line, bool in_service) {
    Print(world_.Step(
        DeviceServiceRequested{1, line.words[0], line.Text("device"), in_service, "olga"}));
  }
  // deploy chat groups=h200:1x2,groq:1x1 [cap=3] [version=2]: device:per replica x replicas
  void Deploy(const Line& line) {
    DeploymentSpec spec;
    spec.name = line.words[0];
    spec.command = {"serve", line.Text("version", "1")};
    spec.model = line.Text("model");
    spec.tenant = line.Text("tenant", "default");
    if (line.Has("drain")) spec.drain = ParseTime(line.Text("drain"));
    spec.resources.cpus = line.Number("cpus", 1) * 1000;
    if (line.Has("cap"))
      spec.price_cap = PriceRate{std::llround(std::stod(line.Text("cap")) * 1e6)};
    for (const std::string& text : Split(line.Text("groups"), ',')) {
      const size_t x = text.rfind('x');
      ReplicaGroup group;
      group.device = ParseDevice(text.substr(0, x));
      group.count = static_cast<uint32_t>(std::stoul(text.substr(x + 1)));
      spec.groups.push_back(group);
    }
    Print(
        world_.Step(DeploymentApplied{1, std::make_shared<const DeploymentSpec>(std::move(spec))}));
  }
  void Delete(const Line& line) { Print(world_.Step(DeploymentDeleteRequested{1, line.words[0]})); }
  // replica n1 replica-1 ready
  void Replica(const Line& line) {
    ReplicaStatus status;
    status.id = *ParseReplicaId(line.words[1]);
    for (const ReplicaPhase phase :
         {ReplicaPhase::kStarting, ReplicaPhase::kReady, ReplicaPhase::kUnhealthy,
          ReplicaPhase::kStopping, ReplicaPhase::kGone, ReplicaPhase::kDraining}) {
      if (ToString(phase) == line.words[2]) status.phase = phase;
    }
    status.restarts = static_cast<uint32_t>(line.Number("restarts", 0));
    status.message = line.Text("message");
    Print(world_.Report(line.words[0], status));
  }
  static MilliWatt Watts(const std::string& text) { return std::llround(std::stod(text) * 1000); }
  // policy queue=fair_share placement=spread hold=60s share.ann=2 rack-watts=2000 watts.n2=700
  //        hours=22-6x0.5
  void SetPolicy(const Line& line) {
    Policy policy = TestPolicy();
    policy.queue.algorithm = line.Text("queue", "priority");
    policy.placement.algorithm = line.Text("placement", "best_fit");
    if (line.Has("hold")) policy.queue.head_hold_after = ParseTime(line.Text("hold"));
    QuarantineKnobs& quarantine = policy.quarantine;
    quarantine.failures = static_cast<uint32_t>(line.Number("failures", 3));
    if (line.Has("within")) quarantine.within = ParseTime(line.Text("within"));
    if (line.Has("probation")) quarantine.probation_after = ParseTime(line.Text("probation"));
    for (const auto& [key, value] : line.options) {
      if (key.starts_with("share.")) policy.queue.shares[key.substr(6)] = std::stod(value);
      if (key.starts_with("watts.n")) policy.power.nodes[key.substr(6)] = Watts(value);
      if (key.starts_with("watts.r")) policy.power.racks[key.substr(6)] = Watts(value);
    }
    if (line.Has("cluster-watts")) policy.power.cluster = Watts(line.Text("cluster-watts"));
    if (line.Has("rack-watts")) policy.power.rack = Watts(line.Text("rack-watts"));
    if (line.Has("node-watts")) policy.power.node = Watts(line.Text("node-watts"));
    for (const std::string& text : Split(line.Text("hours"), ',')) {
      PriceHours& hours = policy.prices.hours.emplace_back();
      hours.from = static_cast<uint32_t>(std::stoul(text));
      hours.to = static_cast<uint32_t>(std::stoul(text.substr(text.find('-') + 1)));
      hours.factor = std::stod(text.substr(text.find('x') + 1));
    }
    Print(world_.Step(PolicyApplied{1, std::make_shared<const Policy>(std::move(policy))}));
  }
  void Gateways(const Line& line) {
    std::vector<GatewayAddress> gateways;
    for (const std::string& endpoint : line.words) gateways.push_back({endpoint, "key"});
    Print(world_.Step(GatewaysChanged{std::move(gateways)}));
  }
  // crash [incarnation=2]: of the life that begins then; none: as the one before.
  void Crash(const Line& line) {
    world_.Crash();
    Print(
        world_.Step(Restarted{Incarnation(static_cast<uint64_t>(line.Number("incarnation", 0)))}));
  }
  // explain a [full=1]: also for how long it waits, and of each candidate its isolation and score.
  void Explain(const Line& line) {
    const JobId job = Job(line.words[0]);
    const auto explanation = world_.core().ExplainJob(world_.now(), job);
    if (!explanation.ok()) {
      out_ += Describe(explanation.status()) + "\n";
      return;
    }
    EXPECT_EQ(explanation->job, job);
    const bool full = line.Has("full");
    out_ += fmt::format("{} {}{}{}\n", line.words[0], ToString(explanation->phase),
                        explanation->never ? " never" : "",
                        full ? " waited " + FormatDuration(explanation->waited) : "");
    for (const Reason& reason : explanation->reasons)
      out_ += fmt::format("  {} {}: {}\n", ToString(reason.reason), reason.count, reason.detail);
    for (const std::string& remedy : explanation->remedies) out_ += "  remedy: " + remedy + "\n";
    for (const std::string& warning : explanation->warnings) out_ += "  warning: " + warning + "\n";
    for (const auto& c : explanation->candidates) {
      out_ += fmt::format(
          "  candidate {} {}{} ${:.2f}/h{}: {}\n", c.node, c.device_model,
          c.emulated ? " (emulated)" : "", c.price.dollars_per_hour(),
          full ? fmt::format(" isolated {} score={}", ToString(c.isolation), c.score.micros) : "",
          c.verdict);
    }
  }
  void ExplainDeployment(const Line& line) {
    const auto waits = world_.core().ExplainDeployment(line.words[0]);
    if (!waits.ok()) {
      out_ += Describe(waits.status()) + "\n";
      return;
    }
    for (const ReplicaWait& wait : *waits) {
      out_ += fmt::format("group {} waits for {}\n", wait.group, wait.count);
      for (const Reason& reason : wait.reasons)
        out_ += fmt::format("  {} {}: {}\n", ToString(reason.reason), reason.count, reason.detail);
    }
  }
  void ShowRollout(const Line& line) {
    const auto& deployments = world_.state().deployments();
    const auto it = deployments.find(line.words[0]);
    if (it == deployments.end()) {
      out_ += line.words[0] + " is not there\n";
      return;
    }
    const Rollout r = world_.core().RolloutOf(it->second);
    out_ += fmt::format("{} generation={} {} ready={}/{} placed={} older={} ({} ready) ending={}",
                        line.words[0], it->second.generation, ToString(r.state), r.ready, r.wanted,
                        r.placed, r.older, r.older_ready, r.ending);
    out_ += r.message.empty() ? "\n" : ": " + r.message + "\n";
  }
  // What leases take of memory.
  void Memory(const Line&) {
    for (const auto& [id, job] : world_.state().jobs()) {
      if (job.phase != JobPhase::kRunning) continue;
      out_ += job.spec->name;
      for (const TaskState& task : job.tasks)
        out_ += " " + FormatBytes(LeasedOf(job.spec->resources, task.placement).memory);
      out_ += "\n";
    }
    for (const NodeState& node : world_.state().nodes())
      out_ += fmt::format("{} {} free\n", node.info->name, FormatBytes(node.memory_free));
  }
  // Leased and cap, of what has one or the other.
  void Power(const Line&) {
    const PowerBook& book = world_.core().power();
    const auto show = [&](const std::string& name, const PowerLine& line) {
      if (line.leased == 0 && !line.cap) return;
      out_ += fmt::format("{} {}{}\n", name, FormatPower(line.leased),
                          line.cap ? " of " + FormatPower(*line.cap) : "");
    };
    show("cluster", book.cluster());
    for (const auto& [name, rack] : book.racks()) show("rack " + name, book.rack(rack));
    for (const NodeState& node : world_.state().nodes())
      show("node " + node.info->name, book.node(node.id.value() - 1));
  }
  // What gateways are told that replicas cost and draw.
  void Routes(const Line&) {
    for (const RouteDeployment& deployment : world_.core().Routes()->deployments) {
      for (const RouteReplica& replica : deployment.replicas)
        out_ += fmt::format("{} {} ${:.4f}/h {}\n", deployment.name, ToString(replica.id),
                            replica.price.dollars_per_hour(), FormatPower(replica.power));
    }
  }
  void Jobs(const Line&) {
    for (const auto& [id, job] : world_.state().jobs()) {
      out_ += fmt::format("{} {} attempt={} failures={}", job.spec->name, ToString(job.phase),
                          job.attempt.value(), job.failures);
      if (job.outcome) out_ += fmt::format(" {} code={}", ToString(*job.outcome), job.code);
      out_ += fmt::format(" cost={}\n", FormatCost(job.cost));
    }
    const JobCounts counts = world_.core().Counts();
    out_ += fmt::format("pending={} running={} stopping={} finished={}\n", counts.pending,
                        counts.running, counts.stopping, counts.finished);
  }

  World world_;
  uint32_t nodes_ = 0;
  std::map<std::string, JobId> jobs_;
  std::string out_;
};

const std::map<std::string, Scenario::Verb> Scenario::kVerbs = {
    {"advance", &Scenario::Advance},
    {"again", &Scenario::Again},
    {"assigned", &Scenario::TaskIsThere},
    {"ask", &Scenario::Ask},
    {"beat", &Scenario::Beat},
    {"cancel", &Scenario::Cancel},
    {"cluster", &Scenario::Cluster},
    {"crash", &Scenario::Crash},
    {"delete", &Scenario::Delete},
    {"deploy", &Scenario::Deploy},
    {"drain", &Scenario::Drain},
    {"exit", &Scenario::TaskExits},
    {"explain", &Scenario::Explain},
    {"explain-deployment", &Scenario::ExplainDeployment},
    {"gateways", &Scenario::Gateways},
    {"give-back", &Scenario::GiveBack},
    {"jobs", &Scenario::Jobs},
    {"memory", &Scenario::Memory},
    {"node", &Scenario::Node},
    {"policy", &Scenario::SetPolicy},
    {"power", &Scenario::Power},
    {"replica", &Scenario::Replica},
    {"reregister", &Scenario::Reregister},
    {"rollout", &Scenario::ShowRollout},
    {"routes", &Scenario::Routes},
    {"running", &Scenario::TaskRuns},
    {"submit", &Scenario::Submit},
    {"take-out", &Scenario::TakeOut},
    {"undrain", &Scenario::Undrain},
};

// Runs a file's text; returns it with what really happened in place of what was expected.
std::string Perform(const std::string& text) {
  Scenario scenario;
  std::string actual;
  std::istringstream stream(text);
  std::string effects;
  bool expecting = false;
  for (std::string line; std::getline(stream, line);) {
    if (line == "----") {
      expecting = true;
      actual += line + "\n" + effects;
      effects.clear();
    } else if (line.empty()) {
      expecting = false;
      actual += "\n";
    } else if (!expecting) {
      actual += line + "\n";
      if (line[0] != '#') effects += scenario.Run(line);
    }
  }
  return actual;
}

std::string Read(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class ScenarioFile : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(ScenarioFile, GoesAsWritten) {
  const std::string expected = Read(GetParam());
  const std::string actual = Perform(expected);
  if (std::getenv("ALLOT_UPDATE") != nullptr) {
    std::ofstream(GetParam()) << actual;
    return;
  }
  EXPECT_EQ(actual, expected) << GetParam() << "; ALLOT_UPDATE=1 rewrites it";
}

std::vector<std::filesystem::path> Files() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(ALLOT_SOURCE_DIR "/tests/scenario/scheduler")) {
    if (entry.path().extension() == ".txt") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

INSTANTIATE_TEST_SUITE_P(Scheduler, ScenarioFile, testing::ValuesIn(Files()),
                         [](const auto& test) { return test.param.stem().string(); });

}  // namespace
}  // namespace allot::scheduler
