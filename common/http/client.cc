#include "common/http/client.h"

#include <algorithm>
#include <array>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include "common/base/check.h"
#include "common/base/thread.h"
#include "common/http/parser.h"
#include "common/http/text.h"

namespace allot::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Tcp = asio::ip::tcp;
using Executor = asio::io_context::executor_type;
using Socket = asio::basic_stream_socket<Tcp, Executor>;
using Resolver = asio::ip::basic_resolver<Tcp, Executor>;
using Clock = std::chrono::steady_clock;
using Timer = asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, Executor>;

constexpr size_t kReadSize = 16 << 10;

using Tls = asio::ssl::stream<Socket&>;

struct Connection {
  explicit Connection(asio::io_context& loop) : socket(loop), buffer(kReadSize) {}
  template <class Handler>
  void ReadSome(Handler handler) {
    if (tls) return tls->async_read_some(asio::buffer(buffer), std::move(handler));
    socket.async_read_some(asio::buffer(buffer), std::move(handler));
  }
  template <class Buffers, class Handler>
  void WriteAll(const Buffers& buffers, Handler handler) {
    if (tls) return asio::async_write(*tls, buffers, std::move(handler));
    asio::async_write(socket, buffers, std::move(handler));
  }
  Socket socket;
  std::unique_ptr<Tls> tls;  // once shaken hands, all goes through it
  std::vector<char> buffer;
  bool idle = false;
};

// Who is asked.
struct Peer {
  std::string name;  // for the Host header and in messages: "127.0.0.1:8000", "api.example.com"
  StatusOr<HostPort> address;
  std::shared_ptr<const TlsTrust> trust;  // null: in the clear
};

class ConnectionPool : public std::enable_shared_from_this<ConnectionPool> {
 public:
  ConnectionPool(asio::io_context& loop, Peer peer, size_t idle_max)
      : loop(loop), peer(std::move(peer)), idle_max_(idle_max) {
    if (this->peer.trust == nullptr) return;
    SSL_CTX_up_ref(this->peer.trust->context());
    tls.emplace(this->peer.trust->context());
  }

  // Null if none. The newest first: the older ones may then time out and go.
  std::shared_ptr<Connection> TakeIdle() {
    if (idle_.empty()) return nullptr;
    auto connection = std::move(idle_.back());
    idle_.pop_back();
    connection->idle = false;
    error_code ignored;
    connection->socket.cancel(ignored);
    return connection;
  }

  void PutIdle(std::shared_ptr<Connection> connection) {
    if (closed_ || idle_.size() >= idle_max_) return;
    connection->idle = true;
    // An idle connection only becomes readable when the server closes it (or breaks the rules).
    connection->socket.async_wait(Socket::wait_read,
                                  [weak = weak_from_this(), connection](const error_code& error) {
                                    const auto self = weak.lock();
                                    if (error || !self || !connection->idle) return;
                                    std::erase(self->idle_, connection);
                                  });
    idle_.push_back(std::move(connection));
  }

  void Close() {
    closed_ = true;
    while (const auto connection = TakeIdle()) connection->socket.close();
  }

  asio::io_context& loop;
  const Peer peer;
  // Of the trust's, in asio's hands.
  std::optional<asio::ssl::context> tls;

 private:
  const size_t idle_max_;
  bool closed_ = false;
  std::deque<std::shared_ptr<Connection>> idle_;
};

