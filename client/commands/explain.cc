#include "client/commands/commands.h"
#include "client/table.h"
#include "client/text.h"
#include "common/base/ids.h"

namespace allot::client {
namespace {

std::string ReasonLines(const std::vector<Reason>& reasons) {
  std::string out;
  for (const Reason& r : reasons)
    out += fmt::format("  {}× {}{}{}\n", r.count, r.reason, r.detail.empty() ? "" : ": ", r.detail);
  return out;
}

std::string JobText(const JobExplanation& e) {
  std::string out = fmt::format("{} is {}", e.job, e.phase);
  if (e.waited_seconds) out += fmt::format(", waited {}", Seconds(e.waited_seconds));
  out += "\n";
  if (e.never) out += "No node that was ever here could run it, even when empty.\n";
  if (!e.reasons.empty()) out += "Why it waits:\n" + ReasonLines(e.reasons);
  if (!e.remedies.empty()) {
    out += "What would change that:\n";
    for (const std::string& remedy : e.remedies) out += "  " + remedy + "\n";
  }
  if (e.candidates.empty()) return out;
  Table table({{"NODE"},
               {"DEVICE"},
               {"ISOLATION"},
               {""},
               {"PRICE", Table::Align::kRight},
               {"SCORE", Table::Align::kRight},
               {"VERDICT"}});
  for (const JobCandidate& c : e.candidates)
    table.Add({c.node, c.device_model, c.isolation, c.emulated ? "emulated" : " ",
               PerHour(c.price_usd_per_hour), Money(c.score_usd), c.verdict});
  return out + "\n" + table.ToString();
}

std::string RequestText(const RequestExplanation& e) {
  std::string out =
      fmt::format("{} for {}, policy {}: {}", e.id, e.deployment, e.policy, e.outcome);
  if (!e.reason.empty()) out += fmt::format(" ({})", e.reason);
  out += "\n";
  if (!e.arrived.empty()) out += fmt::format("Arrived {}\n", e.arrived);
  if (e.cost_usd) out += fmt::format("Cost {}", Money(e.cost_usd));
  if (e.energy_joules) out += fmt::format(", {} ({})", Energy(e.energy_joules), e.energy_source);
  if (e.cost_usd) out += "\n";
  Table table({{"REPLICA"},
               {"NODE"},
               {"KIND"},
               {"DEVICE"},
               {""},
               {"PRICE", Table::Align::kRight},
               {"LOAD", Table::Align::kRight},
               {"PREDICTED", Table::Align::kRight},
               {"SAMPLES", Table::Align::kRight},
               {"COST", Table::Align::kRight},
               {"ENERGY", Table::Align::kRight},
               {"OBJECTIVE"},
               {"VERDICT"}});
  for (const RequestCandidate& c : e.candidates)
    table.Add({c.replica, c.node, c.kind, c.device_model, c.emulated ? "emulated" : " ",
               PerHour(c.price_usd_per_hour), fmt::format("{}/{}", c.in_flight, c.concurrency),
               Millis(c.predicted_seconds), std::to_string(c.samples), Money(c.predicted_cost_usd),
               c.predicted_energy_joules ? Energy(c.predicted_energy_joules) : "",
               c.within_objective ? "meets" : "misses", c.verdict});
  if (!table.empty()) out += "\n" + table.ToString();
  return out;
}

StatusOr<std::string> ExplainRequest(const Session& session, Api& api, const std::string& id) {
  ASSIGN_OR_RETURN(const Answer<ClusterView> cluster, api.Cluster());
  if (cluster.view.gateways.empty())
    return NotFound("the cluster has no gateway, so it has no requests");
  Status last = NotFound("no gateway knows {}; they keep a request for a while only", id);
  for (const GatewayRef& gateway : cluster.view.gateways) {
    ASSIGN_OR_RETURN(const std::unique_ptr<Api> there,
                     Api::Connect({"http://" + gateway.http_address, api.endpoint().token}));
    StatusOr<Answer<RequestExplanation>> answer = there->ExplainRequest(id);
    if (answer.ok()) return session.json ? std::move(answer->body) : RequestText(answer->view);
    if (answer.status().code() != StatusCode::kNotFound) last = answer.status();
  }
  return last;
}

StatusOr<std::string> ExplainDeployment(const Session& session, Api& api, const std::string& id) {
  ASSIGN_OR_RETURN(Answer<DeploymentView> answer, api.Deployment(id));
  if (session.json) return std::move(answer.body);
  const DeploymentView& d = answer.view;
  std::string out = fmt::format("{}: {} of {} replicas ready\n", d.name, d.ready, d.wanted);
  for (const WaitingGroup& group : d.waiting)
    out += fmt::format("{} of group {} wait:\n", group.count, group.group) +
           ReasonLines(group.reasons);
  for (const ReplicaView& replica : d.replicas)
    if (!replica.message.empty())
      out += fmt::format("{} on {} is {}: {}\n", replica.id, replica.node, replica.phase,
                         replica.message);
  return out;
}

StatusOr<std::string> Explain(const Session& session, Api& api, const std::string& id) {
  if (ParseRequestId(id)) return ExplainRequest(session, api, id);
  if (!ParseJobId(id)) return ExplainDeployment(session, api, id);
  ASSIGN_OR_RETURN(Answer<JobExplanation> answer, api.ExplainJob(id));
  return session.json ? std::move(answer.body) : JobText(answer.view);
}

}  // namespace

void AddExplain(CLI::App& app, Session& session) {
  CLI::App* command =
      AddCommand(app, "explain", "Tell why a job waits, or why a request went where it went",
                 "  allot explain job-17\n"
                 "  allot explain req-00000000000000f3   (X-Allot-Request-Id of an answer)\n"
                 "  allot explain chat                   (a deployment)");
  auto id = std::make_shared<std::string>();
  AddName(command, "ID", *id, "Job, request or deployment");
  AddJson(command, session);
  AddWatch(command, session);
  OnRun(command, session, [&session, id]() -> StatusOr<int> {
    ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, session.Connect());
    return session.Show([&] { return Explain(session, *api, *id); });
  });
}

}  // namespace allot::client
