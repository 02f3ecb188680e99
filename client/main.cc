// The `allot` command: parse, run one action, turn its status into an exit code.
#include <algorithm>
#include <exception>

#include "client/commands/commands.h"

namespace allot::client {
namespace {

constexpr char kExamples[] =
    "Start here:\n"
    "  allot local up                                  a whole cluster on this machine\n"
    "  allot submit --follow -- python3 train.py       run something on it\n"
    "  allot deploy deployment.yaml --wait             serve a model\n"
    "  allot top --watch                               watch it\n"
    "Address: --server, else ALLOT_SERVER, else the local cluster of this folder (.allotrope),\n"
    "else http://127.0.0.1:7401. Token: --token-file, else ALLOT_TOKEN.\n"
    "Exit codes: 0 ok, 1 failed, 2 usage or bad input, 3 denied, 4 not found, 5 unavailable,\n"
    "6 timed out, 7 unwell (`doctor`); `wait` and `submit --wait` return the job's code (124 timed "
    "out, 130\n"
    "cancelled, 128 + N for signal N).";

void AddAll(CLI::App& app, Session& session) {
  app.require_subcommand(1);
  app.fallthrough();
  app.footer(kExamples);
  app.add_option("--server", session.server, "The scheduler's API, as http://host:port");
  app.add_option("--token-file", session.token_file, "File that holds a bearer token");
  AddSubmit(app, session);
  AddJobs(app, session);
  AddLogs(app, session);
  AddExplain(app, session);
  AddDeployments(app, session);
  AddNodes(app, session);
  AddPower(app, session);
  AddTop(app, session);
  AddPolicy(app, session);
  AddKeys(app, session);
  AddLocal(app, session);
  AddLoad(app, session);
  AddCatalogue(app, session);
  AddTools(app, session);
}

int Run(int argc, char** argv) {
  Session session;
  CLI::App app("Allotrope: one workload, many chips. Trains and serves on mixed fleets.", "allot");
  AddAll(app, session);
  // All that follows "--" is the user's own command line and never ours to parse.
  char** const split = std::find_if(argv, argv + argc,
                                    [](const char* arg) { return std::string_view(arg) == "--"; });
  if (split != argv + argc) {
    session.has_trailing = true;
    session.trailing.assign(split + 1, argv + argc);
  }
  try {
    app.parse(static_cast<int>(split - argv), argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kOk : kUsage;
  }
  const bool takes_command = app.got_subcommand("submit") || app.got_subcommand("simulate");
  if (session.has_trailing && !takes_command) {
    Say("allot: only `allot submit` and `allot simulate` take a command after \"--\"");
    return kUsage;
  }
  if (!session.action) return kUsage;
  const StatusOr<int> result = session.action();
  if (result.ok()) return *result;
  Say(Complaint(result.status()));
  return ExitCodeOf(result.status());
}

}  // namespace
}  // namespace allot::client

int main(int argc, char** argv) {
  try {
    return allot::client::Run(argc, argv);
  } catch (const std::exception& error) {  // Out of memory, or a library that throws past us.
    allot::client::Say(std::string("allot: internal error: ") + error.what());
    return allot::client::kFailed;
  }
}
