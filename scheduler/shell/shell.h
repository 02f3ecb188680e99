// The scheduler around its core: sockets, HTTP, journal, metrics, all on one loop.
//
// Start opens everything and fails with what to do (another scheduler, port in use, unreadable
// key); then the caller runs the loop. Destroying a shell without Stop is a crash: what was
// acknowledged is on disk, the rest is lost.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/audit/audit.h"
#include "common/auth/tokens.h"
#include "common/http/tls_identity.h"
#include "common/transport/keys.h"
#include "scheduler/shell/api/services.h"
#include "scheduler/shell/head_keys.h"

namespace allot::scheduler {

class Shell {
 public:
  struct Options {
    std::string name = "allotrope";  // of the cluster, shown in listings
    Pipeline::Options pipeline;
    std::string listen = "tcp://127.0.0.1:7400";
    std::string http_listen = "127.0.0.1:7401";
    std::vector<std::string> advertise;  // tcp://host:port, told to others; empty: as bound
    std::string http_advertise;          // host:port of the API; empty: as bound
    std::string own_host;                // in place of a wildcard, where others are told of us
    HeadKeys keys;
    std::string allow_file;
    std::string tokens_file;            // may be empty only with `open`
    bool local = false;                 // on loopback, for loopback's names only
    bool open = false;                  // no tokens needed; only with `local`
    std::optional<http::TlsFiles> tls;  // of the API; none: plain HTTP
    bool plain_tokens = false;          // also from other machines
    size_t connections_max = limits::kHttpConnections.value;  // of the API
    size_t connections_per_address_max = limits::kHttpConnectionsOfAddress.value;
    Bytes answers_bytes_max =
        limits::kHttpAnswersBytes.value;  // that clients of the API have not taken
    ApiLimits limits;
    std::optional<audit::Log::Options> audit;  // none: no audit log is kept
  };

  static StatusOr<std::unique_ptr<Shell>> Start(boost::asio::io_context& loop, Options options);
  ~Shell();

  // Takes no more requests, waits until all that was decided is durable.
  Status Stop();

  std::string endpoint() const;      // tcp://host:port as bound
  std::string http_address() const;  // host:port as bound
  Pipeline& pipeline();

 private:
  struct Impl;
  explicit Shell(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace allot::scheduler
