// Envelopes and bodies to and from ZeroMQ frames.
#pragma once

#include <cerrno>
#include <cstdint>
#include <string>
#include <zmq.hpp>

#include "common/proto/wire.pb.h"
#include "common/transport/intake.h"
#include "common/transport/link.h"

namespace allot::transport {

// What a call of libzmq says that is not EINTR. A signal that is handled just then ends even a call
// that does not wait, and what is there to be read or sent is still there.
template <typename Call>
int Uninterrupted(Call call) {
  int result;
  do result = call();
  while (result < 0 && zmq_errno() == EINTR);
  return result;
}

enum class SendResult { kSent, kUndeliverable, kTooBig };
// Sends all frames or none, and never blocks. `peer` is null for a DEALER. An envelope without a
// version gets ours. `bodies` are moved into the messages; long ones are not copied.
SendResult SendFrames(zmq::socket_t& socket, const std::string* peer,
                      const wire::Envelope& envelope, Bodies bodies, int64_t frame_bytes_max,
                      LinkCounters* counters);

enum class ReceiveResult { kNothing, kMessage, kGarbage };
struct Frames {
  std::string peer;         // routing id; only from a ROUTER
  zmq::message_t envelope;  // carries the connection's metadata
  Bodies bodies;
  uint64_t wire_bytes = 0;  // what its frames were on their way
};
// Never blocks. Always reads a message to its end.
ReceiveResult ReceiveFrames(zmq::socket_t& socket, bool router, Frames* frames,
                            LinkCounters* counters);

// False: not an envelope of this protocol version, or one with too much in it (`size` says how
// much, and the counters that it was refused); `other_version` is then the one it is of, 0 if it is
// none at all. Messages in it that cannot be read are dropped with their bodies and counted; the
// others are there.
bool ParseEnvelope(Frames* frames, wire::Envelope* envelope, LinkCounters* counters,
                   EnvelopeSize* size, uint32_t* other_version);

// The next frame, without waiting; false: there is none.
bool ReceiveFrame(zmq::socket_t& socket, zmq::message_t& frame);

// Options every socket of ours has. They throw zmq::error_t.
void SetCommonOptions(zmq::socket_t& socket, const KeyPair& keys, int64_t message_bytes_max,
                      int queue_max, bool ipv6);
// tcp://host:port, and two keys of forty characters.
Status CheckCommonOptions(const std::string& endpoint, const KeyPair& keys);

}  // namespace allot::transport
