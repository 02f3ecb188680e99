#include <filesystem>

#include "client/commands/commands.h"
#include "client/follow.h"
#include "client/rollout.h"
#include "client/submit_spec.h"
#include "client/table.h"
#include "client/text.h"

namespace allot::client {
namespace {

std::string ObjectiveOf(const DeploymentView& d) {
  std::string out;
  const auto part = [&](const char* name, std::optional<double> seconds) {
    if (!seconds) return;
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", name, Seconds(seconds));
  };
  part("ttft", d.ttft_seconds);
  part("per token", d.per_token_seconds);
  part("end to end", d.end_to_end_seconds);
  if (!out.empty() && d.percentile) out += fmt::format(" at p{:g}", *d.percentile * 100);
  return out;
}

std::string DeploymentsText(const std::vector<DeploymentView>& deployments) {
  if (deployments.empty()) return "no deployments; `allot deploy FILE` makes one\n";
  Table table({{"DEPLOYMENT"},
               {"TENANT"},
               {"MODEL"},
               {"READY", Table::Align::kRight},
               {"STATE"},
               {"OLDER", Table::Align::kRight},
               {"RESTARTS", Table::Align::kRight},
               {"OBJECTIVE"}});
  Table replicas({{"REPLICA"},
                  {"DEPLOYMENT"},
                  {"NODE"},
                  {"STATE"},
                  {"DEVICES"},
                  {"ISOLATION"},
                  {""},
                  {"PRICE", Table::Align::kRight},
                  {"RESTARTS", Table::Align::kRight},
                  {"MESSAGE"}});
  std::string waiting;
  for (const DeploymentView& d : deployments) {
    int64_t restarts = 0;
    bool looping = false;  // one that was started again and again is not there
    for (const ReplicaView& r : d.replicas) {
      restarts += r.restarts;
      looping |= r.restarts > 1 && r.phase != "ready" && r.generation == d.generation;
    }
    const std::string state = StateOf(d);
    table.Add({d.name, d.tenant, d.model, fmt::format("{}/{}", d.ready, d.wanted),
               looping && state != "stopping" ? "failing" : state,
               d.older > 0 ? std::to_string(d.older) : "", std::to_string(restarts),
               ObjectiveOf(d)});
    for (const ReplicaView& r : d.replicas)
      replicas.Add({r.id, d.name, r.node, r.phase, Devices(r.devices), LeastIsolation(r.devices),
                    AnyEmulated(r.devices) ? "emulated" : " ", PerHour(r.price_usd_per_hour),
                    std::to_string(r.restarts), r.message});
    for (const ReplicaView& r : d.replicas)
      for (const std::string& gateway : r.unreached_by)
        waiting += fmt::format("{}: the gateway {} does not reach {}, where {} is\n", d.name,
                               gateway, r.node, r.id);
    for (const WaitingGroup& w : d.waiting)
      waiting += fmt::format("{}: {} of group {} wait; `allot explain {}` tells why\n", d.name,
                             w.count, w.group, d.name);
  }
  std::string out = table.ToString();
  if (!replicas.empty()) out += "\n" + replicas.ToString();
  if (!waiting.empty()) out += "\n" + waiting;
  return out;
}

struct DeployFlags {
  std::string file, timeout = "5m";
  bool wait = false;
};

StatusOr<int> Deploy(const Session& session, const DeployFlags& flags) {
  ASSIGN_OR_RETURN(const Duration timeout, DurationOf("--timeout", flags.timeout));
  std::error_code error;
  ASSIGN_OR_RETURN(const DeploymentBody body,
                   MakeDeployment(flags.file, std::filesystem::current_path(error).string()));
  ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, session.Connect());
  ASSIGN_OR_RETURN(Answer<DeploymentView> deployed, api->Deploy(body.name, body.json));
  if (!flags.wait) {
    Print(session.json ? deployed.body
                       : fmt::format("{} wants {} replicas; `allot deployments` shows them",
                                     body.name, deployed.view.wanted));
    return 0;
  }
  const auto generation = deployed.view.generation;
  const Deadline deadline = DeadlineAfter(timeout);
  std::string said;
  while (true) {
    const StatusOr<Answer<DeploymentView>> now = api->Deployment(body.name);
    ASSIGN_OR_RETURN(
        const Rollout rollout,
        RolloutOf(now.ok() ? StatusOr<DeploymentView>(now->view) : now.status(), generation));
    if (rollout.reached) {
      Print(session.json ? now->body
                         : fmt::format("{} is ready: {} replicas", body.name, now->view.ready));
      return 0;
    }
    if (!rollout.news.empty() && rollout.news != said) Say(rollout.news);
    if (!rollout.news.empty()) said = rollout.news;
    if (std::chrono::steady_clock::now() >= *deadline)
      return DeadlineExceeded(
          "{} is not ready after {}: {}; it goes on trying, see `allot explain {}`", body.name,
          FormatDuration(timeout), said, body.name);
    Pause(std::chrono::milliseconds(100));
  }
}

struct UndeployFlags {
  std::string name, timeout = "5m";
  bool wait = false;
};

StatusOr<int> Undeploy(const Session& session, const UndeployFlags& flags) {
  ASSIGN_OR_RETURN(const Duration timeout, DurationOf("--timeout", flags.timeout));
  ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, session.Connect());
  RETURN_IF_ERROR(api->Undeploy(flags.name).status());
  const Deadline deadline = DeadlineAfter(timeout);
  while (flags.wait) {
    const auto now = api->Deployment(flags.name);
    if (!now.ok() && now.status().code() == StatusCode::kNotFound) break;
    if (now.ok() && now->view.stopping && now->view.replicas.empty()) break;
    if (std::chrono::steady_clock::now() >= *deadline)
      return DeadlineExceeded("{} still has replicas after {}; they are being stopped", flags.name,
                              FormatDuration(timeout));
    Pause(std::chrono::milliseconds(100));
  }
  Print(fmt::format("{} {}", flags.name, flags.wait ? "is gone" : "is being stopped"));
  return 0;
}

}  // namespace

