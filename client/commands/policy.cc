#include "client/commands/commands.h"
#include "client/policy_file.h"
#include "client/text.h"

namespace allot::client {
namespace {

// "cluster 20kW, each rack 8kW, rack r1 4kW", or "no caps".
std::string Caps(const PolicyView& p) {
  std::string caps;
  const auto add = [&caps](const std::string& what, std::optional<double> watts) {
    if (watts) caps += (caps.empty() ? "" : ", ") + what + " " + Power(watts);
  };
  add("cluster", p.cluster_watts);
  add("each rack", p.rack_watts);
  add("each node", p.node_watts);
  for (const auto& [name, watts] : p.racks_watts) add("rack " + name, watts);
  for (const auto& [name, watts] : p.nodes_watts) add("node " + name, watts);
  return caps.empty() ? "no caps" : caps;
}

std::string PolicyPage(const PolicyView& p) {
  return fmt::format(
      "policy     {}\nabout      {}\nqueue      {}\nplacement  {}\nrouting    {}\n"
      "power      {}\n\n`allot policy show --yaml` prints the file.\n",
      p.name, p.description, p.queue, p.placement, p.routing, Caps(p));
}

}  // namespace

void AddPolicy(CLI::App& app, Session& session) {
  CLI::App* policy =
      AddCommand(app, "policy", "Check, apply and show policies",
                 "  allot policy check my-policy.yaml && allot policy apply my-policy.yaml\n"
                 "Where FILE is no file it may name a ready-made policy: cheapest-within-slo, …");
  policy->require_subcommand(1);
  auto file = std::make_shared<std::string>();

  CLI::App* check = AddCommand(*policy, "check", "Check a policy file; needs no scheduler",
                               "  allot policy check my-policy.yaml\n"
                               "Errors read FILE:LINE:COLUMN: what; exit code 2.");
  check->add_option("FILE", *file, "Policy as YAML")->required();
  OnRun(check, session, [file]() -> StatusOr<int> {
    ASSIGN_OR_RETURN(const PolicyText text, FindPolicy(*file));
    ASSIGN_OR_RETURN(const Policy checked, CheckPolicy(text));
    Print(fmt::format("{}: policy {} is fine (queue {}, placement {}, routing {})", text.place,
                      checked.name, checked.queue.algorithm, checked.placement.algorithm,
                      checked.routing.algorithm));
    if (const auto models = ModelsWithoutPrice(checked); !models.empty())
      Print(
          fmt::format("note: no row of prices.devices matches {} known models ({}{}); a GPU of "
                      "them costs other_gpu_usd_per_hour, an ASIC other_asic_usd_per_hour",
                      models.size(), models.front(), models.size() > 1 ? ", …" : ""));
    return 0;
  });

  CLI::App* apply = AddCommand(*policy, "apply", "Check a policy and make the scheduler use it",
                               "  allot policy apply my-policy.yaml\n"
                               "Without a restart; on an error the running policy stays.");
  apply->add_option("FILE", *file, "Policy as YAML, or a ready-made name")->required();
  AddJson(apply, session);
  OnRun(apply, session, [&session, file]() -> StatusOr<int> {
    ASSIGN_OR_RETURN(const PolicyText text, FindPolicy(*file));
    ASSIGN_OR_RETURN(const Policy checked, CheckPolicy(text));
    ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, session.Connect());
    ASSIGN_OR_RETURN(const std::string body, api->ApplyPolicy(text.yaml));
    Print(session.json ? body : fmt::format("policy {} is in force", checked.name));
    return 0;
  });

  CLI::App* show = AddCommand(*policy, "show", "Show the policy in force",
                              "  allot policy show --yaml > policy.yaml");
  auto yaml = std::make_shared<bool>(false);
  show->add_flag("--yaml", *yaml, "The file itself");
  AddJson(show, session);
  OnRun(show, session, [&session, yaml]() -> StatusOr<int> {
    ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, session.Connect());
    ASSIGN_OR_RETURN(const Answer<PolicyView> answer, api->Policy());
    if (*yaml && !session.json) {
      PrintRaw(answer.view.yaml);
    } else {
      Print(session.json ? answer.body : PolicyPage(answer.view));
    }
    return 0;
  });
}

}  // namespace allot::client
