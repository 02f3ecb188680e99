// How long those should wait who are turned away because there is too much: as long as that has
// gone on, for it will go on about as long again.
//
// Thread-unsafe.
#pragma once

#include <chrono>

namespace allot::http {

class Overload {
 public:
  using Clock = std::chrono::steady_clock;
  // Somebody is turned away now: 1 to 59 s, in whole seconds, for Retry-After.
  std::chrono::seconds RetryAfter(Clock::time_point now);

 private:
  Clock::time_point since_, last_;
};

}  // namespace allot::http
