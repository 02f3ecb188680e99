#include <cerrno>
#include <deque>
#include <optional>
#include <utility>
#include <zmq.hpp>

#include "common/base/check.h"
#include "common/base/thread.h"
#include "common/transport/frames.h"
#include "common/transport/link.h"
#include "common/transport/monitor.h"
#include "common/transport/pump.h"
#include "common/transport/version.h"

namespace allot::transport {
namespace {

// Libzmq must not reconnect by itself, but with reconnection switched off it does not tell of a
// failed connect either. So it is told to wait longer than the socket lives: the first failure
// ends the link.
constexpr int kNeverReconnectMs = 3'600'000;

}  // namespace

class ClientLink::Impl : public std::enable_shared_from_this<ClientLink::Impl> {
 public:
  Impl(Context& context, const Options& options, Handlers handlers)
      : context_(context),
        handlers_(std::move(handlers)),
        endpoint_(options.endpoint),
        message_bytes_max_(options.message_bytes_max),
        socket_(context.zmq(), zmq::socket_type::dealer) {
    SetCommonOptions(socket_, options.keys, options.message_bytes_max, options.queue_max,
                     options.endpoint.find('[') != std::string::npos);
    socket_.set(zmq::sockopt::curve_serverkey, options.server_public_key);
    socket_.set(zmq::sockopt::reconnect_ivl, kNeverReconnectMs);
    socket_.set(zmq::sockopt::handshake_ivl, options.handshake_ms_max);
    socket_.set(zmq::sockopt::connect_timeout, options.handshake_ms_max);
    context_.CountSockets(1);  // Last: what throws above is not counted. Close takes it back.
  }

  // Throws zmq::error_t.
  void Start(boost::asio::io_context& loop) {
    const std::weak_ptr<Impl> weak = weak_from_this();
    monitor_ = std::make_unique<SocketMonitor>(context_.zmq(), socket_, loop, [weak] {
      const auto self = weak.lock();
      return self != nullptr && self->DrainMonitor();
    });
    socket_.connect(endpoint_);
    pump_ = std::make_shared<SocketPump>(loop, socket_.get(zmq::sockopt::fd), [weak] {
      const auto self = weak.lock();
      return self != nullptr && self->Drain();
    });
    monitor_->Start();
    pump_->Start();
  }

  void Close() {
    if (closed_) return;
    const SignalsBlocked quiet;  // Or libzmq says EINTR in the middle of it.
    closed_ = true;
    if (pump_) pump_->Stop();
    monitor_.reset();
    socket_.close();
    context_.CountSockets(-1);
  }

  bool Send(const wire::Envelope& envelope, Bodies bodies) {
    if (closed_ || ending_) {
      ++counters_.dropped_unroutable;
      return false;
    }
    const SendResult result = SendFrames(socket_, /*peer=*/nullptr, envelope, std::move(bodies),
                                         message_bytes_max_, &counters_);
    pump_->Poke();
    return result == SendResult::kSent;
  }

  const LinkCounters& counters() const { return counters_; }

 private:
  enum class Stage { kConnecting, kHandshake, kUp };

  bool DrainMonitor() {
    MonitorEvent event;
    while (!ending_ && monitor_->Next(&event)) {
      switch (event.kind) {
        case ZMQ_EVENT_CONNECTED:
          stage_ = Stage::kHandshake;
          break;
        case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
          stage_ = Stage::kUp;
          if (handlers_.connected) handlers_.connected();
          if (closed_) return false;
          break;
        case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
          ending_ = Refused(event.value);
          break;
        case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
          ending_ = fmt::format("{}: the handshake failed: {}", endpoint_,
                                DescribeProtocolError(event.value));
          break;
        case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        case ZMQ_EVENT_DISCONNECTED:
        case ZMQ_EVENT_CLOSED:
        case ZMQ_EVENT_CONNECT_RETRIED:
          ending_ = Ended();
          break;
        default:
          break;
      }
    }
    if (ending_) pump_->Poke();  // What had arrived is delivered first.
    return false;
  }

