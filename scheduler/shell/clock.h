// The one clock of the shell: wall time at the start plus what a steady clock has counted since.
//
// It never goes backwards while the process lives: the machine's clock is read once. Where it
// starts is judged by what the records say (StartOfTime): a clock that is behind what is certain is
// not followed; one that is behind the newest records only shows that those were written by a clock
// that was ahead, and is followed. One that has come far since the newest record may be right, if
// the scheduler was stopped for long, or ahead: it is followed, and doubted until it has stood for
// a day.
#pragma once

#include <algorithm>
#include <chrono>

#include "common/base/units.h"
#include "scheduler/core/events.h"

namespace allot::scheduler {

// Clocks differ by this much without anybody's fault.
inline constexpr Duration kClockSlack = std::chrono::seconds(10);
// Coming so far while the scheduler was stopped is doubted, until it has run for as long.
inline constexpr Duration kClockDoubt = std::chrono::hours(24);
// No clock is right that says it is before this was written (2026-01-01).
inline constexpr Time kNoEarlier = FromMicros(1'767'225'600'000'000);

struct ClockStart {
  enum class Verdict {
    kFollowed,
    kHeld,  // the machine's clock is behind what is certain: time goes on from the newest record
    kTurnedBack,  // the newest records are of the future: their clock was ahead
    kDoubted,     // followed, though it may be far ahead
  };
  Verdict verdict = Verdict::kFollowed;
  Time at;
  TimeTrust trust;  // from now on
};

// `newest`: of the records, the zero time if there are none. `trust`: as they keep it.
inline ClockStart StartOfTime(Time newest, TimeTrust trust, Time machine) {
  using enum ClockStart::Verdict;
  if (newest == Time()) return {kFollowed, machine, {}};
  if (machine + kClockSlack < newest) {
    if (machine < std::max(trust.certain, kNoEarlier)) return {kHeld, newest, trust};
    return {kTurnedBack, machine, {trust.certain, Time()}};
  }
  // What was doubted and has not stood for a day vouches for nothing.
  if (trust.doubted == Time() || newest - trust.doubted >= kClockDoubt) trust = {newest, Time()};
  if (trust.doubted == Time() && machine - newest > kClockDoubt) trust.doubted = machine;
  return {trust.doubted == Time() ? kFollowed : kDoubted, std::max(machine, newest), trust};
}

inline Time MachineTime() {
  return FromMicros(
      std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch())
          .count());
}

class ShellClock {
 public:
  explicit ShellClock(Time start) : start_(start), steady_(std::chrono::steady_clock::now()) {}

  Time Now() const {
    return start_ +
           std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - steady_);
  }

 private:
  Time start_;
  std::chrono::steady_clock::time_point steady_;
};

}  // namespace allot::scheduler
