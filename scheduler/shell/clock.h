// The one clock of the shell: wall time at the start plus what a steady clock has counted since.
//
// It never goes backwards: not when the machine's clock is set back (it is read once), and not
// across a restart (it starts no earlier than the last record). A machine whose clock was behind at
// the start is right again after the next one. One whose clock was ahead is not: the records have
// times of the future, and going on from there keeps leases, limits and waits of the right length,
// while times shown to people stay ahead. Each restart makes that less by as long as it took; the
// scheduler says so when it starts (`ahead`).
#pragma once

#include <algorithm>
#include <chrono>

#include "common/base/units.h"

namespace allot::scheduler {

class ShellClock {
 public:
  explicit ShellClock(Time not_before)
      : ShellClock(not_before, FromMicros(std::chrono::duration_cast<Duration>(
                                              std::chrono::system_clock::now().time_since_epoch())
                                              .count())) {}
  ShellClock(Time not_before, Time machine)
      : start_(std::max(not_before, machine)),
        ahead_(start_ - machine),
        steady_(std::chrono::steady_clock::now()) {}

  // How far this runs before the machine's clock.
  Duration ahead() const { return ahead_; }

  Time Now() const {
    return start_ +
           std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - steady_);
  }

 private:
  Time start_;
  Duration ahead_;
  std::chrono::steady_clock::time_point steady_;
};

}  // namespace allot::scheduler
