// TLS in front of a server that speaks in the clear: takes connections at a port the system chooses
// and carries their bytes to and fro, each piece at once. For tests of clients, with ends that a
// good server does not have.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "tests/tls/authority.h"

namespace allot::testing {

class TlsFront {
 public:
  // `behind`: "127.0.0.1:8000". All on the loop's thread.
  TlsFront(boost::asio::io_context& loop, const Certificate& certificate,
           const std::string& behind);
  ~TlsFront();
  uint16_t port() const;
  int handshakes() const;  // that succeeded, as far as the server can tell
  // How connections end when the server behind closes: with a word of farewell (as they should) or
  // cut off, as by somebody on the way.
  void CutOff(bool cut);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace allot::testing
