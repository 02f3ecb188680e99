#include "common/transport/frames.h"

#include <google/protobuf/stubs/logging.h>

#include <charconv>
#include <limits>
#include <utility>

#include "common/base/printable.h"
#include "common/transport/text_fields.h"
#include "common/transport/version.h"
#include "common/transport/zmtp.h"
#include "common/wire/codec.h"

namespace allot::transport {
namespace {

// Below this, copying is cheaper than a second allocation and its release on another thread.
constexpr size_t kCopyMax = 512;

zmq::message_t ToMessage(std::string body) {
  if (body.size() <= kCopyMax) return zmq::message_t(body.data(), body.size());
  auto* const owned = new std::string(std::move(body));
  return zmq::message_t(
      owned->data(), owned->size(),
      [](void*, void* hint) { delete static_cast<std::string*>(hint); }, owned);
}

zmq::message_t ToMessage(const wire::Envelope& envelope, size_t size) {
  // Protobuf lets fields come in any order and the last value win, so the version can be
  // appended without copying the envelope.
  constexpr char kVersionField[] = {0x08, static_cast<char>(wire::kProtocolVersion)};
  const bool add_version = envelope.version() == 0;
  zmq::message_t message(size + (add_version ? sizeof kVersionField : 0));
  char* const data = message.data<char>();
  envelope.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(data));
  if (add_version) {
    data[size] = kVersionField[0];
    data[size + 1] = kVersionField[1];
  }
  return message;
}

bool SendFrame(zmq::socket_t& socket, zmq::message_t& frame, bool more) {
  const int flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0);
  return Uninterrupted([&] { return zmq_msg_send(frame.handle(), socket.handle(), flags); }) >= 0;
}

Status CheckEndpoint(const std::string& endpoint) {
  constexpr std::string_view kScheme = "tcp://";
  const size_t colon = endpoint.rfind(':');
  const bool shaped = endpoint.starts_with(kScheme) && colon != std::string::npos &&
                      colon > kScheme.size() && endpoint.size() < 256;
  uint16_t port = 0;
  if (shaped) {
    const char* const end = endpoint.data() + endpoint.size();
    const auto [rest, error] = std::from_chars(endpoint.data() + colon + 1, end, port);
    if (error == std::errc() && rest == end) return absl::OkStatus();
  }
  return InvalidArgument("endpoint is \"{}\"; give tcp://HOST:PORT", Shown(endpoint));
}

}  // namespace

SendResult SendFrames(zmq::socket_t& socket, const std::string* peer,
                      const wire::Envelope& envelope, Bodies bodies, int64_t frame_bytes_max,
                      LinkCounters* counters) {
  if (!TextIsSound(envelope)) {
    wire::Envelope mended = envelope;
    MendText(&mended);
    return SendFrames(socket, peer, mended, std::move(bodies), frame_bytes_max, counters);
  }
  const size_t limit = static_cast<size_t>(frame_bytes_max);
  const size_t envelope_size = envelope.ByteSizeLong();
  size_t total = 0;
  bool fits = envelope_size < limit && envelope_size < std::numeric_limits<int32_t>::max();
  for (const std::string& body : bodies) {
    fits = fits && body.size() <= limit;
    total += body.size();
  }
  // The other side would cut the connection, and every request on it.
  if (!fits) {
    ++counters->dropped_oversize;
    return SendResult::kTooBig;
  }
  zmq::message_t head = ToMessage(envelope, envelope_size);
  total += head.size();
  bool sent = true;
  if (peer != nullptr) {
    zmq::message_t address(peer->data(), peer->size());
    sent = SendFrame(socket, address, /*more=*/true);
  }
  // Once the first frame is taken the others are too: libzmq counts whole messages, and drops
  // the rest itself should the connection end in between.
  sent = sent && SendFrame(socket, head, !bodies.empty());
  for (size_t i = 0; sent && i < bodies.size(); ++i) {
    zmq::message_t frame = ToMessage(std::move(bodies[i]));
    sent = SendFrame(socket, frame, i + 1 < bodies.size());
  }
  if (!sent) {
    ++counters->dropped_unroutable;
    return SendResult::kUndeliverable;
  }
  ++counters->envelopes_out;
  counters->bytes_out += total;
  return SendResult::kSent;
}

