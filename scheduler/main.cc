// allot-scheduler: the control plane, with a gateway inside. Wiring only.
#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdio>
#include <filesystem>
#include <future>
#include <thread>

#include "common/asio/memory_keeper.h"
#include "common/audit/settings.h"
#include "common/base/address.h"
#include "common/base/file_limit.h"
#include "common/base/logging.h"
#include "common/base/loopback.h"
#include "common/base/thread.h"
#include "common/base/version.h"
#include "common/config/convert.h"
#include "common/program/addresses.h"
#include "common/program/arguments.h"
#include "common/program/program.h"
#include "gateway/gateway.h"
#include "gateway/settings.h"
#include "scheduler/shell/settings.h"
#include "scheduler/shell/shell.h"
#include "scheduler/shell/spill_file.h"
#include "scheduler/store_commands.h"

namespace allot::scheduler {
namespace {

constexpr char kProgram[] = "allot-scheduler";
constexpr char kHelp[] =
    "Assigns training jobs and model replicas to the devices of its agents, and answers the API.\n"
    "With a gateway section in its config one process is a whole head node.";
constexpr char kFooter[] =
    "A config file:\n"
    "  state_dir: state                   # journal, snapshots; `allot backup` copies it\n"
    "  listen: tcp://0.0.0.0:7400         # agents and gateways dial this\n"
    "  http_listen: 0.0.0.0:7401          # the API, for people and `allot`\n"
    "  key_file: scheduler.key            # allot keys new\n"
    "  allow_file: allow.yaml             # allot keys enroll\n"
    "  tokens_file: tokens.yaml           # allot keys token\n"
    "  gateway: {http_listen: 0.0.0.0:7411, listen: tcp://0.0.0.0:7410,\n"
    "            advertise: tcp://head.example:7410}\n"
    "Exit codes: 0 stopped by SIGINT or SIGTERM, 1 failed, 2 usage or bad config, 3 denied (a key\n"
    "or folder), 4 a file is missing, 5 an address or the state folder is in use, or the disk is\n"
    "full. See docs/operations.md.";

constexpr char kGatewayName[] = "gateway";

// A gateway on a loop and a thread of its own, dialling the scheduler like any other.
class EmbeddedGateway {
 public:
  static StatusOr<std::unique_ptr<EmbeddedGateway>> Start(gateway::Options options) {
    std::unique_ptr<EmbeddedGateway> embedded(new EmbeddedGateway);
    std::promise<Status> started;
    std::future<Status> result = started.get_future();
    embedded->thread_ = StartThread([&embedded = *embedded, options = std::move(options),
                                     started = std::move(started)]() mutable {
      StatusOr<std::unique_ptr<gateway::Gateway>> gateway =
          gateway::Gateway::Start(embedded.loop_, std::move(options));
      if (gateway.ok()) {
        embedded.http_ = (*gateway)->http_address();
        embedded.endpoint_ = (*gateway)->endpoint();
      }
      started.set_value(gateway.status());
      if (gateway.ok()) embedded.loop_.run();
    });
    RETURN_IF_ERROR(result.get());
    return embedded;
  }
  ~EmbeddedGateway() {
    loop_.stop();
    if (thread_.joinable()) thread_.join();
  }
  const std::string& http() const { return http_; }
  const std::string& endpoint() const { return endpoint_; }

