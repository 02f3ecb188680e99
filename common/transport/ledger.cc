#include "common/transport/ledger.h"

#include <cstddef>

namespace allot::transport {

void ConnectionLedger::Accepted(int fd) {
  ++accepted_;
  if (fd < 0) return;
  if (static_cast<size_t>(fd) >= spoke_.size()) spoke_.resize(fd + 1);
  spoke_[fd] = false;
}

void ConnectionLedger::HandshakeFailed() {
  ++failed_;
  ++announced_;
}

void ConnectionLedger::Spoke(int fd) {
  if (fd < 0 || static_cast<size_t>(fd) >= spoke_.size() || spoke_[fd]) return;
  spoke_[fd] = true;
  --quiet_;
}

void ConnectionLedger::Disconnected(int fd) {
  ++disconnected_;
  if (fd >= 0 && static_cast<size_t>(fd) < spoke_.size() && spoke_[fd]) {
    spoke_[fd] = false;
  } else if (announced_ > 0) {
    --announced_;
  } else if (quiet_ > 0) {
    --quiet_;
  } else {
    ++failed_;
  }
}

}  // namespace allot::transport
