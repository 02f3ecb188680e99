// allot-gateway: the request plane on its own. Wiring only.
#include <CLI/CLI.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdio>
#include <exception>

#include "common/asio/memory_keeper.h"
#include "common/base/file_limit.h"
#include "common/base/logging.h"
#include "common/base/version.h"
#include "common/enroll/serve.h"
#include "common/program/addresses.h"
#include "common/program/arguments.h"
#include "common/program/program.h"
#include "gateway/gateway.h"
#include "gateway/settings.h"

namespace allot::gateway {
namespace {

constexpr char kProgram[] = "allot-gateway";
constexpr char kHelp[] =
    "Takes requests of model clients over HTTP (OpenAI's shape) and routes each to a replica,\n"
    "by the policy and the route table of the scheduler it dials. Any number of gateways may\n"
    "stand beside one scheduler.";
constexpr char kFooter[] =
    "A config file:\n"
    "  name: gw1                          # as enrolled: allot keys enroll\n"
    "  state_dir: state                   # addresses.yaml, while it runs\n"
    "  scheduler: tcp://head:7400\n"
    "  scheduler_public_key: \"…\"\n"
    "  listen: tcp://0.0.0.0:7410         # agents dial this\n"
    "  advertise: tcp://gw1.example:7410\n"
    "  http_listen: 0.0.0.0:7411          # model clients\n"
    "  key_file: gw1.key\n"
    "  allow_file: allow.yaml\n"
    "  tokens_file: tokens.yaml\n"
    "Exit codes: 0 stopped by SIGINT or SIGTERM, 1 failed, 2 usage or bad config, 3 denied,\n"
    "4 a file is missing, 5 an address is in use.";

Status Run(const Options& options, const std::string& state_dir) {
  boost::asio::io_context loop(1);
  const MemoryKeeper memory(loop);
  StatusOr<std::unique_ptr<Gateway>> gateway = Gateway::Start(loop, options);
  RETURN_IF_ERROR(gateway.status());
  ASSIGN_OR_RETURN(
      const std::unique_ptr<program::AddressesFile> written,
      program::AddressesFile::Write(state_dir, {{"http", (*gateway)->http_address()},
                                                {"endpoint", (*gateway)->endpoint()},
                                                {"public_key", (*gateway)->public_key()}}));
  boost::asio::signal_set signals(loop, SIGINT, SIGTERM);
  signals.async_wait([&](boost::system::error_code error, int signal) {
    if (error) return;
    SPDLOG_INFO("stopping signal={}", signal);
    loop.stop();
  });
  loop.run();
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  std::string file;
  bool check = false, join = false;
  CLI::App app(kHelp, kProgram);
  app.footer(kFooter);
  app.add_option("-c,--config", file, "Config file (YAML)");
  app.add_flag("--check", check, "Check the config file and what it names, then exit");
  app.add_flag(enroll::kFlag, join, enroll::kHelp);
  app.set_version_flag("--version", std::string("allot-gateway ") + kVersion);
  if (const auto ends = program::ParseArguments(app, argc, argv)) return *ends;
  if (join) return enroll::Serve(stdin, stdout);
  if (file.empty()) {
    std::fprintf(stderr, "%s: --config FILE is required; see --help\n", kProgram);
    return 2;
  }
  const StatusOr<config::Gateway> config = LoadConfig(file);
  if (!config.ok()) return program::Complain(kProgram, config.status());
  const StatusOr<Options> options = ToOptions(*config);
  if (!options.ok()) return program::Complain(kProgram, options.status());
  if (check) {
    std::printf("%s: ok\n", file.c_str());
    return 0;
  }
  program::StartLogging(kProgram, config->logging());
  RaiseFileLimit();
  const Status ended = Run(*options, config->state_dir());
  return ended.ok() ? 0 : program::Complain(kProgram, ended);
}

}  // namespace
}  // namespace allot::gateway

int main(int argc, char** argv) {
  try {
    return allot::gateway::Main(argc, argv);
  } catch (const std::exception& error) {  // Out of memory, or a library that throws past us.
    std::fprintf(stderr, "allot-gateway: internal error: %s\n", error.what());
    return 1;
  }
}
