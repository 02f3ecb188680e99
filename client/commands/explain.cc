#include <algorithm>

#include "client/commands/commands.h"
#include "client/doctor.h"
#include "client/gateways.h"
#include "client/table.h"
#include "client/text.h"
#include "client/verbs.h"
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
  if (e.never)
    out += "Never: no node that was ever here could run a task of it, even when empty.\n";
  if (!e.reasons.empty()) out += "Why it waits:\n" + ReasonLines(e.reasons);
  if (!e.remedies.empty()) {
    out += "What would change that:\n";
    for (const std::string& remedy : e.remedies) out += "  " + remedy + "\n";
  }
  for (const std::string& warning : e.warnings) out += "Beware: " + warning + "\n";
  if (e.candidates.empty()) return out;
  Table table({{"NODE"},
               {"DEVICE"},
               {"ISOLATION"},
               {""},
               {"PRICE", Table::Align::kRight},
               {"OVER BEST", Table::Align::kRight},
               {"VERDICT"}});
  // A score has no zero that means something, so only its distance from the best is told.
  std::optional<double> best;
  for (const JobCandidate& c : e.candidates)
    if (c.score_usd) best = std::min(best.value_or(*c.score_usd), *c.score_usd);
  for (const JobCandidate& c : e.candidates) {
    std::optional<double> over;
    if (c.score_usd) over = *c.score_usd - *best;
    table.Add({c.node, c.device_model, c.isolation, c.emulated ? "emulated" : " ",
               PerHour(c.price_usd_per_hour), over && *over > 0 ? "+" + Money(over) : Money(over),
               c.verdict});
  }
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
                     Api::Connect({.url = GatewayUrl(gateway, api.url()),
                                   .token = api.endpoint().token,
                                   .security = api.endpoint().security}));
    StatusOr<Answer<RequestExplanation>> answer = there->ExplainRequest(id);
    if (answer.ok()) return session.json ? std::move(answer->body) : RequestText(answer->view);
    if (answer.status().code() != StatusCode::kNotFound) last = answer.status();
  }
  return last;
}

std::string DeploymentText(const DeploymentView& d) {
  std::string out = fmt::format("{}: {} of {} replicas ready\n", d.name, d.ready, d.wanted);
  for (const WaitingGroup& group : d.waiting)
    out += fmt::format("{} of group {} wait:\n", group.count, group.group) +
           ReasonLines(group.reasons);
  for (const ReplicaView& replica : d.replicas)
    for (const std::string& gateway : replica.unreached_by)
      out += fmt::format(
          "the gateway {} does not reach {}, where {} is: requests there cannot be served by it; "
          "see `allot doctor {}`\n",
          gateway, replica.node, replica.id, replica.node);
  for (const ReplicaView& replica : d.replicas)
    if (!replica.message.empty())
      out += fmt::format(
          "{} on {} is {}{}: {}\n", replica.id, replica.node, replica.phase,
          replica.restarts > 0 ? fmt::format(" after {} restarts", replica.restarts) : "",
          replica.message);
  return out;
}

StatusOr<std::string> ExplainReplica(const Session& session, Api& api, const std::string& id) {
  ASSIGN_OR_RETURN(const auto deployments, api.Deployments());
  for (const DeploymentView& d : deployments.view) {
    for (const ReplicaView& r : d.replicas) {
      if (r.id != id) continue;
      if (session.json) {
        ASSIGN_OR_RETURN(Answer<DeploymentView> answer, api.Deployment(d.name));
        return std::move(answer.body);
      }
      return fmt::format(
          "{} of {} on {} is {}, restarted {} times{}{}\n`allot logs {}` shows what it "
          "wrote.\n",
          r.id, d.name, r.node, r.phase, r.restarts, r.message.empty() ? "" : ": ", r.message,
          r.id);
    }
  }
  return NotFound("there is no {}; `allot deployments` lists replicas", id);
}

// A name may be a deployment's or a node's.
StatusOr<std::string> ExplainName(const Session& session, Api& api, const std::string& name) {
  StatusOr<Answer<DeploymentView>> answer = api.Deployment(name);
  if (answer.ok()) return session.json ? std::move(answer->body) : DeploymentText(answer->view);
  if (answer.status().code() != StatusCode::kNotFound) return answer.status();
  ASSIGN_OR_RETURN(const Answer<std::vector<NodeView>> nodes, api.Nodes());
  const bool node = std::any_of(nodes.view.begin(), nodes.view.end(),
                                [&](const NodeView& n) { return n.name == name; });
  if (!node)
    return NotFound(
        "there is no deployment and no node \"{}\"; jobs are explained as job-17, requests as "
        "req-…, replicas as replica-3",
        name);
  ASSIGN_OR_RETURN(const Answer<ClusterView> cluster, api.Cluster());
  ASSIGN_OR_RETURN(const Answer<std::vector<DeviceView>> devices, api.Devices());
  std::vector<Diagnosis> all = Diagnose(cluster.view, nodes.view, devices.view);
  std::erase_if(all, [&](const Diagnosis& d) { return d.node != name; });
  return session.json ? DoctorJson(all) : DoctorText(all.at(0));
}

StatusOr<std::string> Explain(const Session& session, Api& api, const std::string& given) {
  const std::string id = JobId(given);
  if (ParseRequestId(id)) return ExplainRequest(session, api, id);
  if (id.starts_with("replica-")) return ExplainReplica(session, api, id);
  if (!ParseJobId(id)) return ExplainName(session, api, id);
  ASSIGN_OR_RETURN(Answer<JobExplanation> answer, api.ExplainJob(id));
  return session.json ? std::move(answer.body) : JobText(answer.view);
}

}  // namespace

void AddExplain(CLI::App& app, Session& session) {
  CLI::App* command =
      AddCommand(app, "explain", "Tell why a job waits, or why a request went where it went",
                 "  allot explain job-17                 (or 17)\n"
                 "  allot explain req-00000000000000f3   (X-Allot-Request-Id of an answer)\n"
                 "  allot explain chat                   (a deployment)\n"
                 "  allot explain replica-3\n"
                 "  allot explain gpu                    (a node, as `allot doctor gpu`)");
  auto id = std::make_shared<std::string>();
  AddName(command, "ID", *id, "Job, request, deployment, replica or node");
  AddJson(command, session);
  AddWatch(command, session);
  OnRun(command, session, [&session, id]() -> StatusOr<int> {
    ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, session.Connect());
    return session.Show([&] { return Explain(session, *api, *id); });
  });
}

}  // namespace allot::client
