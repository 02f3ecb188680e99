// allot-gateway: the request plane on its own. Wiring only.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/signal_set.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>

#include "common/base/file_limit.h"
#include "common/base/logging.h"
#include "gateway/gateway.h"
#include "gateway/settings.h"

namespace allot::gateway {
namespace {

constexpr char kHelp[] =
    "Takes requests of model clients over HTTP (OpenAI's shape) and routes each to a replica,\n"
    "by the policy and the route table of the scheduler it dials. Any number of gateways may\n"
    "stand beside one scheduler.";
constexpr char kFooter[] =
    "A config file:\n"
    "  name: gw1                          # as enrolled: allot keys enroll\n"
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

int ExitCodeOf(const Status& status) {
  switch (status.code()) {
    case StatusCode::kOk:
      return 0;
    case StatusCode::kInvalidArgument:
    case StatusCode::kOutOfRange:
      return 2;
    case StatusCode::kPermissionDenied:
    case StatusCode::kUnauthenticated:
      return 3;
    case StatusCode::kNotFound:
      return 4;
    case StatusCode::kAlreadyExists:
    case StatusCode::kFailedPrecondition:
    case StatusCode::kResourceExhausted:
    case StatusCode::kUnavailable:
      return 5;
    default:
      return 1;
  }
}

int Complain(const Status& status) {
  std::fprintf(stderr, "allot-gateway: %s\n", MessageOf(status).c_str());
  return ExitCodeOf(status);
}

// Where scripts find the chosen ports; see docs/api.md, "addresses.yaml".
Status WriteAddresses(const std::string& path, const Gateway& gateway) {
  const std::string draft = path + ".new";
  const std::string text =
      fmt::format("pid: {}\nhttp: \"{}\"\nendpoint: \"{}\"\npublic_key: \"{}\"\n", getpid(),
                  gateway.http_address(), gateway.endpoint(), gateway.public_key());
  FILE* file = std::fopen(draft.c_str(), "we");
  bool written = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (file != nullptr) written = std::fclose(file) == 0 && written;
  if (!written || std::rename(draft.c_str(), path.c_str()) != 0)
    return Unavailable("{}: {}", path, std::strerror(errno));
  return absl::OkStatus();
}

Status Run(const Options& options, const std::string& addresses) {
  boost::asio::io_context loop(1);
  StatusOr<std::unique_ptr<Gateway>> gateway = Gateway::Start(loop, options);
  RETURN_IF_ERROR(gateway.status());
  if (!addresses.empty()) RETURN_IF_ERROR(WriteAddresses(addresses, **gateway));
  boost::asio::signal_set signals(loop, SIGINT, SIGTERM);
  signals.async_wait([&](boost::system::error_code error, int signal) {
    if (error) return;
    SPDLOG_INFO("stopping signal={}", signal);
    loop.stop();
  });
  loop.run();
  if (!addresses.empty()) std::remove(addresses.c_str());
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  std::string file, addresses;
  bool check = false;
  CLI::App app(kHelp, "allot-gateway");
  app.footer(kFooter);
  app.add_option("-c,--config", file, "Config file (YAML)")->required();
  app.add_flag("--check", check, "Check the config file and what it names, then exit");
  app.add_option("--addresses", addresses, "Write the bound addresses to this file (YAML)");
  app.set_version_flag("--version", "allot-gateway " ALLOT_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const StatusOr<config::Gateway> config = LoadConfig(file);
  if (!config.ok()) return Complain(config.status());
  const StatusOr<Options> options = ToOptions(*config);
  if (!options.ok()) return Complain(options.status());
  if (check) {
    std::printf("%s: ok\n", file.c_str());
    return 0;
  }
  InitLogging("allot-gateway",
              config->logging().level().empty() ? "info" : config->logging().level(),
              config->logging().format() == "json" ? LogFormat::kJson : LogFormat::kText);
  RaiseFileLimit();
  const Status ended = Run(*options, addresses);
  return ended.ok() ? 0 : Complain(ended);
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
