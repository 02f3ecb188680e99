#include "simulator/describe.h"

#include "agent/core/describe.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace allot::simulator {
namespace {

std::string Devices(const DeviceSet& set) {
  std::string text;
  set.ForEach([&](uint32_t i) { text += fmt::format("{}{}", text.empty() ? ":" : ",", i); });
  return text;
}

struct RecordText {
  std::string operator()(const scheduler::TermBegun& r) const {
    return fmt::format("TermBegun {}", r.term.value());
  }
  std::string operator()(const scheduler::PolicySet& r) const {
    return "PolicySet " + r.policy->name;
  }
  std::string operator()(const scheduler::NodeRegistered& r) const {
    return fmt::format("NodeRegistered {} epoch={} registration={}", r.info->name, r.epoch.value(),
                       r.registration);
  }
  std::string operator()(const scheduler::NodeLost& r) const {
    return fmt::format("NodeLost {} epoch={}", r.node.value(), r.epoch.value());
  }
  std::string operator()(const scheduler::NodeDrainSet& r) const {
    return fmt::format("NodeDrainSet {} {}", r.node.value(), r.drain);
  }
  std::string operator()(const scheduler::DeviceQuarantined& r) const {
    return fmt::format("DeviceQuarantined {}/{} strikes={} for {}: {}", r.node.value(), r.device,
                       r.strikes, FormatDuration(r.until - r.at), r.why);
  }
  std::string operator()(const scheduler::DeviceOnProbation& r) const {
    return fmt::format("DeviceOnProbation {}/{}", r.node.value(), r.device);
  }
  std::string operator()(const scheduler::DeviceCleared& r) const {
    return fmt::format("DeviceCleared {}/{}", r.node.value(), r.device);
  }
  std::string operator()(const scheduler::JobAccepted& r) const {
    return fmt::format("JobAccepted {} {}", ToString(r.job), r.spec->name);
  }
  std::string operator()(const scheduler::JobPlaced& r) const {
    std::string text = fmt::format("JobPlaced {} attempt={} price={}", ToString(r.job),
                                   r.attempt.value(), r.price.micros_per_hour);
    for (const auto& task : r.tasks)
      text += fmt::format(" n{}{}", task.node.value(), Devices(task.devices));
    return text;
  }
  std::string operator()(const scheduler::TaskStarted& r) const {
    return "TaskStarted " + ToString(r.key);
  }
  std::string operator()(const scheduler::TaskExited& r) const {
    return fmt::format("TaskExited {} code={} signal={}", ToString(r.key), r.exit.code,
                       r.exit.signal);
  }
  std::string operator()(const scheduler::JobStopping& r) const {
    return fmt::format("JobStopping {} {}", ToString(r.job),
                       r.outcome ? ToString(*r.outcome) : ToString(r.requeue));
  }
  std::string operator()(const scheduler::TaskAbandoned& r) const {
    return "TaskAbandoned " + ToString(r.key);
  }
  std::string operator()(const scheduler::JobRequeued& r) const {
    return fmt::format("JobRequeued {} {}", ToString(r.job), ToString(r.reason));
  }
  std::string operator()(const scheduler::JobFinished& r) const {
    return fmt::format("JobFinished {} {} code={} cost={}", ToString(r.job), ToString(r.outcome),
                       r.code, r.cost.micros);
  }
  std::string operator()(const scheduler::DeploymentSet& r) const {
    return fmt::format("DeploymentSet {} generation={}", r.spec->name, r.generation);
  }
  std::string operator()(const scheduler::DeploymentRemoved& r) const {
    return "DeploymentRemoved " + r.name;
  }
  std::string operator()(const scheduler::DeploymentStopping& r) const {
    return "DeploymentStopping " + r.name;
  }
  std::string operator()(const scheduler::ReplicaPlaced& r) const {
    return fmt::format("ReplicaPlaced {} {} generation={} n{}{}", ToString(r.replica), r.deployment,
                       r.generation, r.placement.node.value(), Devices(r.placement.devices));
  }
  std::string operator()(const scheduler::ReplicaStopping& r) const {
    return "ReplicaStopping " + ToString(r.replica);
  }
  std::string operator()(const scheduler::ReplicaGone& r) const {
    return "ReplicaGone " + ToString(r.replica);
  }
  template <class R>
  std::string operator()(const R&) const {
    return "Record";
  }
};

struct SchedulerEventText {
  std::string operator()(const scheduler::JobSubmitted& e) const {
    return "JobSubmitted " + e.spec->name;
  }
  std::string operator()(const scheduler::JobCancelRequested& e) const {
    return "JobCancelRequested " + ToString(e.job);
  }
  std::string operator()(const scheduler::DeploymentApplied& e) const {
    return "DeploymentApplied " + e.spec->name;
  }
  std::string operator()(const scheduler::DeploymentDeleteRequested& e) const {
    return "DeploymentDeleteRequested " + e.name;
  }
  std::string operator()(const scheduler::PolicyApplied& e) const {
    return "PolicyApplied " + e.policy->name;
  }
  std::string operator()(const scheduler::NodeDrainRequested& e) const {
    return fmt::format("NodeDrainRequested {} {}", e.node, e.drain);
  }
  std::string operator()(const scheduler::DeviceServiceRequested& e) const {
    return fmt::format("DeviceServiceRequested {}/{} in_service={}", e.node, e.device,
                       e.in_service);
  }
  std::string operator()(const scheduler::AgentSaid& e) const {
    return fmt::format("{} said {}", e.node, agent::Describe(e.message));
  }
  std::string operator()(const scheduler::Restarted&) const { return "Restarted"; }
  std::string operator()(const scheduler::ClockTicked&) const { return "ClockTicked"; }
  template <class E>
  std::string operator()(const E&) const {
    return "Event";
  }
};

struct SchedulerCommandText {
  std::string operator()(const scheduler::SendToAgent& c) const {
    return fmt::format("to {}: {}", c.node, agent::Describe(c.message));
  }
  std::string operator()(const scheduler::SendRoutes& c) const {
    std::string text = fmt::format("routes {}.{}", c.table->term.value(), c.table->version);
    for (const auto& deployment : c.table->deployments) {
      text += " " + deployment.name;
      for (const auto& replica : deployment.replicas)
        text += fmt::format(" {}{}", replica.id.value(), replica.ready ? "+" : "-");
    }
    return text;
  }
  std::string operator()(const scheduler::Reply& c) const {
    return fmt::format("reply {} {}", c.token,
                       c.status.ok() ? ToString(c.job) : MessageOf(c.status));
  }
  std::string operator()(const scheduler::JobEnded& c) const { return "ended " + ToString(c.job); }
};

struct RouterEventText {
  std::string operator()(const router::RoutesReceived& e) const {
    return fmt::format("RoutesReceived {}.{}", e.table->term.value(), e.table->version);
  }
  std::string operator()(const router::NodeLinked& e) const { return "NodeLinked " + e.node; }
  std::string operator()(const router::NodeUnlinked& e) const { return "NodeUnlinked " + e.node; }
  std::string operator()(const router::RequestArrived& e) const {
    return fmt::format("RequestArrived {} {}", ToString(e.id), e.model);
  }
  std::string operator()(const router::FirstByteReceived& e) const {
    return "FirstByteReceived " + ToString(e.id);
  }
  std::string operator()(const router::RequestCompleted& e) const {
    return fmt::format("RequestCompleted {} {}", ToString(e.id), e.http_status);
  }
  std::string operator()(const router::RequestFailed& e) const {
    return "RequestFailed " + ToString(e.id);
  }
  std::string operator()(const router::ClientGone& e) const {
    return "ClientGone " + ToString(e.id);
  }
  std::string operator()(const router::ClockTicked&) const { return "ClockTicked"; }
  template <class E>
  std::string operator()(const E&) const {
    return "Event";
  }
};

struct RouterCommandText {
  std::string operator()(const router::Forward& c) const {
    return fmt::format("forward {} to {} on {} ({}, try {}, {}us)", ToString(c.id),
                       ToString(c.replica), c.node, ToString(c.reason), c.tries,
                       c.predicted.count());
  }
  std::string operator()(const router::Reject& c) const {
    return fmt::format("reject {} {}", ToString(c.id), ToString(c.reason));
  }
  std::string operator()(const router::CancelForward& c) const {
    return fmt::format("cancel {} on {}", ToString(c.id), c.node);
  }
  std::string operator()(const router::Deliver& c) const {
    return fmt::format("deliver {}", ToString(c.id));
  }
};

}  // namespace

std::string Describe(const scheduler::Record& record) { return std::visit(RecordText{}, record); }

std::string DescribeStep(const scheduler::Event& event, const scheduler::Effects& effects) {
  std::string text = std::visit(SchedulerEventText{}, event);
  for (const auto& record : effects.records) text += "\n    record " + Describe(record);
  for (const auto& command : effects.commands)
    text += "\n    " + std::visit(SchedulerCommandText{}, command);
  return text;
}

std::string DescribeStep(const router::Event& event, const router::Effects& effects) {
  std::string text = std::visit(RouterEventText{}, event);
  for (const auto& command : effects.commands)
    text += "\n    " + std::visit(RouterCommandText{}, command);
  for (const auto& end : effects.ended)
    text += fmt::format("\n    ended {} outcome={} cost={}", ToString(end.id),
                        static_cast<int>(end.outcome), end.cost.micros);
  return text;
}

std::string DescribeStep(const agent::Event& event, const agent::Effects& effects) {
  std::string text = agent::Describe(event);
  for (const auto& command : effects.commands) text += "\n    " + agent::Describe(command);
  return text;
}

}  // namespace allot::simulator
