// allot-agent: one per node. Finds devices, runs tasks and model servers, reports.
//
// SIGINT and SIGTERM end the agent and nothing else: tasks and model servers run on under their
// supervisors, and the next agent on the same state folder takes them over.
#include <csignal>
#include <cstdio>
#include <functional>
#include <iostream>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include "agent/devices/describe.h"
#include "agent/devices/inventory.h"
#include "agent/devices/registry.h"
#include "agent/shell/agent.h"
#include "agent/shell/options.h"
#include "common/asio/memory_keeper.h"
#include "common/base/file_limit.h"
#include "common/base/logging.h"
#include "common/base/printable.h"
#include "common/base/version.h"
#include "common/enroll/serve.h"
#include "common/program/arguments.h"
#include "common/program/program.h"

namespace allot::agent {
namespace {

constexpr char kProgram[] = "allot-agent";

int Complain(const Status& status) { return program::Complain(kProgram, status); }

struct DiscoverOptions {
  bool wanted = false, as_json = false, tools = false;
  std::string root;
};

int Discover(const std::string& config_path, const DiscoverOptions& wish) {
  config::AgentDevices devices;
  Catalogue catalogue = Catalogue::BuiltIn();
  if (!config_path.empty()) {
    StatusOr<config::Agent> config = LoadConfig(config_path);
    if (!config.ok()) return Complain(config.status());
    StatusOr<AgentOptions> options = ToAgentOptions(*config);
    if (!options.ok()) return Complain(options.status());
    devices = options->devices;
    catalogue = std::move(options->catalogue);
  }
  std::shared_ptr<const Host> host = Host::Live();
  if (!wish.root.empty()) {
    auto recorded = Host::Recorded(wish.root, {.tools = wish.tools});
    if (!recorded.ok()) return Complain(recorded.status());
    host = *std::move(recorded);
  }
  auto vendors = MakeVendors(devices, catalogue, host);
  if (!vendors.ok()) return Complain(vendors.status());
  // As if the host let us keep everything apart that can be: looking would need a cgroup.
  Inventory inventory(*std::move(vendors), host,
                      {.composition = MakeComposition(devices, catalogue, HostIsolation{})});
  const Discovery discovery = inventory.DiscoverAll();
  const CpuMachine machine = ReadCpuMachine(*host);
  // What drivers and tools say of themselves is not ours. JSON stays the same JSON.
  std::cout << Printable(wish.as_json ? DiscoveryJson(discovery, machine)
                                      : DiscoveryText(discovery, machine))
            << std::flush;
  return 0;
}

int Check(const std::string& config_path) {
  StatusOr<config::Agent> config = LoadConfig(config_path);
  if (!config.ok()) return Complain(config.status());
  const StatusOr<AgentOptions> options = ToAgentOptions(*config);
  if (!options.ok()) return Complain(options.status());
  const auto vendors = MakeVendors(options->devices, options->catalogue, Host::Live());
  if (!vendors.ok()) return Complain(vendors.status());
  std::cout << config_path << " is fine\n";
  return 0;
}

int Run(const std::string& config_path) {
  StatusOr<config::Agent> config = LoadConfig(config_path);
  if (!config.ok()) return Complain(config.status());
  program::StartLogging(kProgram, config->logging());
  StatusOr<AgentOptions> options = ToAgentOptions(*config);
  if (!options.ok()) return Complain(options.status());

  RaiseFileLimit();
  boost::asio::io_context loop(1);
  const MemoryKeeper memory(loop);
  StatusOr<std::unique_ptr<Agent>> agent = Agent::Start(loop, *std::move(options));
  if (!agent.ok()) return Complain(agent.status());
  boost::asio::signal_set signals(loop, SIGINT, SIGTERM);
  signals.async_wait([&](const boost::system::error_code& error, int signal) {
    if (error) return;
    SPDLOG_INFO("stopping signal={}; tasks and model servers run on", signal);
    loop.stop();
  });
  // As a service manager's "reload": an operator has mended what health rules had quarantined.
  boost::asio::signal_set reload(loop, SIGHUP);
  std::function<void()> await_reload = [&] {
    reload.async_wait([&](const boost::system::error_code& error, int) {
      if (error) return;
      SPDLOG_INFO("SIGHUP: quarantined devices are judged again");
      (*agent)->ClearHealth();
      await_reload();
    });
  };
  await_reload();
  MemoryKeeper::GiveBack();  // What start-up needed once.
  loop.run();
  return 0;
}

}  // namespace
}  // namespace allot::agent

int main(int argc, char** argv) {
  // A reader of our output or a peer that goes away is an error where it happens.
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app(
      "Finds this node's devices, runs its tasks and model servers, and reports to the scheduler.",
      "allot-agent");
  app.set_version_flag("--version", std::string("allot-agent ") + allot::kVersion);
  std::string config;
  bool check = false, join = false;
  allot::agent::DiscoverOptions discover;
  app.add_option("--config", config, "the agent's config file (YAML)");
  app.add_flag("--check", check, "check the config file and what it names, then exit");
  CLI::Option* discovering =
      app.add_flag("--discover", discover.wanted,
                   "print what this machine is and where each fact comes from; needs no config "
                   "file");
  app.add_flag("--json", discover.as_json, "with --discover: JSON")->needs(discovering);
  CLI::Option* root =
      app.add_option("--root", discover.root,
                     "with --discover: a recorded machine (a folder with sys and proc in it) in "
                     "place of this one")
          ->needs(discovering);
  app.add_flag("--tools", discover.tools,
               "with --root: vendors' tools say what the recorded machine's cli folder holds")
      ->needs(root);
  app.add_flag(allot::enroll::kFlag, join, allot::enroll::kHelp);
  if (const auto ends = allot::program::ParseArguments(app, argc, argv)) return *ends;
  if (join) return allot::enroll::Serve(stdin, stdout);
  if (discover.wanted) return allot::agent::Discover(config, discover);
  if (config.empty()) {
    std::cerr << "allot-agent: --config FILE is required; see --help\n";
    return 2;
  }
  return check ? allot::agent::Check(config) : allot::agent::Run(config);
}
