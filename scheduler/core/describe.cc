#include "scheduler/core/describe.h"

#include "fmt/format.h"

namespace allot::scheduler {
namespace {

std::string Code(StatusCode code) {
  std::string text = absl::StatusCodeToString(code);
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

class Teller {
 public:
  explicit Teller(const DescribeOptions& options) : options_(options) {}

  // ---- parts ----
  std::string Of(NodeId id) const {
    const NodeState* node = options_.state != nullptr ? options_.state->FindNode(id) : nullptr;
    return node != nullptr ? node->info->name : fmt::format("node-{}", id.value());
  }
  std::string Of(JobId id) const {
    const JobState* job =
        options_.state != nullptr && options_.job_names ? options_.state->FindJob(id) : nullptr;
    return job != nullptr && !job->spec->name.empty() ? job->spec->name : ToString(id);
  }
  std::string Of(const TaskId& id) const { return fmt::format("{}/{}", Of(id.job), id.index); }
  std::string Of(const TaskKey& key) const {
    return fmt::format("{} attempt={}", Of(key.task), key.attempt.value());
  }
  std::string Of(const TaskPlacement& p) const { return Of(p.node) + Of(p.devices); }
  static std::string Of(const DeviceSet& devices) {
    if (devices.Empty()) return "";
    std::string text;
    devices.ForEach([&](uint32_t i) { text += (text.empty() ? ":" : ",") + std::to_string(i); });
    return text;
  }
  static std::string Part(const std::string& device) { return device.empty() ? "" : "/" + device; }
  static std::string Draw(MilliWatt power) { return power == 0 ? "" : " " + FormatPower(power); }
  static std::string Of(PriceRate price) {
    return fmt::format("${:.4f}/h", price.dollars_per_hour());
  }
  static std::string Of(const TaskExit& exit) {
    std::string text = exit.signal != 0 ? fmt::format("signal={}", exit.signal)
                                        : fmt::format("code={}", exit.code);
    if (exit.cause != ExitCause::kTask) text += fmt::format(" cause={}", ToString(exit.cause));
    if (!exit.message.empty()) text += fmt::format(" \"{}\"", exit.message);
    return text;
  }
  std::string Of(const TaskStatus& status) const {
    std::string text = fmt::format("{} {}", Of(status.key), ToString(status.phase));
    if (status.exit) text += " " + Of(*status.exit);
    return text;
  }
  static std::string Of(const ReplicaStatus& status) {
    return fmt::format("{} {}", ToString(status.id), ToString(status.phase));
  }

  // ---- events ----
  std::string operator()(const Restarted&) const { return "Restarted"; }
  std::string operator()(const ClockTicked&) const { return "ClockTicked"; }
  std::string operator()(const JobSubmitted& e) const {
    return fmt::format("JobSubmitted {} tenant={} tasks={}", e.spec->name, e.spec->tenant,
                       e.spec->tasks);
  }
  std::string operator()(const JobCancelRequested& e) const {
    return fmt::format("JobCancelRequested {}", Of(e.job));
  }
  std::string operator()(const DeploymentApplied& e) const {
    return fmt::format("DeploymentApplied {}", e.spec->name);
  }
  std::string operator()(const DeploymentDeleteRequested& e) const {
    return fmt::format("DeploymentDeleteRequested {}", e.name);
  }
  std::string operator()(const PolicyApplied& e) const {
    return fmt::format("PolicyApplied {}", e.policy->name);
  }
  std::string operator()(const NodeDrainRequested& e) const {
    return fmt::format("NodeDrainRequested {} drain={}", e.node, e.drain);
  }
  std::string operator()(const DeviceServiceRequested& e) const {
    return fmt::format("DeviceServiceRequested {}{} in_service={}", e.node, Part(e.device),
                       e.in_service);
  }
  std::string operator()(const AgentSaid& e) const {
    return fmt::format("AgentSaid {} {}", e.node, std::visit(*this, e.message));
  }
  std::string operator()(const GatewaysChanged& e) const {
    return fmt::format("GatewaysChanged {}", e.gateways.size());
  }
  std::string operator()(const RegisterNode& m) const {
    std::string text = fmt::format("RegisterNode registration={}", m.registration);
    for (const TaskStatus& status : m.tasks) text += fmt::format(" [{}]", Of(status));
    for (const ReplicaStatus& status : m.replicas) text += fmt::format(" [{}]", Of(status));
    return text;
  }
  std::string operator()(const Heartbeat& m) const {
    return fmt::format("Heartbeat epoch={}", m.epoch.value());
  }
  std::string operator()(const AskLeases& m) const {
    std::string text = fmt::format("AskLeases epoch={}", m.epoch.value());
    for (const TaskKey& key : m.keys) text += fmt::format(" [{}]", Of(key));
    return text;
  }
  std::string operator()(const TaskReport& m) const {
    std::string text = fmt::format("TaskReport epoch={}", m.epoch.value());
    for (const TaskStatus& status : m.tasks) text += fmt::format(" [{}]", Of(status));
    return text;
  }
  std::string operator()(const ReplicaReport& m) const {
    std::string text = fmt::format("ReplicaReport epoch={}", m.epoch.value());
    for (const ReplicaStatus& status : m.replicas) text += fmt::format(" [{}]", Of(status));
    return text;
  }

  // ---- records ----
  std::string operator()(const TermBegun& r) const {
    return fmt::format("TermBegun term={}", r.term.value());
  }
  std::string operator()(const PolicySet& r) const {
    return fmt::format("PolicySet {}", r.policy->name);
  }
  std::string operator()(const NodeRegistered& r) const {
    return fmt::format("NodeRegistered {} epoch={}", r.info->name, r.epoch.value());
  }
  std::string operator()(const NodeLost& r) const {
    return fmt::format("NodeLost {} epoch={}", Of(r.node), r.epoch.value());
  }
  std::string operator()(const NodeDrainSet& r) const {
    return fmt::format("NodeDrainSet {} drain={}", Of(r.node), r.drain);
  }
  std::string operator()(const DeviceQuarantined& r) const {
    const std::string until = r.until >= kTimeMax ? "released" : FormatDuration(r.until - r.at);
    return fmt::format("DeviceQuarantined {}{} strikes={} until={}: {}", Of(r.node), Part(r.device),
                       r.strikes, until, r.why);
  }
  std::string operator()(const DeviceOnProbation& r) const {
    return fmt::format("DeviceOnProbation {}{}", Of(r.node), Part(r.device));
  }
  std::string operator()(const DeviceCleared& r) const {
    return fmt::format("DeviceCleared {}{}", Of(r.node), Part(r.device));
  }
  std::string operator()(const JobAccepted& r) const {
    return fmt::format("JobAccepted {}", Of(r.job));
  }
  std::string operator()(const JobPlaced& r) const {
    std::string text = fmt::format("JobPlaced {} attempt={}", Of(r.job), r.attempt.value());
    for (uint32_t rank = 0; rank < r.tasks.size(); ++rank)
      text += fmt::format(" {}@{}", Of(TaskId{r.job, rank}), Of(r.tasks[rank]));
    if (r.alternative != 0) text += fmt::format(" alternative={}", r.alternative);
    MilliWatt power = 0;
    for (const TaskPlacement& placement : r.tasks) power += placement.power;
    return text + " " + Of(r.price) + Draw(power);
  }
  std::string operator()(const TaskStarted& r) const {
    return fmt::format("TaskStarted {}", Of(r.key));
  }
  std::string operator()(const TaskExited& r) const {
    return fmt::format("TaskExited {} {}", Of(r.key), Of(r.exit));
  }
  std::string operator()(const JobStopping& r) const {
    if (r.outcome)
      return fmt::format("JobStopping {} then {}{}", Of(r.job), ToString(*r.outcome),
                         r.cancelled ? ", in no case again" : "");
    return fmt::format("JobStopping {} then requeue: {}", Of(r.job), ToString(r.requeue));
  }
  std::string operator()(const TaskAbandoned& r) const {
    return fmt::format("TaskAbandoned {}", Of(r.key));
  }
  std::string operator()(const JobRequeued& r) const {
    std::string text = fmt::format("JobRequeued {} {}", Of(r.job), ToString(r.reason));
    if (r.not_before > r.at) text += fmt::format(" pause={}", FormatDuration(r.not_before - r.at));
    return text;
  }
  std::string operator()(const JobFinished& r) const {
    return fmt::format("JobFinished {} {} code={} cost={}", Of(r.job), ToString(r.outcome), r.code,
                       FormatCost(r.cost));
  }
  std::string operator()(const DeploymentSet& r) const {
    return fmt::format("DeploymentSet {} generation={}", r.spec->name, r.generation);
  }
  std::string operator()(const DeploymentRemoved& r) const {
    return fmt::format("DeploymentRemoved {}", r.name);
  }
  std::string operator()(const DeploymentStopping& r) const {
    return fmt::format("DeploymentStopping {}", r.name);
  }
  std::string operator()(const ReplicaPlaced& r) const {
    return fmt::format("ReplicaPlaced {} {}[{}] generation={} @{} {}{}", ToString(r.replica),
                       r.deployment, r.group, r.generation, Of(r.placement), Of(r.price),
                       Draw(r.placement.power));
  }
  std::string operator()(const ReplicaStopping& r) const {
    return fmt::format("ReplicaStopping {}", ToString(r.replica));
  }
  std::string operator()(const ReplicaGone& r) const {
    return fmt::format("ReplicaGone {}", ToString(r.replica));
  }

  // ---- commands ----
  std::string operator()(const SendToAgent& c) const {
    node_ = c.node;
    return std::visit(*this, c.message);
  }
  std::string operator()(const SendRoutes& c) const {
    std::string text = fmt::format("SendRoutes version={}", c.table->version);
    for (const RouteDeployment& d : c.table->deployments) {
      text += fmt::format(" {}:", d.name);
      for (const RouteReplica& r : d.replicas)
        text += fmt::format(" {}@{}{}", ToString(r.id), r.node,
                            r.ready     ? "=ready"
                            : r.unheard ? "=unheard"
                                        : "");
    }
    return text;
  }
  std::string operator()(const Reply& c) const {
    std::string text = fmt::format("Reply {}", Describe(c.status));
    if (c.job.valid()) text += " " + Of(c.job);
    return text;
  }
  std::string operator()(const JobEnded& c) const { return fmt::format("JobEnded {}", Of(c.job)); }
  std::string operator()(const Welcome& m) const {
    return fmt::format("Welcome {} epoch={} registration={}", node_, m.epoch.value(),
                       m.registration);
  }
  std::string operator()(const Refuse& m) const {
    return fmt::format("Refuse {} {}: {}", node_, ToString(m.reason), m.message);
  }
  std::string operator()(const StartTask& m) const {
    std::string text = fmt::format("StartTask {} {}", node_, Of(m.key));
    if (!m.launch.device_ids.empty())
      text += fmt::format(" devices={}", fmt::join(m.launch.device_ids, ","));
    return text;
  }
  std::string operator()(const StopTask& m) const {
    return fmt::format("StopTask {} {} grace={}", node_, Of(m.key), FormatDuration(m.grace));
  }
  std::string operator()(const AckTasks& m) const {
    std::string text = fmt::format("AckTasks {}", node_);
    for (const TaskKey& key : m.keys) text += fmt::format(" [{}]", Of(key));
    return text;
  }
  std::string operator()(const GrantLeases& m) const {
    std::string text = fmt::format("GrantLeases {}", node_);
    for (const TaskKey& key : m.keys) text += fmt::format(" [{}]", Of(key));
    return text;
  }
  std::string operator()(const StartReplica& m) const {
    return fmt::format("StartReplica {} {}", node_, ToString(m.id));
  }
  std::string operator()(const StopReplica& m) const {
    std::string text =
        fmt::format("StopReplica {} {} grace={}", node_, ToString(m.id), FormatDuration(m.grace));
    if (m.drain > Duration{}) text += fmt::format(" drain={}", FormatDuration(m.drain));
    return text;
  }

  // ---- notes ----
  std::string operator()(const JobWaited& n) const {
    return fmt::format("JobWaited {} {}", n.tenant, FormatDuration(n.wait));
  }
  std::string operator()(const StaleRefused& n) const { return "StaleRefused " + n.node; }
  std::string operator()(const RegistrationRefused& n) const {
    return fmt::format("RegistrationRefused {} {}: {}", n.node, ToString(n.reason), n.message);
  }
  std::string operator()(const ForeignWork& n) const {
    return fmt::format("ForeignWork {} incarnation={} tasks={} replicas={}", n.node,
                       ToString(n.incarnation), n.tasks, n.replicas);
  }
  std::string operator()(const TaskUnanswered& n) const {
    return fmt::format("TaskUnanswered {} {} after={}", n.node, Of(n.key), FormatDuration(n.after));
  }
  std::string operator()(const Stalled& n) const {
    return fmt::format("Stalled late={}", FormatDuration(n.late));
  }
  std::string operator()(const CutOff& n) const {
    return fmt::format("CutOff silent={}", FormatDuration(n.silent));
  }
  std::string operator()(const ReplicasPlanned& n) const {
    return fmt::format("ReplicasPlanned placed={} searched={} more={}", n.placed, n.searched,
                       n.more);
  }
  std::string operator()(const PlanningStopped& n) const {
    return fmt::format("PlanningStopped placed={} tried={} more={}", n.placed, n.tried, n.more);
  }

 private:
  const DescribeOptions& options_;
  mutable std::string node_;  // of the message at hand
};

}  // namespace

std::string Describe(const Event& event, const DescribeOptions& options) {
  return std::visit(Teller(options), event);
}
std::string Describe(const Record& record, const DescribeOptions& options) {
  return std::visit(Teller(options), record);
}
std::string Describe(const Command& command, const DescribeOptions& options) {
  return std::visit(Teller(options), command);
}
std::string Describe(const Note& note) {
  const DescribeOptions options;
  return std::visit(Teller(options), note);
}

std::string Describe(const Status& status) {
  if (status.ok()) return "ok";
  return Code(status.code()) + ": " + MessageOf(status);
}

}  // namespace allot::scheduler