void AddDeployments(CLI::App& app, Session& session) {
  CLI::App* deploy = AddCommand(
      app, "deploy", "Serve a model, or change how it is served",
      "  allot deploy deployment.yaml --wait\n"
      "The model servers run in the current folder unless the file's work_dir says otherwise.");
  auto deploy_flags = std::make_shared<DeployFlags>();
  deploy->add_option("FILE", deploy_flags->file, "Deployment as YAML")->required();
  deploy->add_flag("--wait", deploy_flags->wait,
                   "Until every replica of this version is ready and none of before is left");
  deploy->add_option("--timeout", deploy_flags->timeout, "With --wait; default 5m (exit code 6)");
  AddJson(deploy, session);
  OnRun(deploy, session, [&session, deploy_flags] { return Deploy(session, *deploy_flags); });

  CLI::App* undeploy =
      AddCommand(app, "undeploy", "Stop serving a model", "  allot undeploy chat --wait");
  auto undeploy_flags = std::make_shared<UndeployFlags>();
  AddName(undeploy, "NAME", undeploy_flags->name, "Deployment");
  undeploy->add_flag("--wait", undeploy_flags->wait, "Until its replicas are gone");
  undeploy->add_option("--timeout", undeploy_flags->timeout, "With --wait; default 5m");
  OnRun(undeploy, session,
        [&session, undeploy_flags] { return Undeploy(session, *undeploy_flags); });

  CLI::App* list = AddCommand(app, "deployments", "List deployments and their replicas",
                              "  allot deployments --watch");
  AddJson(list, session);
  AddWatch(list, session);
  OnRun(list, session, [&session]() -> StatusOr<int> {
    ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, session.Connect());
    return session.Show([&]() -> StatusOr<std::string> {
      ASSIGN_OR_RETURN(auto answer, api->Deployments());
      return session.json ? std::move(answer.body) : DeploymentsText(answer.view);
    });
  });
}

}  // namespace allot::client
