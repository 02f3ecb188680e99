#include "client/local/cluster.h"

#include <algorithm>
#include <cstdio>

#include "client/api.h"
#include "client/local/files.h"
#include "client/local/processes.h"
#include "client/local/token.h"
#include "client/session.h"

namespace allot::client::local {
namespace {

constexpr char kFirstPolicy[] = "cheapest-within-slo";
constexpr Duration kAnswerMax = std::chrono::seconds(1);  // how long an interrupt may go unseen

// The end of a log, for the message about a program that did not start.
std::string LastLines(const std::string& path) {
  const StatusOr<std::string> text = ReadFile(path);
  if (!text.ok() || text->empty()) return "";
  size_t start = text->size() - 1;
  for (int lines = 0; lines < 5 && start > 0 && start != std::string::npos; ++lines)
    start = text->rfind('\n', start - 1);
  return text->substr(start == std::string::npos || start == 0 ? 0 : start + 1);
}

Status Interrupted() { return absl::CancelledError("interrupted"); }

}  // namespace

Cluster::Cluster(std::string folder, Progress progress)
    : layout_(std::move(folder)), progress_(std::move(progress)) {}

StatusOr<std::vector<AgentSpec>> Cluster::Choose(const UpOptions& options) const {
  if (!options.agents.empty()) return options.agents;
  const auto earlier = layout_.LoadAgents();
  if (earlier.ok()) return earlier;
  if (earlier.status().code() != StatusCode::kNotFound) return earlier.status();
  return DefaultAgents();
}

Status Cluster::Prepare(const UpOptions& options, std::vector<AgentSpec>* agents) {
  const std::vector<ProcessInfo> running = FindProcesses(layout_.folder());
  if (!running.empty())
    return FailedPrecondition(
        "a cluster is up in {} ({} processes, the first is {}); `allot local down --dir {}` stops "
        "it",
        layout_.folder(), running.size(), running[0].pid, layout_.folder());
  ASSIGN_OR_RETURN(*agents, Choose(options));
  RETURN_IF_ERROR(layout_.Prepare(*agents));
  if (!options.policy.empty() || !Exists(layout_.File("policy.yaml")))
    RETURN_IF_ERROR(layout_.WritePolicy(options.policy.empty() ? kFirstPolicy : options.policy));
  return absl::OkStatus();
}

Status Cluster::Configure(const UpOptions& options) {
  std::vector<AgentSpec> agents;
  RETURN_IF_ERROR(Prepare(options, &agents));
  RETURN_IF_ERROR(layout_.WriteSchedulerConfig({.endpoint = "tcp://127.0.0.1:7400",
                                                .http = "127.0.0.1:7401",
                                                .gateway_endpoint = "tcp://127.0.0.1:7410",
                                                .gateway_http = "127.0.0.1:7411"}));
  for (const AgentSpec& agent : agents)
    RETURN_IF_ERROR(layout_.WriteAgentConfig(agent, "tcp://127.0.0.1:7400"));
  return absl::OkStatus();
}

StatusOr<Addresses> Cluster::StartScheduler(Duration timeout) {
  ASSIGN_OR_RETURN(const std::string program, FindProgram("allot-scheduler"));
  const std::string log = layout_.LogOf("scheduler");
  ASSIGN_OR_RETURN(const pid_t pid, Start({.program = program,
                                           .args = {"--config", layout_.SchedulerConfig()},
                                           .log_file = log,
                                           .marker = layout_.folder()}));
  StatusOr<Addresses> addresses =
      WaitForAddresses(layout_.SchedulerState(), pid, timeout, interrupted_);
  if (absl::IsCancelled(addresses.status())) return addresses;
  if (!addresses.ok())
    return Status(addresses.status().code(),
                  fmt::format("the scheduler did not start: {}\n{}  (from {})",
                              MessageOf(addresses.status()), LastLines(log), log));
  return addresses;
}

StatusOr<std::string> Cluster::Token() const {
  ASSIGN_OR_RETURN(std::string token, ReadFile(TokenFile(layout_.folder())));
  while (!token.empty() && token.back() == '\n') token.pop_back();
  return token;
}

StatusOr<pid_t> Cluster::StartAgent(const std::string& name) {
  ASSIGN_OR_RETURN(const std::string program, FindProgram("allot-agent"));
  return Start({.program = program,
                .args = {"--config", layout_.AgentConfig(name)},
                .log_file = layout_.LogOf(name),
                .marker = layout_.folder()});
}

Status Cluster::AwaitNodes(const std::vector<Node>& nodes, Duration timeout) {
  ASSIGN_OR_RETURN(const Addresses addresses, ReadAddresses(layout_.SchedulerState()));
  ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Connect({.url = "http://" + addresses.http,
                                                                 .token = Token().value_or(""),
                                                                 .timeout = kAnswerMax}));
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (true) {
    const auto registered = api->Nodes();
    const Node* missing = nullptr;
    for (const Node& node : nodes) {
      const bool here =
          registered.ok() &&
          std::any_of(registered->view.begin(), registered->view.end(),
                      [&](const NodeView& n) { return n.name == node.name && n.alive; });
      if (!here) missing = &node;
    }
    if (missing == nullptr) return absl::OkStatus();
    const std::string log = layout_.LogOf(missing->name);
    if (!IsRunning(missing->agent))
      return FailedPrecondition("the agent {} ended at once\n{}  (from {})", missing->name,
                                LastLines(log), log);
    if (interrupted_()) return Interrupted();
    if (std::chrono::steady_clock::now() >= deadline)
      return DeadlineExceeded("node {} did not register within {}{}\n{}  (from {})", missing->name,
                              FormatDuration(timeout),
                              registered.ok() ? "" : " (" + MessageOf(registered.status()) + ")",
                              LastLines(log), log);
    Pause(std::chrono::milliseconds(20));
  }
}

