#include "common/transport/pump.h"

#include <utility>

#include <boost/asio/post.hpp>

namespace allot::transport {

SocketPump::SocketPump(boost::asio::io_context& loop, int zmq_fd, Drain drain)
    : loop_(loop), descriptor_(loop, zmq_fd), drain_(std::move(drain)) {}

void SocketPump::Poke() {
  if (posted_ || stopped_) return;
  posted_ = true;
  boost::asio::post(loop_, [self = shared_from_this()] {
    self->posted_ = false;
    self->Run();
  });
}

void SocketPump::Arm() {
  if (armed_) return;
  armed_ = true;
  descriptor_.async_wait(boost::asio::posix::descriptor_base::wait_read,
                         [self = shared_from_this()](const boost::system::error_code& error) {
                           self->armed_ = false;
                           if (!error) self->Run();
                         });
}

void SocketPump::Run() {
  if (stopped_) return;
  const auto self = shared_from_this();  // `drain` may drop the owner.
  const bool more = drain_();
  if (stopped_) return;
  if (more) {
    Poke();
  } else {
    Arm();
  }
}

void SocketPump::Stop() {
  if (stopped_) return;
  stopped_ = true;
  descriptor_.release();
}

}  // namespace allot::transport
