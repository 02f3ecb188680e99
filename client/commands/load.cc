#include "client/load/load.h"

#include <algorithm>

#include "client/commands/commands.h"
#include "client/gateways.h"
#include "client/load/report.h"
#include "client/local/files.h"

namespace allot::client {
namespace {

struct LoadFlags {
  load::Options options;
  std::vector<std::string> reports;
};

StatusOr<int> Compare(const std::vector<std::string>& files) {
  std::vector<load::Report> reports;
  for (const std::string& file : files) {
    ASSIGN_OR_RETURN(const std::string text, local::ReadFile(file));
    ASSIGN_OR_RETURN(load::Report report, load::FromJson(text, file));
    reports.push_back(std::move(report));
  }
  Print(load::ToTable(reports));
  return 0;
}

StatusOr<int> Load(const Session& session, const LoadFlags& flags) {
  if (!flags.reports.empty()) return Compare(flags.reports);
  load::Options options = flags.options;
  if (options.model.empty())
    return InvalidArgument("give --model, one of those in `allot deployments`");
  ASSIGN_OR_RETURN(const Endpoint endpoint, session.FindEndpoint());
  options.token = endpoint.token;
  options.security = endpoint.security;
  if (options.gateway.empty()) {  // The first of those the scheduler knows that answers.
    ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Connect(endpoint));
    ASSIGN_OR_RETURN(options.gateway, FindGateway(*api));
  }
  if (options.prompts.empty())
    options.prompts = {"It was", "The night", "She said that", "There is no", "When he came"};
  const auto progress = [&](int answered) {
    Say(fmt::format("{} of {} requests answered", answered, options.requests));
  };
  ASSIGN_OR_RETURN(const load::LoadRun run, load::Execute(options, progress));
  const load::Report report = load::Summarize(run);
  Print(session.json ? load::ToJson(report) : load::ToTable({report}));
  const auto failed = std::find_if(run.samples.begin(), run.samples.end(),
                                   [](const load::Sample& s) { return !s.error.empty(); });
  if (failed != run.samples.end())
    Say(fmt::format("allot: {} of {} requests were not answered well; one of them: {}",
                    report.requests - report.ok, report.requests, failed->error));
  return report.ok == report.requests ? kOk : kFailed;
}

}  // namespace

void AddLoad(CLI::App& app, Session& session) {
  CLI::App* command = AddCommand(
      app, "load", "Send requests to a model and tell what they took, cost and where they went",
      "  allot load --model chat --requests 300 --concurrency 8 --stream-ratio 0.5\n"
      "  allot load --model chat --json > a.json; allot load --report a.json --report b.json\n"
      "Cost: price of the leased devices x time held / requests a replica takes at once.\n"
      "Exit code 1 when a request was not answered well.");
  auto flags = std::make_shared<LoadFlags>();
  load::Options& o = flags->options;
  command->add_option("--gateway", o.gateway,
                      "http://host:port; default the first of the cluster's that answers");
  command->add_option("--model", o.model, "Name of the model");
  command->add_option("--requests", o.requests, "How many; default 100")
      ->check(CLI::Range(1, 10'000'000));
  command->add_option("--concurrency", o.concurrency, "Connections; default 4")
      ->check(CLI::Range(1, 1000));
  command->add_option("--stream-ratio", o.stream_ratio, "Share that streams; default 0.5")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--max-tokens", o.max_tokens, "Of each answer; default 32")
      ->check(CLI::Range(1, 1'000'000));
  command->add_option("--prompt", o.prompts, "Repeatable; taken in turn")->allow_extra_args(false);
  command->add_option("--report", flags->reports, "Send nothing; compare saved --json reports");
  AddJson(command, session);
  OnRun(command, session, [&session, flags] { return Load(session, *flags); });
}

}  // namespace allot::client