Status Cluster::UpUnguarded(const UpOptions& options) {
  std::vector<AgentSpec> agents;
  RETURN_IF_ERROR(Prepare(options, &agents));
  RETURN_IF_ERROR(layout_.WriteSchedulerConfig({}));
  std::remove(layout_.File(kDownMark).c_str());
  progress_("starting the scheduler …");
  ASSIGN_OR_RETURN(const Addresses chosen, StartScheduler(options.timeout));
  RETURN_IF_ERROR(layout_.WriteSchedulerConfig({.endpoint = chosen.endpoint,
                                                .http = chosen.http,
                                                .gateway_endpoint = chosen.gateway_endpoint,
                                                .gateway_http = chosen.gateway_http}));
  std::vector<Node> nodes;
  for (const AgentSpec& agent : agents) {
    if (interrupted_()) return Interrupted();
    RETURN_IF_ERROR(layout_.WriteAgentConfig(agent, chosen.endpoint));
    ASSIGN_OR_RETURN(const pid_t pid, StartAgent(agent.name));
    nodes.push_back({agent.name, pid});
  }
  progress_(fmt::format("waiting for {} agents …", nodes.size()));
  return AwaitNodes(nodes, options.timeout);
}

StatusOr<Addresses> Cluster::Up(const UpOptions& options) {
  // What was up before us stays up; Prepare refuses it.
  const bool ours = FindProcesses(layout_.folder()).empty();
  interrupted_ = options.interrupted;
  const Status status = UpUnguarded(options);
  interrupted_ = [] { return false; };
  if (!status.ok()) {
    if (ours) Down();
    return status;
  }
  return ReadAddresses(layout_.SchedulerState());
}

int Cluster::Down() {
  // Before the first process goes: whoever asks meanwhile should not wait for what will not return.
  if (Exists(layout_.File("cluster.yaml")))
    (void)WriteFile(layout_.File(kDownMark), "stopped by `allot local down`\n", 0644);
  return StopProcesses(layout_.folder(), std::chrono::seconds(3));
}

}  // namespace allot::client::local
