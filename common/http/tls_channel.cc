#include "common/http/tls_channel.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "common/base/check.h"
#include "common/http/tls_text.h"

namespace allot::http {
namespace {

constexpr size_t kRecord = 16 << 10;  // the longest of TLS

}  // namespace

// OpenSSL's own reads and writes would raise SIGPIPE, and take as much of a handshake as is sent.
struct TlsSocket {
  static TlsChannel* Of(BIO* bio) { return static_cast<TlsChannel*>(BIO_get_data(bio)); }

  static int Write(BIO* bio, const char* data, int size) {
    BIO_clear_retry_flags(bio);
    const ssize_t n = ::send(Of(bio)->socket_, data, static_cast<size_t>(size), MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
    return static_cast<int>(n);
  }

  static int Read(BIO* bio, char* data, int size) {
    BIO_clear_retry_flags(bio);
    TlsChannel* const channel = Of(bio);
    size_t room = static_cast<size_t>(size);
    if (!channel->shaken_) {
      room = std::min(room, channel->handshake_bytes_left_);
      if (room == 0) {
        channel->reason_ = "the handshake is too long";
        return -1;
      }
    }
    const ssize_t n = ::recv(channel->socket_, data, room, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
    if (n > 0 && !channel->shaken_) channel->handshake_bytes_left_ -= static_cast<size_t>(n);
    if (n == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return static_cast<int>(n);
  }

  static long Control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
  }

  static const BIO_METHOD* Method() {
    static BIO_METHOD* const method = [] {
      BIO_METHOD* const made =
          BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "a socket of allotrope");
      CHECK(made != nullptr);
      BIO_meth_set_write(made, &TlsSocket::Write);
      BIO_meth_set_read(made, &TlsSocket::Read);
      BIO_meth_set_ctrl(made, &TlsSocket::Control);
      return made;
    }();
    return method;
  }
};

TlsChannel::TlsChannel(ssl_ctx_st* context, int socket, Role role, size_t handshake_bytes_max)
    : session_(SSL_new(context)), socket_(socket), handshake_bytes_left_(handshake_bytes_max) {
  CHECK(session_ != nullptr);
  BIO* const bio = BIO_new(TlsSocket::Method());
  CHECK(bio != nullptr);
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(session_, bio, bio);
  role == Role::kServer ? SSL_set_accept_state(session_) : SSL_set_connect_state(session_);
}

TlsChannel::~TlsChannel() { SSL_free(session_); }

TlsChannel::Result TlsChannel::After(int result) {
  switch (SSL_get_error(session_, result)) {
    case SSL_ERROR_WANT_READ:
      return Result::kWantRead;
    case SSL_ERROR_WANT_WRITE:
      return Result::kWantWrite;
    case SSL_ERROR_ZERO_RETURN:
      return Result::kEnd;
    default:
      if (reason_.empty()) {
        const bool cut = ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING ||
                         ERR_peek_error() == 0;
        reason_ = cut ? "the connection was cut" : TlsReason();
      }
      ERR_clear_error();
      return Result::kFailed;
  }
}

TlsChannel::Result TlsChannel::Handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(session_);
  if (result != 1) return After(result);
  shaken_ = true;
  return Result::kDone;
}

TlsChannel::Result TlsChannel::Read(char* to, size_t room, size_t* got) {
  ERR_clear_error();
  *got = 0;
  const int result = SSL_read_ex(session_, to, room, got);
  return result == 1 ? Result::kDone : After(result);
}

TlsChannel::Result TlsChannel::Write(std::span<const std::string_view> parts, size_t* taken) {
  *taken = 0;
  size_t skip = 0;  // of the first part
  const auto gather = [&](std::string* out) {
    while (!parts.empty() && out->size() < kRecord) {
      const std::string_view piece = parts.front().substr(skip, kRecord - out->size());
      out->append(piece);
      skip += piece.size();
      if (skip == parts.front().size()) {
        parts = parts.subspan(1);
        skip = 0;
      }
    }
  };
  bool pending = !record_.empty();
  if (pending) {  // Its last byte stands first in what we are given.
    while (!parts.empty() && parts.front().empty()) parts = parts.subspan(1);
    CHECK(!parts.empty() && parts.front().front() == record_.back());
    if (++skip == parts.front().size()) {
      parts = parts.subspan(1);
      skip = 0;
    }
  }
  while (true) {
    if (!pending) gather(&record_);
    if (record_.empty()) {
      record_.shrink_to_fit();  // Most connections are idle.
      return Result::kDone;
    }
    ERR_clear_error();
    size_t written = 0;
    const int result = SSL_write_ex(session_, record_.data(), record_.size(), &written);
    if (result != 1) {
      const Result why = After(result);
      if (!pending && (why == Result::kWantWrite || why == Result::kWantRead))
        *taken += record_.size() - 1;
      return why;
    }
    *taken += pending ? 1 : record_.size();
    pending = false;
    record_.clear();
  }
}

void TlsChannel::Farewell() {
  if (!shaken_ || !record_.empty()) return;
  ERR_clear_error();
  (void)SSL_shutdown(session_);
  ERR_clear_error();
}

}  // namespace allot::http
