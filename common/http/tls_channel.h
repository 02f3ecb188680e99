// A TLS session over a socket that does not block: either side, no loop. Whoever has the socket
// waits for it and asks again.
//
// Owned by one thread. The socket is the caller's, and outlives this. What OpenSSL says stays in
// here, but for `session`.
#pragma once

#include <span>
#include <string>
#include <string_view>

struct ssl_st;
struct ssl_ctx_st;

namespace allot::http {

class TlsChannel {
 public:
  enum class Role { kClient, kServer };
  enum class Result {
    kDone,
    kWantRead,   // again once the socket has something to read
    kWantWrite,  // again once it takes something
    kEnd,        // the other side has said that it is done
    kFailed,     // over, for reason()
  };
  // `handshake_bytes_max`: of what the other side sends before it is done with its handshake.
  TlsChannel(ssl_ctx_st* context, int socket, Role role, size_t handshake_bytes_max);
  ~TlsChannel();
  TlsChannel(const TlsChannel&) = delete;
  TlsChannel& operator=(const TlsChannel&) = delete;

  Result Handshake();
  // At least 16 KiB of room: then nothing that has come waits in here unseen by poll(2).
  Result Read(char* to, size_t room, size_t* got);
  // As much of `parts`, which are one text, as the socket takes. What is not taken must come again,
  // first: the last byte of a record that is half sent is among it, so whoever has nothing left
  // knows that all has gone.
  Result Write(std::span<const std::string_view> parts, size_t* taken);
  // Says that nothing more comes, if that can be said at once.
  void Farewell();

  size_t held() const { return record_.size(); }  // bytes of a record that is half sent
  const std::string& reason() const { return reason_; }
  ssl_st* session() const { return session_; }

 private:
  Result After(int result);

  ssl_st* session_ = nullptr;
  std::string record_, reason_;
  // Of the socket, for our BIO:
  const int socket_;
  size_t handshake_bytes_left_;
  bool shaken_ = false;
  friend struct TlsSocket;  // which is that BIO
};

}  // namespace allot::http
