// The agent's clock: wall time at the start plus what a steady clock has counted since, so that it
// never goes backwards and no timeout fires because somebody set the machine's clock.
#pragma once

#include <chrono>

#include "common/base/units.h"

namespace allot::agent {

class AgentClock {
 public:
  AgentClock()
      : start_(FromMicros(std::chrono::duration_cast<Duration>(
                              std::chrono::system_clock::now().time_since_epoch())
                              .count())),
        steady_(std::chrono::steady_clock::now()) {}
  Duration SinceStart() const {
    return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - steady_);
  }
  Time Now() const { return start_ + SinceStart(); }

 private:
  Time start_;
  std::chrono::steady_clock::time_point steady_;
};

}  // namespace allot::agent
