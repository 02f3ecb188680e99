#include "client/patience.h"

#include <algorithm>
#include <atomic>
#include <random>

#include "client/session.h"

namespace allot::client {
namespace {

// Shared: sixty-four followed logs that break off are one piece of news.
std::atomic<bool> said_so{false};

// Soon at first, since most restarts take a second; then slower and apart from one another, so that
// a thousand waiting clients are no load for the one they wait for.
Duration PauseBefore(int attempt) {
  constexpr Duration kFirst = std::chrono::milliseconds(100), kMost = std::chrono::seconds(2);
  const Duration step = std::min(kFirst * (1 << std::min(attempt, 10)), kMost);
  thread_local std::minstd_rand draw{std::random_device()()};
  return step / 2 + Duration(std::uniform_int_distribution<int64_t>(0, step.count() / 2)(draw));
}

}  // namespace

Deadline DeadlineAfter(std::optional<Duration> timeout) {
  if (!timeout) return std::nullopt;
  return std::chrono::steady_clock::now() + *timeout;
}

bool IsAway(const Status& status) {
  return status.code() == StatusCode::kUnavailable ||
         status.code() == StatusCode::kDeadlineExceeded;
}

bool Patience::AfterFailure(const Status& status) {
  if (!IsAway(status)) return false;
  const auto now = Clock::now();
  if (!away_since_) away_since_ = now;
  Duration pause = PauseBefore(failures_++);
  if (now + pause - *away_since_ > length_) return false;
  if (deadline_) {
    if (now >= *deadline_) return false;
    pause = std::min(pause, std::chrono::ceil<Duration>(*deadline_ - now));
  }
  if (!said_so.exchange(true)) {
    const std::string why = MessageOf(status);
    Say(fmt::format("allot: {}{} trying again for {} …", why, why.ends_with('?') ? "" : ";",
                    FormatDuration(length_)));
  }
  Pause(pause);
  return true;
}

void Patience::AfterSuccess() {
  if (away_since_) said_so = false;
  away_since_.reset();
  failures_ = 0;
}

}  // namespace allot::client