// One request and its answer. Kept alive by its pending operations and the caller's handle.
class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(std::shared_ptr<ConnectionPool> pool, ClientRequest request, Client::Callbacks callbacks)
      : pool_(std::move(pool)),
        head_(RequestHead(request, pool_->peer.name)),
        body_(std::move(request.body)),
        head_request_(request.method == "HEAD"),
        head_timeout_(request.timeout),
        idle_timeout_(request.idle_timeout),
        callbacks_(std::move(callbacks)),
        timer_(pool_->loop),
        parser_(std::in_place, head_request_) {}

  void Start() {
    deadline_ = Clock::now() + head_timeout_;
    ArmTimer();
    connection_ = pool_->TakeIdle();
    reused_ = connection_ != nullptr;
    if (reused_) {
      Write();
    } else {
      Connect();
    }
  }

  void Cancel() {
    if (over_) return;
    over_ = true;
    Drop();
  }

  void Hold(bool held) {
    if (over_ || held_ == held) return;
    held_ = held;
    if (held) return;
    if (head_given_) deadline_ = Clock::now() + idle_timeout_;
    ArmTimer();
    if (std::exchange(read_due_, false)) Read();
  }

 private:
  void Drop() {  // Closes at once: that is how the server learns that nobody waits any more.
    timer_.cancel();
    resolver_.reset();
    if (connection_) {
      error_code ignored;
      connection_->socket.close(ignored);
      connection_.reset();
    }
  }

  void Connect() {
    connection_ = std::make_shared<Connection>(pool_->loop);
    const StatusOr<HostPort>& target = pool_->peer.address;
    if (!target.ok()) {  // Told on the next turn of the loop: no callback comes out of Start.
      asio::post(pool_->loop,
                 [self = shared_from_this(), status = target.status()] { self->Finish(status); });
      return;
    }
    error_code not_numeric;
    const auto address = asio::ip::make_address(target->host, not_numeric);
    if (!not_numeric) {
      const Tcp::endpoint endpoint(address, target->port);
      error_code error;
      connection_->socket.open(endpoint.protocol(), error);
      if (!error) SetCloseOnExec(connection_->socket.native_handle());
      connection_->socket.async_connect(
          endpoint, [self = shared_from_this()](const error_code& e) { self->Connected(e); });
      return;
    }
    resolver_.emplace(pool_->loop);
    const SignalsBlocked quiet;  // The first lookup starts a thread of asio.
    resolver_->async_resolve(
        target->host, std::to_string(target->port),
        [self = shared_from_this()](const error_code& error, const Resolver::results_type& found) {
          if (self->over_) return;
          if (error) return self->Connected(error);
          asio::async_connect(self->connection_->socket, found,
                              [self](const error_code& e, const auto&) { self->Connected(e); });
        });
  }

  void Connected(const error_code& error) {
    if (over_) return;
    if (error) {
      return Finish(
          Unavailable("cannot connect to {}: {}", pool_->peer.name, Lower(error.message())));
    }
    error_code ignored;
    SetCloseOnExec(connection_->socket.native_handle());
    KeepAlive(connection_->socket.native_handle());
    connection_->socket.set_option(Tcp::no_delay(true), ignored);
    if (pool_->peer.trust) return ShakeHands();
    Write();
  }

  void ShakeHands() {
    connection_->tls = std::make_unique<Tls>(connection_->socket, *pool_->tls);
    ssl_st* const session = connection_->tls->native_handle();
    if (const Status status = TlsTrust::Expect(session, pool_->peer.address->host); !status.ok())
      return Finish(status);
    connection_->tls->async_handshake(
        asio::ssl::stream_base::client,
        [self = shared_from_this(), connection = connection_](const error_code& e) {
          if (self->over_ || self->connection_ != connection) return;
          if (!e) return self->Write();
          self->Finish(TlsTrust::Explain(connection->tls->native_handle(), self->pool_->peer.name,
                                         Lower(e.message())));
        });
  }

  void Write() {
    written_ = false;
    const std::array<asio::const_buffer, 2> parts = {asio::buffer(head_), asio::buffer(body_)};
    connection_->WriteAll(parts, [self = shared_from_this(), connection = connection_](
                                     const error_code& error, size_t) {
      // What went wrong, and an answer sent early, shows when reading.
      if (!error && self->connection_ == connection) self->written_ = true;
    });
    Read();
  }

  void Read() {
    if (held_) {
      read_due_ = true;
      return;
    }
    connection_->ReadSome(
        [self = shared_from_this(), connection = connection_](const error_code& error, size_t got) {
          if (self->over_ || self->connection_ != connection) return;
          self->Received(error, got);
        });
  }

  void Received(const error_code& error, size_t got) {
    if (error) return Ended(error);
    received_ = true;
    if (head_given_) deadline_ = Clock::now() + idle_timeout_;
    pending_.append(connection_->buffer.data(), got);
    size_t consumed = 0;
    const ResponseParser::Result result = parser_->Feed(pending_, &consumed);
    pending_.erase(0, consumed);
    if (result == ResponseParser::Result::kMalformed) {
      return Finish(Unavailable("{} did not answer in HTTP/1.1", pool_->peer.name));
    }
    if (!Deliver()) return;
    if (result == ResponseParser::Result::kDone) return Complete();
    Read();
  }

  // False: the caller has cancelled from within a callback.
  bool Deliver() {
    if (!head_given_ && parser_->head_done()) {
      head_given_ = true;
      deadline_ = Clock::now() + idle_timeout_;
      ArmTimer();  // The new deadline may be the earlier one.
      if (callbacks_.head) callbacks_.head(parser_->status(), parser_->TakeHeaders());
      if (over_) return false;
    }
    std::string piece = parser_->TakeBody();
    if (!piece.empty() && callbacks_.body) callbacks_.body(std::move(piece));
    return !over_;
  }

  void Ended(const error_code& error) {
    // The server may close an idle connection just as we use it again. Nothing was heard, so one
    // more try, on a connection of its own.
    if (reused_ && !received_) {
      Drop();
      reused_ = false;
      ArmTimer();
      return Connect();
    }
    // Over TLS a clean end is the server's word; a cut connection is another error, so nobody on
    // the way can pass off half an answer as a whole one.
    if (error == asio::error::eof && parser_->FinishAtEof()) {
      if (Deliver()) Complete();
      return;
    }
    const std::string_view when =
        head_given_ ? "before the answer was complete" : "before it answered";
    Finish(Unavailable("{} closed the connection {}", pool_->peer.name, when));
  }

  void Complete() {
    if (written_ && pending_.empty() && parser_->keep_alive()) {
      pool_->PutIdle(std::exchange(connection_, nullptr));
    }
    Finish(absl::OkStatus());
  }

  void Finish(const Status& status) {
    if (over_) return;
    over_ = true;
    Drop();
    // All of them go with the last call: what they hold may hold the Call, and so us.
    const Client::Callbacks callbacks = std::exchange(callbacks_, {});
    if (callbacks.done) callbacks.done(status);
  }

  // The deadline moves with every piece; the timer is not touched for that. It looks when it
  // fires.
  void ArmTimer() {
    timer_.expires_at(deadline_);
    timer_.async_wait([self = shared_from_this()](const error_code& error) {
      if (error || self->over_) return;
      if (self->held_) return;  // Armed anew when it is let go.
      if (Clock::now() < self->deadline_) return self->ArmTimer();
      self->TimedOut();
    });
  }

  void TimedOut() {
    if (head_given_) {
      return Finish(DeadlineExceeded("{} fell silent for {} in the middle of its answer",
                                     pool_->peer.name, FormatDuration(idle_timeout_)));
    }
    Finish(DeadlineExceeded("{} did not answer within {}", pool_->peer.name,
                            FormatDuration(head_timeout_)));
  }

  static std::string Lower(std::string text) {
    ToLower(&text);
    return text;
  }

  const std::shared_ptr<ConnectionPool> pool_;
  const std::string head_, body_;
  const bool head_request_;
  const Duration head_timeout_, idle_timeout_;
  Client::Callbacks callbacks_;
  Timer timer_;
  Clock::time_point deadline_;
  std::optional<Resolver> resolver_;
  std::shared_ptr<Connection> connection_;
  std::optional<ResponseParser> parser_;
  std::string pending_;  // received and not yet parsed
  bool reused_ = false, received_ = false, written_ = false, head_given_ = false, over_ = false;
  bool held_ = false, read_due_ = false;  // a read is to follow when it is let go
};

