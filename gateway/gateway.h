// The request plane's shell: HTTP in, replicas out.
//
// Owns the HTTP server of model clients, the ROUTER socket that agents dial, the link to the
// scheduler and the router core. Everything happens on the thread that runs the given io_context;
// so do all calls, destruction included. With the scheduler gone it serves on, by the last route
// table; a restart begins empty (the router keeps soft state only).
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/audit/audit.h"
#include "common/base/limits.h"
#include "common/base/status.h"
#include "common/base/units.h"
#include "common/http/tls_identity.h"
#include "common/transport/keys.h"

namespace allot::gateway {

// A request's body is one frame of the link to its agent, which is encrypted and carries 64 MiB;
// so no more than this is taken from a client, whatever Options say (413). config.proto says so
// too.
inline constexpr int64_t kBodyBytesMax = 63 * kMiB;

struct Options {
  std::string name;                             // as enrolled for the key below
  std::string listen = "tcp://127.0.0.1:7410";  // for agents; port 0 picks one
  std::string advertise;  // told to agents; empty: the bound endpoint
  std::string http_listen = "127.0.0.1:7411";  // for model clients; port 0 picks one
  std::string http_advertise;                  // told to people and Prometheus; empty: as bound
  // In place of a wildcard, where others are told of us; empty: the address from which the
  // scheduler is reached, asked for with every hello.
  std::string own_host;
  std::vector<std::string> cors_origins;       // of web pages that may call (common/http/cors.h)
  int64_t body_bytes_max = limits::kGatewayBodyBytes.value;           // of a request
  int64_t answer_bytes_max = limits::kGatewayAnswerBytes.value;  // of one that is not streamed
  // Of all answers on their way, and of those that clients have not taken.
  int64_t answers_bytes_max = limits::kGatewayAnswersBytes.value;
  size_t connections_max = limits::kHttpConnections.value;
  size_t connections_per_address_max = limits::kHttpConnectionsOfAddress.value;
  size_t backlog_bytes_max = 8 << 20;          // written and not taken by a slow client
  transport::KeyPair keys;                     // towards agents and the scheduler
  std::string allow_file;                      // agents that may connect, beside the scheduler's
  std::vector<std::string> schedulers;         // tcp://host:port; at least one
  std::string scheduler_public_key;
  std::string tokens_file;
  bool local = false;  // on loopback, for loopback's names only
  bool open = false;   // no tokens needed; only with `local`
  std::optional<http::TlsFiles> tls;  // towards model clients; none: plain HTTP
  bool plain_tokens = false;          // also from other machines
  uint64_t seed = 0;   // of exploration; 0: random
  std::optional<audit::Log::Options> audit;  // none: no audit log is kept
  std::string renewed_keys_file;             // empty: keys cannot be renewed

  // How often to say hello, when to take a silent peer for gone; tests make them short.
  Duration hello_every = std::chrono::seconds(1);
  Duration agent_silence_max = std::chrono::seconds(3);
  Duration scheduler_silence_max = std::chrono::seconds(10);
  Duration answer_timeout = std::chrono::minutes(10);  // until its head, without a deadline
};

class Gateway {
 public:
  // Binds both addresses and dials the scheduler (in the background, for as long as it takes).
  // Errors: an address in use or not loopback with `local`, bad keys, unreadable tokens.
  static StatusOr<std::unique_ptr<Gateway>> Start(boost::asio::io_context& loop, Options options);
  ~Gateway();  // cuts every client and link off

  std::string http_address() const;  // host:port actually bound
  std::string endpoint() const;      // tcp://host:port actually bound
  std::string public_key() const;
  bool has_routes() const;  // a route table has arrived
  size_t open() const;      // requests without an answer, and tries of such that are under way

 private:
  class Impl;
  explicit Gateway(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace allot::gateway
