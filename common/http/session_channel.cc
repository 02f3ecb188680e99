// What a session speaks over: the socket itself, or TLS once hands are shaken.
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <string_view>
#include <utility>

#include "common/base/limits.h"
#include "common/base/logging.h"
#include "common/http/session.h"

namespace allot::http {

namespace asio = boost::asio;
using boost::system::error_code;

void Session::AwaitHandshake(Socket::wait_type what) {
  socket_.async_wait(what, [self = shared_from_this()](const error_code& error) {
    if (self->phase_ != Phase::kHandshake) return;
    if (error) return self->Fail();
    self->ShakeHands();
  });
}

void Session::ShakeHands() {
  if (!tls_.has_value()) {
    // Who speaks plain HTTP here is told so in plain HTTP: a browser or a script says no more than
    // that something is wrong otherwise.
    constexpr char kTlsHandshake = 0x16;
    char first = 0;
    const ssize_t seen = ::recv(socket_.native_handle(), &first, 1, MSG_PEEK);
    if (seen == 0) return Fail();
    if (seen < 0) return AwaitHandshake(Socket::wait_read);
    if (first != kTlsHandshake) {
      LeaveDoor();
      return TurnAway(Turned::kHandshake,
                      Own(400, InvalidArgument("only TLS is spoken here; use https://")));
    }
    const auto now = std::chrono::duration_cast<Duration>(Clock::now().time_since_epoch());
    if (!server_->door.Begin(group_, now)) {
      tls_waits_ = true;  // CheckDeadline comes again.
      return;
    }
    tls_.emplace(server_->tls->Current(), socket_.native_handle(), TlsChannel::Role::kServer,
                 static_cast<size_t>(limits::kTlsHandshakeBytes.value));
  }
  switch (tls_->Handshake()) {
    case TlsChannel::Result::kWantRead:
      return AwaitHandshake(Socket::wait_read);
    case TlsChannel::Result::kWantWrite:
      return AwaitHandshake(Socket::wait_write);
    case TlsChannel::Result::kDone:
      LeaveDoor();
      phase_ = Phase::kReading;
      ExtendDeadline();
      return ArmRead();
    default:
      SPDLOG_DEBUG("no handshake peer={} why=\"{}\"", peer_, tls_->reason());
      server_->Count(Turned::kHandshake);
      // What it was told stands in an alert, which bytes of its that nobody has read would undo.
      LeaveDoor();
      tls_.reset();
      return Linger();
  }
}

// Where its address had had too many handshakes: its turn may have come.
void Session::RetryHandshake() {
  if (!std::exchange(tls_waits_, false)) return;
  ShakeHands();
}

void Session::LeaveDoor() {
  if (std::exchange(at_door_, false)) server_->door.Leave(this, group_);
}

size_t Session::ReadSome(error_code* error) {
  std::vector<char>& scratch = server_->scratch;
  if (!tls_.has_value()) return socket_.read_some(asio::buffer(scratch), *error);
  size_t got = 0;
  switch (tls_->Read(scratch.data(), scratch.size(), &got)) {
    case TlsChannel::Result::kDone:
      break;
    case TlsChannel::Result::kWantRead:
    case TlsChannel::Result::kWantWrite:
      *error = asio::error::would_block;
      break;
    case TlsChannel::Result::kEnd:
      *error = asio::error::eof;
      break;
    case TlsChannel::Result::kFailed:
      *error = asio::error::connection_reset;
  }
  return got;
}

size_t Session::WriteSome(const std::array<std::string_view, 3>& parts, error_code* error) {
  if (!tls_.has_value()) {
    const std::array<asio::const_buffer, 3> buffers = {
        asio::buffer(parts[0]), asio::buffer(parts[1]), asio::buffer(parts[2])};
    return socket_.write_some(buffers, *error);
  }
  size_t taken = 0;
  const TlsChannel::Result result = tls_->Write(parts, &taken);
  CountWire();
  if (result == TlsChannel::Result::kFailed || result == TlsChannel::Result::kEnd) {
    *error = asio::error::connection_reset;
  } else if (result != TlsChannel::Result::kDone && taken == 0) {
    *error = asio::error::would_block;
  }
  return taken;
}

// What is in TLS's hands is held for a client as much as what waits for it.
void Session::CountWire() {
  const size_t held = tls_.has_value() ? tls_->held() : 0;
  server_->answers_bytes += held - wire_held_;
  wire_held_ = held;
}

}  // namespace allot::http
