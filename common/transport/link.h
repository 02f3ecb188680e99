// ROUTER and DEALER sockets on an asio loop, with CURVE, size caps and counted losses.
//
// A socket belongs to the thread that runs its io_context; all calls and callbacks happen there.
// Envelopes travel as the first frame; bodies are further frames, moved and never copied.
// Received garbage (not an envelope) is dropped and counted; a message that cannot be read costs
// itself and its body, not those that came with it. Text that is not UTF-8 is mended when it is
// sent (text_fields.h). An envelope of another protocol version is dropped and counted too; the log
// says which side is to be upgraded, and a server tells its version back.
//
// No call blocks. An envelope whose version is 0 is sent with ours. message_bytes_max holds for
// each frame (the envelope, each body): Send refuses a longer one, and a peer that sends one is
// disconnected. An envelope with many messages is handled in turns of a few (each an envelope with
// the same number), one with more than limits::kEnvelope… is dropped and counted. Servers stand
// behind a gate (gate.h): what a stranger and what a peer may cost is decided there. Handlers may
// destroy the link they were called from; after destruction no handler is called. A link must be
// destroyed before its Context and its io_context.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "common/base/limits.h"
#include "common/base/status.h"
#include "common/proto/wire.pb.h"
#include "common/transport/context.h"
#include "common/transport/gate.h"

namespace allot::transport {

struct LinkCounters {
  uint64_t envelopes_in = 0, envelopes_out = 0, bytes_in = 0, bytes_out = 0;
  uint64_t dropped_garbage = 0;     // not an envelope, name not proven
  uint64_t dropped_version = 0;     // of another version of the protocol: see version.h
  uint64_t dropped_unreadable = 0;  // messages in envelopes that else could be read
  uint64_t dropped_revoked = 0;     // of peers whose key is not in the allow list any more
  uint64_t dropped_unroutable = 0;  // the peer is gone (EHOSTUNREACH) or its queue is full (EAGAIN)
  uint64_t dropped_too_many = 0;    // envelopes with more in them than limits::kEnvelope… allow
  uint64_t dropped_oversize = 0;    // a frame over message_bytes_max was to be sent
  // From the gate (servers).
  uint64_t accepted = 0, disconnected = 0, handshakes_failed = 0;
  uint64_t too_long = 0;          // connections that were closed for a frame over its length
  uint64_t connections_over = 0;  // closed because their peer had too many
};

using Bodies = std::vector<std::string>;

// The listening side. Peers are named by their routing id (opaque bytes, new for each connection,
// chosen by us: messages of a peer that brings an id of its own are dropped as garbage).
class ServerLink {
 public:
  // A peer whose key is not in the allow list any more has spoken and was not heard. Whoever keeps
  // its routing id forgets it, so that nothing more is sent there.
  using RevokedHandler = std::function<void(const std::string& peer, const std::string& name)>;
  struct Options {
    std::string endpoint;  // tcp://host:port; port 0 picks one
    KeyPair keys;
    std::vector<Role> admit = {Role::kAgent, Role::kGateway};
    int64_t message_bytes_max = 64 << 20;                 // that are sent
    int64_t heard_bytes_max = limits::kFrameBytes.value;  // that are taken, where that is less
    int queue_max = 20'000;                               // messages a peer's queue holds each way
    int64_t handshake_ms_max = limits::kStrangerMilliseconds.value;
    // Bytes, frames and messages a second of a peer have bounds, over all of its connections. Else
    // what a peer is made to pay for is what is refused (Charge), and what it may have on its way.
    bool metered = false;
    RevokedHandler revoked;
  };
  struct Incoming {
    std::string peer;  // routing id, for Send
    std::string name;  // proven by its key
    std::string public_key;
    std::string address;  // IP whence it comes, as we see it; empty if that is not known
    Role role = Role::kAgent;
    wire::Envelope envelope;
    Bodies bodies;
  };
  using Handler = std::function<void(Incoming)>;

  static StatusOr<std::unique_ptr<ServerLink>> Listen(Context& context,
                                                      boost::asio::io_context& loop,
                                                      Options options, Handler handler);
  ~ServerLink();                 // the port is free again
  std::string endpoint() const;  // with the port that was bound
  // False: unroutable, full or over message_bytes_max; counted, not queued.
  bool Send(const std::string& peer, const wire::Envelope& envelope, Bodies bodies = {});
  // What a peer said was `work` as much as a message is, beyond the messages themselves. Whoever is
  // over limits::kPeerWork… is not read until he has made up for it.
  void Charge(const std::string& peer, int64_t work);
  // A peer was asked for something: what it will say of that is none of its own doing. So busy
  // peers have what they need, and none has it that is not given work.
  void Earn(const std::string& peer, int64_t work);
  // Another key by which whoever dials may know us, beside those that there are; and one that none
  // is to dial by any more, which ends no connection. The port and its connections stay as they
  // are.
  Status AddKey(const KeyPair& keys);
  void DropKey(const std::string& public_key);
  const LinkCounters& counters() const;
  const GateCounters& gate() const;

 private:
  class Impl;
  explicit ServerLink(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

// The dialling side. Reconnecting is the caller's decision: destroy and dial anew. What is sent
// before `connected` waits in the queue; after `disconnected` the link is dead and Send is false.
class ClientLink {
 public:
  struct Options {
    std::string endpoint;
    std::string server_public_key;
    KeyPair keys;
    int64_t message_bytes_max = 64 << 20;
    int queue_max = 20'000;
    int handshake_ms_max = 10'000;  // also bounds the TCP connect
  };
  struct Incoming {
    wire::Envelope envelope;
    Bodies bodies;
  };
  struct Handlers {
    std::function<void(Incoming)> message;
    std::function<void()> connected;  // handshake done (socket monitor)
    // Once, last, after the messages that had arrived: the connection could not be made, was
    // refused in the handshake, or ended.
    std::function<void(std::string why)> disconnected;
  };

  static StatusOr<std::unique_ptr<ClientLink>> Dial(Context& context, boost::asio::io_context& loop,
                                                    Options options, Handlers handlers);
  ~ClientLink();  // lingers 0
  bool Send(const wire::Envelope& envelope, Bodies bodies = {});
  const LinkCounters& counters() const;

 private:
  class Impl;
  explicit ClientLink(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace allot::transport
