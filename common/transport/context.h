// One ZeroMQ context with its ZAP handler (RFC 27): a connection is admitted only if its CURVE
// key stands in the allow list with an allowed role. It fails closed: an unreadable list admits
// nobody. The list is read again when its file changes. The proven name travels with every
// message as its User-Id, so no peer can speak for another.
//
// A peer whose key is taken from the list, or given another name or role, is heard no more within
// a second, also on a connection that is up (ServerLink::Options::revoked). The
// connection ends when the peer, which hears nothing, drops it; it is not admitted again.
//
// Owns a thread for ZAP. Create before any socket, destroy after all of them (CHECKed).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/transport/keys.h"

namespace zmq {
class context_t;
}

namespace allot::transport {

struct ZapCounters {
  std::atomic<uint64_t> admitted{0}, refused_unknown_key{0}, refused_role{0}, refused_no_list{0},
      refused_mechanism{0};
};

class ZapHandler;

class Context {
 public:
  struct Options {
    std::string allow_file;  // empty: this context only dials, it has no servers …
    bool learns = false;     // … unless it learns whom to admit (SetLearned)
    int io_threads = 1;
    int sockets_max = 1024;  // a link takes three (two monitor ends)
  };
  static StatusOr<std::unique_ptr<Context>> Create(Options options);
  ~Context();

  const ZapCounters& zap() const;
  // Of the last reading of the allow list; not OK: nobody is admitted, and why. Any thread.
  Status allow_list_status() const;
  // Peers to admit beside the allow list, whose names and keys win; in place of the earlier ones.
  // Whoever is not among them any more is heard no more. Any thread. CHECKed: there is a handler.
  void SetLearned(std::vector<AllowedPeer> peers);
  // The list in force: agents, gateways, schedulers; nobody who is only invited. Its number grows
  // with each change of it. Any thread.
  std::vector<AllowedPeer> AllowedPeers() const;
  uint64_t allow_list_version() const;

  // For this folder only.
  zmq::context_t& zmq() const;
  const ZapHandler* allow_list() const;  // null: this context only dials
  void CountSockets(int delta);

 private:
  class Impl;
  explicit Context(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace allot::transport