ReceiveResult ReceiveFrames(zmq::socket_t& socket, bool router, Frames* frames,
                            LinkCounters* counters) {
  zmq::message_t frame;
  if (!ReceiveFrame(socket, frame)) {
    return ReceiveResult::kNothing;
  }
  // The frames of a message become readable together, so none of the following can be missing.
  bool more = frame.more();
  if (router) {
    frames->peer.assign(frame.data<char>(), frame.size());
    if (!more) return ReceiveResult::kGarbage;
    if (!ReceiveFrame(socket, frame)) {
      return ReceiveResult::kGarbage;
    }
    more = frame.more();
  }
  counters->bytes_in += frame.size();
  frames->wire_bytes = BytesOnTheWire(frame.size());
  frames->envelope = std::move(frame);
  frames->bodies.clear();
  while (more) {
    zmq::message_t body;
    if (!ReceiveFrame(socket, body)) {
      return ReceiveResult::kGarbage;
    }
    counters->bytes_in += body.size();
    frames->wire_bytes += BytesOnTheWire(body.size());
    frames->bodies.emplace_back(body.data<char>(), body.size());
    more = body.more();
  }
  return ReceiveResult::kMessage;
}

bool ParseEnvelope(Frames* frames, wire::Envelope* envelope, LinkCounters* counters,
                   EnvelopeSize* size, uint32_t* other_version) {
  *other_version = 0;
  const zmq::message_t& frame = frames->envelope;
  const std::string_view bytes(frame.data<char>(), frame.size());
  if (!Measure(bytes, size).ok()) {
    ++counters->dropped_too_many;
    return false;
  }
  // Protobuf would write a line for each field that is not UTF-8; a peer could fill a disk with it.
  const google::protobuf::LogSilencer quiet;
  size_t lost = 0;
  if (frame.size() < std::numeric_limits<int32_t>::max() &&
      (envelope->ParseFromArray(frame.data(), static_cast<int>(frame.size())) ||
       SalvageEnvelope(bytes, envelope, &frames->bodies, &lost)) &&
      envelope->version() == wire::kProtocolVersion) {
    counters->dropped_unreadable += lost;
    return true;
  }
  const uint32_t version = VersionOf(bytes);
  if (version != wire::kProtocolVersion) *other_version = version;
  return false;
}

bool ReceiveFrame(zmq::socket_t& socket, zmq::message_t& frame) {
  const auto receive = [&] { return zmq_msg_recv(frame.handle(), socket.handle(), ZMQ_DONTWAIT); };
  return Uninterrupted(receive) >= 0;
}

void SetCommonOptions(zmq::socket_t& socket, const KeyPair& keys, int64_t message_bytes_max,
                      int queue_max, bool ipv6) {
  socket.set(zmq::sockopt::linger, 0);
  socket.set(zmq::sockopt::curve_publickey, keys.public_key);
  socket.set(zmq::sockopt::curve_secretkey, keys.secret_key);
  socket.set(zmq::sockopt::maxmsgsize, message_bytes_max);
  socket.set(zmq::sockopt::sndhwm, queue_max);
  socket.set(zmq::sockopt::rcvhwm, queue_max);
  socket.set(zmq::sockopt::ipv6, ipv6);
  // A machine that lost its power sends no FIN. The kernel's keepalive finds out for free (at the
  // listening side the gate asks it to);
  // ZeroMQ's heartbeats would be encrypted one by one, and our own messages are heartbeats.
  socket.set(zmq::sockopt::tcp_keepalive, 1);
  socket.set(zmq::sockopt::tcp_keepalive_idle, 30);
  socket.set(zmq::sockopt::tcp_keepalive_intvl, 10);
  socket.set(zmq::sockopt::tcp_keepalive_cnt, 3);
  socket.set(zmq::sockopt::tcp_maxrt, 60'000);  // and for data nobody acknowledges
}

Status CheckCommonOptions(const std::string& endpoint, const KeyPair& keys) {
  RETURN_IF_ERROR(CheckEndpoint(endpoint));
  RETURN_IF_ERROR(CheckKeyText(keys.secret_key, "secret_key"));
  return CheckKeyText(keys.public_key, "public_key");
}

}  // namespace allot::transport