class CallHandle final : public Client::Call {
 public:
  explicit CallHandle(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}
  ~CallHandle() override { exchange_->Cancel(); }
  void Cancel() override { exchange_->Cancel(); }
  void Hold(bool held) override { exchange_->Hold(held); }

 private:
  const std::shared_ptr<Exchange> exchange_;
};

}  // namespace

class Client::Impl {
 public:
  std::shared_ptr<ConnectionPool> pool;
};

Client::Client(asio::io_context& loop, std::string host_port, size_t idle_connections_max)
    : impl_(std::make_shared<Impl>()) {
  Peer peer{host_port, ParseHostPort(host_port), nullptr};
  impl_->pool = std::make_shared<ConnectionPool>(loop, std::move(peer), idle_connections_max);
}
Client::Client(asio::io_context& loop, const Url& url, std::shared_ptr<const TlsTrust> trust,
               size_t idle_connections_max)
    : impl_(std::make_shared<Impl>()) {
  CHECK(url.secure == (trust != nullptr));
  Peer peer{url.Authority(), HostPort{url.host, url.port}, std::move(trust)};
  impl_->pool = std::make_shared<ConnectionPool>(loop, std::move(peer), idle_connections_max);
}
Client::~Client() { impl_->pool->Close(); }

std::unique_ptr<Client::Call> Client::Start(ClientRequest request, Callbacks callbacks) {
  auto exchange = std::make_shared<Exchange>(impl_->pool, std::move(request), std::move(callbacks));
  exchange->Start();
  return std::make_unique<CallHandle>(std::move(exchange));
}

}  // namespace allot::http
