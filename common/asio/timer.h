// A timer on an asio loop that never calls too late.
//
// Asio's own calls back with success once its time has come, also when it was cancelled, armed anew
// or destroyed after that and before the call. Here the last word counts: what was asked for by
// After is called at most once, and not at all after Stop, another After or the timer's end, so it
// may hold `this` of the timer's owner. It may also destroy the timer. One thread, the loop's.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>

#include "common/base/units.h"

namespace allot {

class Timer {
 public:
  explicit Timer(boost::asio::io_context& loop) : timer_(loop) {}
  void After(Duration time, std::function<void()> call);
  void Stop();

 private:
  boost::asio::steady_timer timer_;
  const std::shared_ptr<uint64_t> turn_ = std::make_shared<uint64_t>(0);
};

}  // namespace allot
