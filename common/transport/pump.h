// Runs a ZeroMQ socket on an asio loop.
//
// ZMQ_FD is edge-triggered and also falls silent when a *send* takes the news from it: so after
// each wake-up and after each send the socket is drained. `drain` handles a bounded burst and
// says whether there may be more; the rest is posted, so that timers and HTTP get their turn.
// The descriptor belongs to libzmq: it is released, never closed.
#pragma once

#include <functional>
#include <memory>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/posix/descriptor_base.hpp>

namespace allot::transport {

inline constexpr int kBurst = 256;  // messages handled before others on the loop get a turn

class SocketPump : public std::enable_shared_from_this<SocketPump> {
 public:
  // `drain` returns true if it stopped before the socket was empty. It may call Stop.
  using Drain = std::function<bool()>;

  SocketPump(boost::asio::io_context& loop, int zmq_fd, Drain drain);
  void Start() { Poke(); }
  void Poke();  // Drain on the next turn of the loop; to be called after every send.
  void Stop();  // No drain afterwards. Call before the ZeroMQ socket is closed.

 private:
  void Arm();
  void Run();

  boost::asio::io_context& loop_;
  boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type> descriptor_;
  const Drain drain_;
  bool armed_ = false, posted_ = false, stopped_ = false;
};

}  // namespace allot::transport