 private:
  EmbeddedGateway() = default;
  boost::asio::io_context loop_{1};
  std::string http_, endpoint_;
  std::thread thread_;
};

StatusOr<gateway::Options> GatewayOptions(const config::Scheduler& config) {
  const config::Gateway& own = config.gateway();
  gateway::Options options;
  options.name = kGatewayName;
  config::TakeText(own.listen(), &options.listen);
  // Whoever lets agents in from other machines wants them to reach the gateway too.
  if (const auto listen = ParseAddress(config.listen());
      own.listen().empty() && listen && !IsLoopbackHost(listen->host))
    options.listen = "tcp://" + JoinHostPort(listen->host, "7410");
  config::TakeText(own.http_listen(), &options.http_listen);
  options.advertise = own.advertise().empty() ? "" : WithScheme(own.advertise());
  options.http_advertise = own.http_advertise();
  if (Status limits = gateway::TakeLimits(own, &options); !limits.ok())
    return InvalidArgument("gateway.{}", MessageOf(limits));
  RETURN_IF_ERROR(gateway::TakeOrigins(own, &options.cors_origins));
  options.allow_file = config.allow_file();
  // A thread of its own, so a file of its own.
  const std::string audit_file = config.state_dir() + "/audit.gateway.jsonl";
  config::Audit audit = own.has_audit() ? own.audit() : config.audit();
  if (!own.has_audit()) audit.set_file(audit_file);
  ASSIGN_OR_RETURN(options.audit, audit::ToOptions(audit, audit_file));
  options.tokens_file = own.tokens_file().empty() ? config.tokens_file() : own.tokens_file();
  options.local = config.local();
  options.open = config.auth() == "none";
  if (config.has_tls())
    options.tls =
        http::TlsFiles{config.tls().certificate(), config.tls().key(), config.tls().client_ca()};
  options.plain_tokens = config.plain_tokens();
  gateway::TakeTls(own, &options);
  return options;
}

Status Run(const config::Scheduler& config) {
  std::error_code made;
  std::filesystem::create_directories(config.state_dir(), made);
  if (made) {
    return PermissionDenied("state_dir {}: {}; give the scheduler's user this folder",
                            config.state_dir(), made.message());
  }
  ASSIGN_OR_RETURN(Shell::Options options, ToShellOptions(config));
  std::optional<gateway::Options> gateway_options;
  if (config.has_gateway()) {
    ASSIGN_OR_RETURN(gateway_options, GatewayOptions(config));
    ASSIGN_OR_RETURN(gateway_options->keys, GatewayKeys(config, kGatewayName));
    gateway_options->renewed_keys_file = GatewayRenewedKeysFile(config);
  }
  RaiseFileLimit();
  ASSIGN_OR_RETURN(const std::unique_ptr<SpillFile> aside, SpillFile::Open(config.state_dir()));
  Variables::KeepIn(aside.get());
  const std::string public_key = options.keys.current().public_key, own_host = options.own_host;
  const std::vector<std::string> advertise = options.advertise;

  boost::asio::io_context loop(1);
  Status lost;
  options.pipeline.lost = [&](const Status& why) {
    lost = why;
    loop.stop();
  };
  const MemoryKeeper memory(loop);
  ASSIGN_OR_RETURN(std::unique_ptr<Shell> shell, Shell::Start(loop, std::move(options)));
  std::vector<program::AddressesFile::Entry> addresses = {
      {"http", shell->http_address()}, {"endpoint", shell->endpoint()}, {"public_key", public_key}};
  if (!own_host.empty())
    spdlog::info(
        "others are told of endpoint={} http={}",
        Advertised(shell->endpoint(), advertise.empty() ? "" : advertise.front(), own_host),
        Advertised(shell->http_address(), config.http_advertise(), own_host));
  std::unique_ptr<EmbeddedGateway> gateway;
  if (gateway_options) {
    gateway_options->own_host = own_host;
    gateway_options->schedulers = {DialAddress(shell->endpoint())};
    gateway_options->scheduler_public_key = public_key;
    ASSIGN_OR_RETURN(gateway, EmbeddedGateway::Start(*std::move(gateway_options)));
    addresses.push_back({"gateway_http", gateway->http()});
    addresses.push_back({"gateway_endpoint", gateway->endpoint()});
  }
  boost::asio::signal_set signals(loop, SIGINT, SIGTERM);
  signals.async_wait([&loop](const boost::system::error_code& error, int signal) {
    if (error) return;
    spdlog::info("stopping signal={}", signal);
    loop.stop();
  });
  ASSIGN_OR_RETURN(const std::unique_ptr<program::AddressesFile> written,
                   program::AddressesFile::Write(config.state_dir(), addresses));
  spdlog::info("ready http={} endpoint={}", shell->http_address(), shell->endpoint());
  loop.run();
  gateway.reset();
  if (!lost.ok()) return lost;
  return shell->Stop();
}

int Main(int argc, char** argv) {
  if (const std::optional<int> done = RunStoreCommand(argc, argv)) return *done;
  CLI::App app(kHelp, kProgram);
  app.footer(kFooter);
  std::string file;
  bool check = false;
  app.add_option("--config,-c", file, "the config file (YAML)")->required();
  app.add_flag("--check", check, "read the config and everything it names, then exit");
  app.set_version_flag("--version", std::string("allot-scheduler ") + kVersion);
  if (const auto ends = program::ParseArguments(app, argc, argv)) return *ends;
  const StatusOr<config::Scheduler> config = LoadConfig(file);
  if (!config.ok()) return program::Complain(kProgram, config.status());
  if (check) {
    const StatusOr<Shell::Options> options = ToShellOptions(*config);
    if (!options.ok()) return program::Complain(kProgram, options.status());
    std::printf("%s is good\n", file.c_str());
    return 0;
  }
  program::StartLogging(kProgram, config->logging());
  const Status status = Run(*config);
  return status.ok() ? 0 : program::Complain(kProgram, status);
}

}  // namespace
}  // namespace allot::scheduler

int main(int argc, char** argv) { return allot::scheduler::Main(argc, argv); }
