// The gateway's clock: wall time at the start plus what a steady clock has counted since, so that
// it never goes backwards.
#pragma once

#include <chrono>

#include "common/base/units.h"

namespace allot::gateway {

class GatewayClock {
 public:
  GatewayClock()
      : start_(std::chrono::duration_cast<Duration>(
            std::chrono::system_clock::now().time_since_epoch())),
        steady_(std::chrono::steady_clock::now()) {}

  Time Now() const { return start_ + SinceStart(); }
  Duration SinceStart() const {
    return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - steady_);
  }

 private:
  Time start_;
  std::chrono::steady_clock::time_point steady_;
};

}  // namespace allot::gateway