  std::string Refused(uint32_t code) const {
    if (code == 400) {
      return fmt::format(
          "{} refused our key (400): it is not in the allow list there, or not in this role; "
          "enroll it with `allot keys enroll`",
          endpoint_);
    }
    return fmt::format("{} refused the connection ({}): its allow list cannot be read; see its log",
                       endpoint_, code);
  }

  std::string Ended() const {
    switch (stage_) {
      case Stage::kConnecting:
        return fmt::format("cannot connect to {}: nothing listens there or it cannot be reached",
                           endpoint_);
      case Stage::kHandshake:
        return fmt::format("{} closed the connection in the handshake; is its public key right?",
                           endpoint_);
      case Stage::kUp:
        break;
    }
    return fmt::format("the connection to {} was lost", endpoint_);
  }

  bool Drain() {
    if (!turns_.empty()) return Turn();
    for (int i = 0; i < kBurst; ++i) {
      Frames frames;
      const ReceiveResult result = ReceiveFrames(socket_, /*router=*/false, &frames, &counters_);
      if (result == ReceiveResult::kNothing) {
        if (ending_) End();
        return false;
      }
      Incoming incoming;
      EnvelopeSize size;
      uint32_t other_version = 0;
      if (result == ReceiveResult::kGarbage ||
          !ParseEnvelope(&frames, &incoming.envelope, &counters_, &size, &other_version)) {
        ++(other_version == 0 ? counters_.dropped_garbage : counters_.dropped_version);
        if (other_version != 0)
          NoteOtherVersion(fmt::format("the program at {}", endpoint_), other_version);
        continue;
      }
      ++counters_.envelopes_in;
      incoming.bodies = std::move(frames.bodies);
      if (Turns::Needed(incoming.envelope)) {
        turns_.emplace_back(std::move(incoming.envelope), std::move(incoming.bodies));
        return Turn();
      }
      if (handlers_.message) handlers_.message(std::move(incoming));
      if (closed_) return false;
    }
    return true;
  }

  // Of a long envelope; what came after it waits for its end.
  bool Turn() {
    Incoming part;
    if (!turns_.front().Next(&part.envelope, &part.bodies)) turns_.pop_front();
    if (handlers_.message) handlers_.message(std::move(part));
    return !closed_;
  }

  void End() {
    Close();
    if (handlers_.disconnected) handlers_.disconnected(*ending_);
  }

  Context& context_;
  const Handlers handlers_;
  const std::string endpoint_;
  const int64_t message_bytes_max_;
  LinkCounters counters_;
  Stage stage_ = Stage::kConnecting;
  std::optional<std::string> ending_;  // why, once the connection is over
  bool closed_ = false;
  std::deque<Turns> turns_;
  zmq::socket_t socket_;
  std::unique_ptr<SocketMonitor> monitor_;
  std::shared_ptr<SocketPump> pump_;
};

ClientLink::ClientLink(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
ClientLink::~ClientLink() { impl_->Close(); }

StatusOr<std::unique_ptr<ClientLink>> ClientLink::Dial(Context& context,
                                                       boost::asio::io_context& loop,
                                                       Options options, Handlers handlers) {
  RETURN_IF_ERROR(CheckCommonOptions(options.endpoint, options.keys));
  RETURN_IF_ERROR(CheckKeyText(options.server_public_key, "the server's public key"));
  const SignalsBlocked quiet;  // Or libzmq says EINTR in the middle of it.
  std::shared_ptr<Impl> impl;
  try {
    impl = std::make_shared<Impl>(context, options, std::move(handlers));
    impl->Start(loop);
    return std::unique_ptr<ClientLink>(new ClientLink(impl));
  } catch (const zmq::error_t& error) {
    if (impl) impl->Close();
    return Unavailable("cannot dial {}: {}", options.endpoint, error.what());
  }
}

bool ClientLink::Send(const wire::Envelope& envelope, Bodies bodies) {
  return impl_->Send(envelope, std::move(bodies));
}
const LinkCounters& ClientLink::counters() const { return impl_->counters(); }

}  // namespace allot::transport
