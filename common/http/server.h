// A small HTTP/1.1 server on an asio loop (Boost.Beast behind it): keep-alive, pipelining,
// size caps, idle timeouts, streaming answers that flush every chunk (TCP_NODELAY).
//
// All calls and callbacks happen on the loop's thread. Beast is only included in this folder.
//
// Done here, so that handlers need not: HEAD arrives as GET and loses its body on the way out;
// OPTIONS is answered with Allow; Expect: 100-continue; 400 for what is no request or is badly
// encoded, 408, 413, 417, 431; Content-Length, Transfer-Encoding, Connection and Date are always
// ours (such headers of a Response are dropped). Letters and digits of a path come as they are, not
// percent-encoded: a filter in front must see the path that is served (400). A head must arrive
// within head_timeout, every piece of a body within idle_timeout and all of it within body_timeout.
// header_bytes_max holds for the head, extensions of chunks and trailers together, which have 128
// fields at most. A request whose
// end is in doubt (RFC 9112, 6.3) is a 400 and the connection's last. A handler may take as long as
// it likes. Requests of one connection are handled one after the other.
//
// What is written and not yet taken by clients has an end, for each and for all together (ADR 23):
// whoever takes nothing for write_timeout, or after that time less than write_rate_min since it has
// had something to take, is cut off. Where half of answers_bytes_max is waiting, that is asked for
// after a third of the time, and sixteen times as fast. An answer that does not fit what is left of
// answers_bytes_max is not sent: 503.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "common/base/limits.h"
#include "common/base/status.h"
#include "common/base/token_bucket.h"
#include "common/base/units.h"
#include "common/http/headers.h"
#include "common/http/tls_identity.h"

