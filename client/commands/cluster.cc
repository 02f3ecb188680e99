#include "client/commands/commands.h"
#include "client/enroll/head.h"
#include "client/interrupts.h"
#include "common/json/json.h"

namespace allot::client {
namespace {

struct InitFlags {
  std::string dir;
  InitOptions init;
  bool no_unit = false;
};

StatusOr<int> Init(const Session& session, const InitFlags& flags) {
  NoteInterrupts();
  const StatusOr<InitResult> made = InitCluster(Places::Find(flags.dir), flags.init);
  if (absl::IsCancelled(made.status())) return Interrupted("nothing was made");
  RETURN_IF_ERROR(made.status());
  ASSIGN_OR_RETURN(const Started started, StartForGood(made->unit, !flags.no_unit));
  if (session.json) {
    json::array endpoints;
    for (const std::string& endpoint : made->endpoints) endpoints.emplace_back(endpoint);
    json::object out{{"version", 1},
                     {"config", made->config},
                     {"fresh", made->fresh},
                     {"endpoints", std::move(endpoints)},
                     {"api", made->api},
                     {"gateway", made->gateway},
                     {"public_key", made->public_key},
                     {"admin_token_file", made->admin_token_file},
                     {"client_file", made->client_file},
                     {"unit", started.unit},
                     {"start", started.line}};
    Print(json::serialize(out));
    return kOk;
  }
  std::string text = fmt::format(
      "{}\n"
      "nodes dial   {}\n"
      "API          {}\n",
      made->fresh ? "a cluster is configured in " + made->config
                  : "there was a cluster already: " + made->config,
      fmt::join(made->endpoints, ", "), made->api);
  if (!made->gateway.empty())
    text += fmt::format("models       {}/v1  (OpenAI-compatible)\n", made->gateway);
  text +=
      fmt::format("admin token  {}  (`allot` on this machine finds it)\n", made->admin_token_file);
  text += started.shown + "add a node   allot node add NAME\n";
  Print(text);
  return kOk;
}

}  // namespace

void AddCluster(CLI::App& app, Session& session) {
  CLI::App* cluster = AddCommand(app, "cluster", "A cluster over several machines: docs/deploy.md",
                                 "  allot cluster init\n  allot node add gpu-1");
  cluster->require_subcommand(1);
  auto flags = std::make_shared<InitFlags>();
  CLI::App* init = AddCommand(
      *cluster, "init", "Make this machine the head: keys, config, an admin token, the unit",
      "  allot cluster init\n"
      "  allot cluster init --listen 10.0.0.5 --advertise head.lab.example\n"
      "Writes /etc/allotrope/scheduler.yaml and what it names below /var/lib/allotrope, and "
      "starts\n"
      "allot-scheduler.service where systemd runs. Again is fine: what is there stays.");
  init->add_option("--dir", flags->dir,
                   "All files in this folder; default ALLOT_DIR, else /etc/allotrope and "
                   "/var/lib/allotrope");
  init->add_option("--listen", flags->init.listen,
                   "HOST or HOST:PORT to bind; default everywhere, 7400 (and 7401, 7410, 7411)");
  init->add_option("--advertise", flags->init.advertise,
                   "Name or address of this machine that nodes dial; default the one towards the "
                   "world");
  init->add_flag("--no-unit", flags->no_unit, "Start nothing, say how");
  AddJson(init, session);
  OnRun(init, session, [&session, flags] { return Init(session, *flags); });
}

}  // namespace allot::client
