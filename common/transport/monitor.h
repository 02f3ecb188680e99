// The event stream of one socket (zmq_socket_monitor), on the loop of the socket's owner.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <zmq.hpp>

#include <boost/asio/io_context.hpp>

#include "common/transport/pump.h"

namespace allot::transport {

struct MonitorEvent {
  uint16_t kind = 0;   // ZMQ_EVENT_…
  uint32_t value = 0;  // a descriptor, an errno, a protocol error or a ZAP status code
};

class SocketMonitor {
 public:
  // Throws zmq::error_t. `on_news` is called when Next may have events (see SocketPump::Drain).
  SocketMonitor(zmq::context_t& context, zmq::socket_t& watched, boost::asio::io_context& loop,
                std::function<bool()> on_news);
  // Ends the monitoring; call before `watched` is closed.
  ~SocketMonitor();
  void Start() { pump_->Start(); }
  bool Next(MonitorEvent* event);  // false: none now

 private:
  zmq::socket_t& watched_;
  zmq::socket_t events_;
  std::shared_ptr<SocketPump> pump_;
};

// "the peer does not speak CURVE": for people.
std::string DescribeProtocolError(uint32_t value);

}  // namespace allot::transport
