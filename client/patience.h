// The one way in which `allot` tries again.
//
// A scheduler that restarts refuses connections for a while, cuts the ones it has, answers 503 or
// says nothing. None of that is an answer, so it is asked again, for a minute at a stretch, from
// the very first question on: whoever types `allot wait` cannot know that it restarts just now.
// What it does answer (404, 403, 429 …) is never asked twice.
#pragma once

#include <chrono>
#include <optional>

#include "common/base/status.h"
#include "common/base/units.h"

namespace allot::client {

// How long a scheduler may be away before a command gives up.
inline constexpr Duration kPatience = std::chrono::minutes(1);

using Deadline = std::optional<std::chrono::steady_clock::time_point>;
Deadline DeadlineAfter(std::optional<Duration> timeout);

// Nobody there, or nobody who can answer now: a lost connection, a 503, silence.
bool IsAway(const Status& status);

// One question's, or one stream's. Safe from one thread; all of them say "trying again" once
// together.
class Patience {
 public:
  // `length`: for how long a scheduler may be away; 0: not at all. `deadline`: no longer than that.
  explicit Patience(Duration length, Deadline deadline = std::nullopt)
      : length_(length), deadline_(deadline) {}
  ~Patience() { AfterSuccess(); }
  Patience(const Patience&) = delete;
  Patience& operator=(const Patience&) = delete;

  // Pauses and says true if the question should be put again; false: give `status` to the caller.
  bool AfterFailure(const Status& status);
  void AfterSuccess();  // The next time it goes away is news again.

 private:
  using Clock = std::chrono::steady_clock;
  const Duration length_;
  const Deadline deadline_;
  std::optional<Clock::time_point> away_since_;
  int failures_ = 0;
};

}  // namespace allot::client
