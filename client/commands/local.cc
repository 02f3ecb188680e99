#include "client/commands/commands.h"
#include "client/interrupts.h"
#include "client/local/cluster.h"
#include "client/local/processes.h"
#include "client/local/token.h"
#include "client/table.h"
#include "common/json/json.h"

namespace allot::client {
namespace {

struct LocalFlags {
  std::string dir = kLocalFolder, policy;
  std::vector<std::string> agents;
  bool config_only = false;
};
using LocalFlagsPtr = std::shared_ptr<LocalFlags>;

std::string DirFlag(const LocalFlags& flags) {
  return flags.dir == kLocalFolder ? "" : " --dir " + flags.dir;
}

json::object AddressesJson(const local::Addresses& a, const std::string& folder) {
  return {{"api", "http://" + a.http},
          {"gateway", a.gateway_http.empty() ? "" : "http://" + a.gateway_http},
          {"endpoint", a.endpoint},
          {"token_file", local::TokenFile(folder)},
          {"scheduler_pid", static_cast<int64_t>(a.pid)}};
}

std::string AddressLines(const local::Addresses& a, const LocalFlags& flags) {
  std::string out = fmt::format("API          http://{}\n", a.http);
  out += fmt::format("metrics      http://{}/metrics\n", a.http);
  if (!a.gateway_http.empty())
    out += fmt::format("models       http://{}/v1  (OpenAI-compatible)\n", a.gateway_http);
  if (flags.dir != kLocalFolder)
    out += fmt::format("use it       eval \"$(allot local env{})\"\n", DirFlag(flags));
  out += fmt::format("token        {}  (as Authorization: Bearer, or an API key)\n",
                     local::TokenFile(local::Layout(flags.dir).folder()));
  out += fmt::format("tear down    allot local down{}\n", DirFlag(flags));
  return out;
}

StatusOr<int> Up(const Session& session, const LocalFlags& flags) {
  local::UpOptions options;
  options.policy = flags.policy;
  for (const std::string& text : flags.agents) {
    ASSIGN_OR_RETURN(local::AgentSpec agent, local::ParseAgentSpec(text));
    options.agents.push_back(std::move(agent));
  }
  local::Cluster cluster(flags.dir, Say);
  const std::string& folder = cluster.layout().folder();
  if (flags.config_only) {
    RETURN_IF_ERROR(cluster.Configure(options));
    Print(
        fmt::format("configs are in {0}; start allot-scheduler --config {0}/scheduler.yaml and an "
                    "allot-agent --config for each of {0}/agents/*.yaml",
                    folder));
    return 0;
  }
  // Half a cluster is of no use, and its programs are in sessions of their own: a Ctrl-C reaches us
  // only.
  NoteInterrupts();
  options.interrupted = [] { return InterruptedBy() != 0; };
  const StatusOr<local::Addresses> up = cluster.Up(options);
  if (absl::IsCancelled(up.status())) return Interrupted("what was started is stopped again");
  RETURN_IF_ERROR(up.status());
  const local::Addresses& addresses = *up;
  if (session.json) {
    json::object out = AddressesJson(addresses, folder);
    out["version"] = 1;
    out["folder"] = folder;
    Print(json::serialize(out));
    return 0;
  }
  std::string note;
  if (const auto agents = local::Layout(flags.dir).LoadAgents(); agents.ok()) {
    const uint32_t processors = local::ThisMachine().processors;
    if (!local::SharesProcessors(*agents, processors))
      note = fmt::format(
          "note: every node offers all {} processors of this machine, too few to share out among "
          "the emulated devices\n",
          processors);
  }
  Print(fmt::format("a cluster is up in {}\n{}{}", folder, AddressLines(addresses, flags), note));
  return 0;
}

StatusOr<int> ShowStatus(const Session& session, const LocalFlags& flags) {
  const local::Layout layout(flags.dir);
  RETURN_IF_ERROR(layout.LoadAgents().status());
  const std::vector<local::ProcessInfo> processes = local::FindProcesses(layout.folder());
  const auto addresses = local::ReadAddresses(layout.SchedulerState());
  const bool up = addresses.ok() && local::IsRunning(addresses->pid);
  if (session.json) {
    json::array list;
    for (const local::ProcessInfo& p : processes)
      list.push_back(json::object{{"pid", static_cast<int64_t>(p.pid)}, {"program", p.program}});
    json::object out = up ? AddressesJson(*addresses, layout.folder()) : json::object{};
    out["version"] = 1;
    out["folder"] = layout.folder();
    out["up"] = up;
    out["processes"] = std::move(list);
    Print(json::serialize(out));
    return up ? kOk : kUnavailable;
  }
  Table table({{"PID", Table::Align::kRight}, {"PROGRAM"}});
  for (const local::ProcessInfo& p : processes) table.Add({std::to_string(p.pid), p.program});
  std::string out =
      up ? fmt::format("up in {}\n{}", layout.folder(), AddressLines(*addresses, flags))
         : fmt::format("{} has no running scheduler; `allot local up{}` starts one\n",
                       layout.folder(), DirFlag(flags));
  if (!table.empty()) out += "\n" + table.ToString();
  Print(out);
  return up ? kOk : kUnavailable;
}

}  // namespace

void AddLocal(CLI::App& app, Session& session) {
  CLI::App* local = AddCommand(app, "local", "A whole cluster on this machine, on loopback",
                               "  allot local up\n  allot nodes\n  allot local down");
  local->require_subcommand(1);
  auto flags = std::make_shared<LocalFlags>();

  CLI::App* up = AddCommand(
      *local, "up", "Start a scheduler with a gateway, and agents",
      "  allot local up\n"
      "  allot local up --agents host --agents gpu=nvidia/h100-sxm-80g:2 --policy balanced\n"
      "Keys, configs, state and logs are in --dir; ports are chosen free. SPEC is `host` (the\n"
      "machine's processors and GPUs) or NAME=MODEL:COUNT[+MODEL:COUNT…] of `allot catalogue`,\n"
      "emulated. Default: host, two emulated GPUs, two emulated inference ASICs.");
  up->add_option("--dir", flags->dir, "Its folder; default ./.allotrope");
  up->add_option("--agents", flags->agents, "SPEC of one agent; repeatable")
      ->allow_extra_args(true);
  up->add_option("--policy", flags->policy, "File or ready-made name; default cheapest-within-slo");
  up->add_flag("--config-only", flags->config_only,
               "Write keys and configs (default ports), start nothing");
  AddJson(up, session);
  OnRun(up, session, [&session, flags] { return Up(session, *flags); });

  CLI::App* status = AddCommand(*local, "status", "What is up, where, and its processes",
                                "  allot local status\nExit code 5 when the scheduler is down.");
  status->add_option("--dir", flags->dir, "Its folder; default ./.allotrope");
  AddJson(status, session);
  OnRun(status, session, [&session, flags] { return ShowStatus(session, *flags); });

  CLI::App* env = AddCommand(*local, "env", "Print its addresses and token as a shell takes them",
                             "  eval \"$(allot local env)\"\n"
                             "  curl -H \"Authorization: Bearer $ALLOT_TOKEN\" "
                             "$ALLOT_GATEWAY/v1/models\n"
                             "Exit code 5 when the scheduler is down.");
  env->add_option("--dir", flags->dir, "Its folder; default ./.allotrope");
  OnRun(env, session, [flags]() -> StatusOr<int> {
    const local::Layout layout(flags->dir);
    const auto addresses = local::ReadAddresses(layout.SchedulerState());
    if (!addresses.ok() || !local::IsRunning(addresses->pid))
      return Unavailable("{} has no running scheduler; `allot local up{}` starts one",
                         layout.folder(), DirFlag(*flags));
    std::string text = fmt::format("export ALLOT_SERVER=http://{}\n", addresses->http);
    if (!addresses->gateway_http.empty())
      text += fmt::format("export ALLOT_GATEWAY=http://{}\n", addresses->gateway_http);
    ASSIGN_OR_RETURN(const std::string token, local::TokenFor(layout.folder(), addresses->http));
    if (!token.empty()) text += fmt::format("export ALLOT_TOKEN={}\n", token);
    Print(text);
    return 0;
  });

  CLI::App* token = AddCommand(*local, "token", "Print the token of its owner",
                               "  curl -H \"Authorization: Bearer $(allot local token)\" …\n"
                               "It stands in keys/owner.token of its folder, which only its owner "
                               "can read.");
  token->add_option("--dir", flags->dir, "Its folder; default ./.allotrope");
  OnRun(token, session, [flags]() -> StatusOr<int> {
    ASSIGN_OR_RETURN(const std::string text, local::Cluster(flags->dir, Say).Token());
    Print(text);
    return 0;
  });

  CLI::App* down = AddCommand(*local, "down", "Stop every process of it, tasks and models too",
                              "  allot local down\nFiles stay; the next `up` goes on with them.");
  down->add_option("--dir", flags->dir, "Its folder; default ./.allotrope");
  OnRun(down, session, [flags]() -> StatusOr<int> {
    local::Cluster cluster(flags->dir, Say);
    const int stopped = cluster.Down();
    Print(stopped == 0 ? "nothing was up in " + cluster.layout().folder()
                       : fmt::format("stopped {} processes", stopped));
    return 0;
  });
}

}  // namespace allot::client