namespace allot::http {

struct Request {
  std::string method;  // "GET"
  // Decoded, without the query. An encoded slash stays "%2F": it separates nothing.
  std::string path;
  std::string raw_query;                                   // as it came, without the "?"
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order
  Headers headers;                                         // names in lower case
  std::string body;
  std::string peer;                                                 // "127.0.0.1:51234"
  std::string_view Header(std::string_view lower_case_name) const;  // "" if absent
  std::string_view Query(std::string_view name) const;              // "" if absent
};

struct Response {
  int status = 200;
  Headers headers;
  std::string body;
  std::string content_type = "application/json";
};

// Why a server turned something away by itself; a label of metrics.
enum class Turned : uint8_t {
  kConnections,           // connections_max
  kConnectionsOfAddress,  // connections_per_address_max
  kForeignName,           // loopback_names
  kHead,                  // too long, or no HTTP
  kBody,                  // too long
  kBodies,                // bodies_bytes_max
  kAnswers,               // answers_bytes_max
  kSlowRequest,           // head_timeout, idle_timeout and body_timeout within a request
  kSlowReader,            // write_timeout and write_rate_min
  kPlainToken,            // plain_tokens
  kHandshake,             // no TLS, or not as we speak it, or no certificate that we believe
  kHandshakes,            // tls_handshakes_max
  kSlowHandshake,         // tls_handshake_timeout
  kHeads,                 // heads_bytes_max
  kAhead,                 // sent a MiB ahead of its answer
};
inline constexpr size_t kTurnedKinds = 15;
std::string_view ToString(Turned why);  // "connections", "slow_reader", …

// The answer to one request; may be kept and used later. Exactly one of Send and
// (StartStream, Write…, End). If it is dropped unanswered, the client gets a 500.
class Responder {
 public:
  virtual ~Responder() = default;
  virtual void Send(Response response) = 0;
  virtual void StartStream(int status, Headers headers, std::string content_type) = 0;
  virtual void Write(std::string chunk) = 0;  // flushed at once
  virtual void End() = 0;
  // Ends the connection without finishing the stream: the client sees a truncated answer.
  virtual void Abort() = 0;
  // The same once what was written has gone out: without its last chunk the answer is seen to be
  // cut, and yet its last words arrive. Where nothing frames the body, as Abort.
  virtual void Cut() { Abort(); }
  // Called once if the client goes away before the answer is complete. The server notices
  // while it is still waiting for the answer (it keeps a read pending on the socket). Never
  // called from within another call. A client that has only closed its sending side counts as
  // gone, yet an answer is still sent to it; but see Options::half_close. Not called once the
  // Responder is dropped.
  virtual void OnClientGone(std::function<void()> callback) = 0;
  // Bytes written and not yet taken by the socket: slow clients are the caller's to bound.
  virtual size_t Backlog() const = 0;
  // Called whenever the socket has taken something of the backlog, for as long as there is an
  // answer to write. Never called from within another call.
  virtual void OnRoom(std::function<void()> callback) = 0;
};
using ResponderPtr = std::shared_ptr<Responder>;
using Handler = std::function<void(Request, ResponderPtr)>;

class Server {
 public:
  struct Options {
    std::string listen;               // "127.0.0.1:7401"; port 0 picks one; "[::1]:0"
    size_t body_bytes_max = 4 << 20;  // 413 beyond
    size_t header_bytes_max = limits::kHttpHeadBytes.value;
    // Of heads that are not whole yet, and what was sent ahead, together: the oldest of the address
    // that has most gives way (503).
    size_t heads_bytes_max = limits::kHttpHeadsBytes.value;
    // Of all requests that are not answered yet, heads with them, together. Beyond, of the address
    // that has most the body that comes slowest gives way (503), else who comes. One body always
    // fits.
    size_t bodies_bytes_max = 256 << 20;
    // Written and not yet taken by clients, all together.
    size_t answers_bytes_max = limits::kHttpAnswersBytes.value;
    // write_timeout and head_timeout at most.
    Duration idle_timeout = std::chrono::milliseconds(limits::kHttpIdleTime.value);
    Duration head_timeout = std::chrono::milliseconds(limits::kHttpHeadTime.value);  // 408 beyond
    Duration body_timeout = std::chrono::milliseconds(limits::kHttpBodyTime.value);  // 408 beyond
    Duration write_timeout = std::chrono::milliseconds(limits::kHttpWriteTime.value);
    size_t write_rate_min = limits::kHttpWriteRate.value;  // bytes a second
    // Asked when a head has come and its body has not, before more of it is read: the answer of
    // who may not send it, which ends the connection. The request has no body yet. The handler
    // still checks for itself: a request that came as a whole goes to it at once.
    std::function<std::optional<Response>(const Request& head)> refuse = nullptr;
    // Asked about each second of a request that came with this Authorization header and is not
    // answered, or not to its end: why it may not go on. It is answered with that (401), or cut off
    // where its answer has begun; its client counts as gone.
    std::function<Status(std::string_view authorization)> standing = nullptr;
    size_t connections_max = limits::kHttpConnections.value;  // 503 and close beyond
    // Of one address (IPv6: one /64): 503 and close beyond. 0: as many as there are.
    size_t connections_per_address_max = 0;
    // On loopback: what names another host, or comes from a page of one, is refused
    // (own_names.h).
    bool loopback_names = false;
    // A request with an Authorization header that came in the clear from elsewhere than loopback
    // is served, where anybody on the way could have read it; else 403 (plain_tokens.h).
    bool plain_tokens = true;
    // With it, TLS of 1.2 and better is all that is spoken: handshakes have their own budgets
    // (limits.h), and who speaks plain HTTP is told so. At the start files that cannot be used are
    // an error.
    std::optional<TlsFiles> tls = std::nullopt;
    size_t tls_handshakes_max = limits::kTlsHandshakes.value;
    size_t tls_handshakes_per_address_max = limits::kTlsHandshakesOfAddress.value;
    Duration tls_handshake_timeout = std::chrono::milliseconds(limits::kTlsHandshakeTime.value);
    TokenBucket tls_handshake_rate{limits::kTlsHandshakesPerSecond, limits::kTlsHandshakesBurst};
    // Answers of the server's own (errors, and that to OPTIONS with `why` ok) in the API's shape:
    // `plain` has the status and the headers that belong to it.
    std::function<Response(Response plain, const Status& why)> own_answer = nullptr;
    // A client that has closed its sending side may still wait for its answer. To find out it is
    // sent something it ignores: "100 Continue" after a second without a head, in a stream of
    // events a comment. If nobody is there it counts as gone. HTTP/1.0 and other streams: as
    // without.
    bool half_close = false;
    // Pages of these origins may call (cors.h); none: a browser lets nobody's.
    std::vector<std::string> cors_origins = {};
  };
  static StatusOr<std::unique_ptr<Server>> Listen(boost::asio::io_context& loop, Options options,
                                                  Handler handler);
  ~Server();                    // closes every connection; no callback follows
  std::string address() const;  // host:port actually bound
  size_t connections() const;
  size_t answers_bytes() const;         // written and not yet taken
  std::optional<TlsState> tls() const;  // nullopt: it speaks none
  // How often this was why something was turned away.
  uint64_t turned(Turned why) const;

 private:
  class Impl;
  explicit Server(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

// What metrics count of a server, by name.
std::vector<std::pair<std::string, uint64_t>> TurnedAway(const Server& server);

// HTTP status of an absl status, in one table for every API. And the JSON of an error:
// {"error": {"code": "not_found", "message": "…"}}.
int StatusToHttp(const Status& status);
Response ErrorResponse(const Status& status);

}  // namespace allot::http
