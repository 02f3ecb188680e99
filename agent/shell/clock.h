// The agent's clock: wall time at the start plus what has passed since, so that it never goes
// backwards and no timeout fires because somebody set the machine's clock.
//
// What passes while the machine sleeps counts (CLOCK_BOOTTIME): leases of tasks end by it, and the
// supervisors that end them count the same (BootNanos).
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>

#include "common/base/units.h"

namespace allot::agent {

class AgentClock {
 public:
  AgentClock()
      : start_(FromMicros(std::chrono::duration_cast<Duration>(
                              std::chrono::system_clock::now().time_since_epoch())
                              .count())),
        boot_(NanosNow()) {}
  Duration SinceStart() const {
    return std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(NanosNow() - boot_));
  }
  Time Now() const { return start_ + SinceStart(); }
  // The same moment on CLOCK_BOOTTIME.
  uint64_t BootNanos(Time at) const {
    return static_cast<uint64_t>(boot_ + std::chrono::nanoseconds(at - start_).count());
  }

 private:
  static int64_t NanosNow() {
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  }

  Time start_;
  int64_t boot_;
};

}  // namespace allot::agent
