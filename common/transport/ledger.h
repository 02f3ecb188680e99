// Counts what became of the connections a listening socket accepted, from its monitor events.
//
// libzmq tells of a failed handshake without saying whose, and of some (a stranger speaking
// HTTP, or bytes of no protocol) not at all: they just disconnect. So a connection that ends
// without having sent us a message, and that no announced failure or success accounts for,
// counts as a failed handshake. When nothing is in flight the sum is exact.
#pragma once

#include <cstdint>
#include <vector>

namespace allot::transport {

class ConnectionLedger {
 public:
  void Accepted(int fd);
  void HandshakeSucceeded() { ++quiet_; }
  void HandshakeFailed();  // A disconnection follows.
  void Spoke(int fd);      // A message came over `fd`.
  void Disconnected(int fd);

  uint64_t accepted() const { return accepted_; }
  uint64_t disconnected() const { return disconnected_; }
  uint64_t handshakes_failed() const { return failed_; }

 private:
  std::vector<bool> spoke_;  // by descriptor
  int64_t quiet_ = 0;        // handshakes done on connections that have not spoken
  int64_t announced_ = 0;    // failures whose disconnection is still to come
  uint64_t accepted_ = 0, disconnected_ = 0, failed_ = 0;
};

}  // namespace allot::transport
