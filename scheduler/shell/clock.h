// The one clock of the shell: wall time at the start plus what a steady clock has counted since.
//
// It never goes backwards: not when the machine's clock is set back (it is read once), and not
// across a restart (it starts no earlier than the last record). A machine whose clock was wrong at
// the start is right again after the next one.
#pragma once

#include <algorithm>
#include <chrono>

#include "common/base/units.h"

namespace allot::scheduler {

class ShellClock {
 public:
  explicit ShellClock(Time not_before)
      : start_(
            std::max(not_before, FromMicros(std::chrono::duration_cast<Duration>(
                                                std::chrono::system_clock::now().time_since_epoch())
                                                .count()))),
        steady_(std::chrono::steady_clock::now()) {}

  Time Now() const {
    return start_ +
           std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - steady_);
  }

 private:
  Time start_;
  std::chrono::steady_clock::time_point steady_;
};

}  // namespace allot::scheduler
