#include "common/http/server.h"

#include <netinet/tcp.h>

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "common/base/logging.h"
#include "common/http/plain_tokens.h"
#include "common/http/session.h"
#include "common/http/text.h"

namespace allot::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Tcp = asio::ip::tcp;
using Acceptor = asio::basic_socket_acceptor<Tcp, LoopExecutor>;
using Timer = asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, LoopExecutor>;

constexpr int kAcceptBurst = 64;
// Connections over the cap that are told so; beyond them they are only closed.
constexpr size_t kRefusedAtOnceMax = 64;
using NotSentLowWater = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_NOTSENT_LOWAT>;
constexpr int kUnsentMax = 32 << 10;
constexpr auto kPauseWithoutDescriptors = std::chrono::milliseconds(100);

StatusOr<Tcp::endpoint> ParseListen(const std::string& listen) {
  ASSIGN_OR_RETURN(HostPort parsed, ParseHostPort(listen));
  if (parsed.host == "localhost") parsed.host = "127.0.0.1";
  error_code error;
  const asio::ip::address address = asio::ip::make_address(parsed.host, error);
  if (error) {
    return InvalidArgument(
        "listen address is \"{}\"; give an IP address and a port, such as "
        "127.0.0.1:7401",
        listen);
  }
  return Tcp::endpoint(address, parsed.port);
}

std::string Format(const Tcp::endpoint& endpoint) {
  const std::string address = endpoint.address().to_string();
  return endpoint.address().is_v6() ? fmt::format("[{}]:{}", address, endpoint.port())
                                    : fmt::format("{}:{}", address, endpoint.port());
}

// One machine has as many addresses of IPv6 as it likes, all of one network.
asio::ip::address AddressGroup(const asio::ip::address& address) {
  if (!address.is_v6()) return address;
  const asio::ip::address_v6 v6 = address.to_v6();
  if (v6.is_v4_mapped()) return asio::ip::make_address_v4(asio::ip::v4_mapped, v6);
  asio::ip::address_v6::bytes_type bytes = v6.to_bytes();
  std::fill(bytes.begin() + 8, bytes.end(), 0);
  return asio::ip::address_v6(bytes);
}

std::string WhyNot(const error_code& error) {
  if (error == asio::error::address_in_use) {
    return "the port is in use; stop what listens there or choose another";
  }
  if (error == asio::error::access_denied) return "ports below 1024 need privileges";
  if (error.value() == EADDRNOTAVAIL) return "that is not an address of this machine";
  return error.message();
}

}  // namespace

std::string_view Request::Header(std::string_view lower_case_name) const {
  for (const auto& [name, value] : headers) {
    if (name == lower_case_name) return value;
  }
  return {};
}

std::string_view Request::Query(std::string_view wanted) const {
  for (const auto& [name, value] : query) {
    if (name == wanted) return value;
  }
  return {};
}

class Server::Impl : public std::enable_shared_from_this<Server::Impl> {
 public:
  Impl(asio::io_context& loop, Options options, Handler handler)
      : state_(std::make_shared<ServerState>(loop, std::move(options), std::move(handler))),
        acceptor_(loop),
        pause_(loop),
        sweep_(loop) {}

  Status Open() {
    ASSIGN_OR_RETURN(const Tcp::endpoint endpoint, ParseListen(state_->options.listen));
    if (state_->options.tls.has_value()) {
      ASSIGN_OR_RETURN(state_->tls, TlsIdentity::Load(*state_->options.tls));
    }
    error_code error;
    acceptor_.open(endpoint.protocol(), error);
    if (!error) SetCloseOnExec(acceptor_.native_handle());
    if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (!error) acceptor_.non_blocking(true, error);
    if (!error) address_ = Format(acceptor_.local_endpoint(error));
    if (error) {
      return Unavailable("cannot listen on {}: {}", state_->options.listen, WhyNot(error));
    }
    if (state_->tls == nullptr && !state_->options.plain_tokens &&
        !endpoint.address().is_loopback())
      spdlog::warn(
          "{} speaks plain HTTP: tokens from other machines are refused; set tls "
          "(docs/security.md, "
          "On the wire), or plain_tokens where the network is trusted",
          address_);
    ArmAccept();
    ArmSweep();
    return absl::OkStatus();
  }

  void Close() {
    state_->closed = true;
    error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
    sweep_.cancel();
    while (!state_->sessions.empty()) {
      const auto session = state_->sessions.begin()->second;
      session->Close();
    }
  }

  const std::string& address() const { return address_; }
  size_t connections() const { return state_->sessions.size(); }
  const ServerState& state() const { return *state_; }

 private:
  void ArmAccept() {
    acceptor_.async_wait(Acceptor::wait_read, [self = shared_from_this()](const error_code& error) {
      if (!error && !self->state_->closed) self->Accept();
    });
  }

  void Accept() {
    for (int i = 0; i < kAcceptBurst; ++i) {
      Socket socket(state_->loop);
      Tcp::endpoint peer;
      error_code error;
      acceptor_.accept(socket, peer, error);
      if (error == asio::error::would_block || error == asio::error::try_again) break;
      if (error == asio::error::connection_aborted || error == asio::error::interrupted) continue;
      if (error) return PauseAccept();
      Admit(std::move(socket), peer);
    }
    ArmAccept();
  }

