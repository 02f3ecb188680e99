#include "common/transport/monitor.h"

#include <atomic>
#include <cstring>
#include <utility>

#include "common/base/status.h"
#include "common/transport/frames.h"

namespace allot::transport {

SocketMonitor::SocketMonitor(zmq::context_t& context, zmq::socket_t& watched,
                             boost::asio::io_context& loop, std::function<bool()> on_news)
    : watched_(watched) {
  static std::atomic<uint64_t> next{0};
  const std::string endpoint = fmt::format("inproc://allot.monitor.{}", next++);
  // Made before the monitor: to end a monitor that has no reader blocks for ever, and this socket
  // may be the one that is over the context's limit.
  events_ = zmq::socket_t(context, zmq::socket_type::pair);
  events_.set(zmq::sockopt::linger, 0);
  // No bound: libzmq's I/O thread blocks on a full monitor while it holds the lock that ending
  // the monitor needs. Events are small and drained before messages.
  events_.set(zmq::sockopt::rcvhwm, 0);
  if (zmq_socket_monitor(watched.handle(), endpoint.c_str(), ZMQ_EVENT_ALL) != 0) {
    throw zmq::error_t();
  }
  events_.connect(endpoint);
  try {
    pump_ = std::make_shared<SocketPump>(loop, events_.get(zmq::sockopt::fd), std::move(on_news));
  } catch (...) {
    zmq_socket_monitor(watched_.handle(), nullptr, 0);
    throw;
  }
}

SocketMonitor::~SocketMonitor() {
  pump_->Stop();
  zmq_socket_monitor(watched_.handle(), nullptr, 0);
}

bool SocketMonitor::Next(MonitorEvent* event) {
  zmq::message_t frame, address;
  if (!ReceiveFrame(events_, frame)) return false;
  if (frame.more()) ReceiveFrame(events_, address);
  if (frame.size() < sizeof event->kind + sizeof event->value) return false;
  const char* const data = frame.data<char>();
  std::memcpy(&event->kind, data, sizeof event->kind);
  std::memcpy(&event->value, data + sizeof event->kind, sizeof event->value);
  return true;
}

std::string DescribeProtocolError(uint32_t value) {
  switch (value) {
    case ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
      return "the peer does not speak CURVE";
    case ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC:
    case ZMQ_PROTOCOL_ERROR_ZMTP_KEY_EXCHANGE:
      return "the server's public key is wrong";
    default:
      return fmt::format("protocol error {:#x}", value);
  }
}

}  // namespace allot::transport