  // Out of descriptors or memory: the connection stays in the backlog, so waiting for it would
  // spin. Look again shortly.
  void PauseAccept() {
    pause_.expires_after(kPauseWithoutDescriptors);
    pause_.async_wait([self = shared_from_this()](const error_code& error) {
      if (!error && !self->state_->closed) self->Accept();
    });
  }

  void Admit(Socket socket, const Tcp::endpoint& peer) {
    const size_t open = state_->sessions.size(), max = state_->options.connections_max;
    if (open >= max + kRefusedAtOnceMax) return state_->Count(Turned::kConnections);  // Closes it.
    error_code error;
    SetCloseOnExec(socket.native_handle());
    KeepAlive(socket.native_handle());
    socket.non_blocking(true, error);
    if (!error) socket.set_option(Tcp::no_delay(true), error);
    // What is written and not yet sent is ours to count, and not the kernel's to keep for somebody
    // who does not read; what is on its way is as much as the path takes.
    if (!error) socket.set_option(NotSentLowWater(kUnsentMax), error);
    if (error) return;  // The client has gone already.
    const asio::ip::address group = AddressGroup(peer.address());
    const size_t of_address_max = state_->options.connections_per_address_max;
    const auto from = state_->origins.find(group);
    const size_t near = from == state_->origins.end() ? 0 : from->second.connections;
    if (of_address_max != 0 && near >= of_address_max + kRefusedAtOnceMax) {
      state_->Count(Turned::kConnectionsOfAddress);
      return;
    }
    const bool safe = IsSafe(socket, peer);
    const auto session =
        std::make_shared<Session>(std::move(socket), Format(peer), group, safe, state_);
    state_->sessions.emplace(session.get(), session);
    if (open >= max) {
      session->Refuse(Turned::kConnections);
    } else if (of_address_max != 0 && near >= of_address_max) {
      session->Refuse(Turned::kConnectionsOfAddress);
    } else {
      session->Start();
    }
  }

  bool IsSafe(const Socket& socket, const Tcp::endpoint& peer) const {
    if (state_->tls != nullptr || state_->options.plain_tokens) return true;
    error_code error;
    const Tcp::endpoint here = socket.local_endpoint(error);
    return !error && StaysOnThisMachine(here.address().to_string(), peer.address().to_string());
  }

  void ArmSweep() {
    using std::chrono::milliseconds;
    const auto idle = std::chrono::duration_cast<milliseconds>(state_->options.idle_timeout);
    sweep_.expires_after(std::clamp(idle / 8, milliseconds(10), milliseconds(1000)));
    sweep_.async_wait([self = shared_from_this()](const error_code& error) {
      if (error || self->state_->closed) return;
      self->Sweep();
      self->ArmSweep();
    });
  }

  void Sweep() {
    const Clock::time_point now = Clock::now();
    std::vector<std::shared_ptr<Session>> sessions;  // Copied: sessions that end leave the map.
    sessions.reserve(state_->sessions.size());
    for (const auto& [key, session] : state_->sessions) sessions.push_back(session);
    for (const auto& session : sessions) {
      if (state_->options.standing) session->CheckStanding();
      session->CheckDeadline(now);
    }
  }

  const std::shared_ptr<ServerState> state_;
  Acceptor acceptor_;
  Timer pause_, sweep_;
  std::string address_;
};

Server::Server(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() { impl_->Close(); }

StatusOr<std::unique_ptr<Server>> Server::Listen(asio::io_context& loop, Options options,
                                                 Handler handler) {
  auto impl = std::make_shared<Impl>(loop, std::move(options), std::move(handler));
  RETURN_IF_ERROR(impl->Open());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

std::string Server::address() const { return impl_->address(); }
size_t Server::connections() const { return impl_->connections(); }
size_t Server::answers_bytes() const { return impl_->state().answers_bytes; }
std::optional<TlsState> Server::tls() const {
  const std::unique_ptr<TlsIdentity>& identity = impl_->state().tls;
  return identity == nullptr ? std::nullopt : std::optional(identity->State());
}
uint64_t Server::turned(Turned why) const {
  return impl_->state().turned[static_cast<size_t>(why)];
}

std::string_view ToString(Turned why) {
  constexpr std::string_view kNames[kTurnedKinds] = {"connections",   "connections_of_address",
                                                     "foreign_name",  "head",
                                                     "body",          "bodies",
                                                     "answers",       "slow_request",
                                                     "slow_reader",   "plain_token",
                                                     "handshake",     "handshakes",
                                                     "slow_handshake", "heads",
                                                     "ahead"};
  return kNames[static_cast<size_t>(why)];
}

std::vector<std::pair<std::string, uint64_t>> TurnedAway(const Server& server) {
  std::vector<std::pair<std::string, uint64_t>> counts;
  for (size_t i = 0; i < kTurnedKinds; ++i) {
    const auto why = static_cast<Turned>(i);
    counts.emplace_back(ToString(why), server.turned(why));
  }
  return counts;
}

}  // namespace allot::http
