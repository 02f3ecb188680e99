#include "scheduler/router/conduct.h"

#include <algorithm>
#include <bit>

namespace allot::router {
namespace {

constexpr uint32_t kWindow = 32;
constexpr uint32_t kInRowMax = 3;
constexpr uint32_t kOutcomesMin = 10;  // before a share is believed
constexpr Duration kOutMax = std::chrono::seconds(60);
constexpr Duration kFailureOut = std::chrono::seconds(1);
constexpr uint32_t kFailureDoublings = 6;  // 64 s, cut to kOutMax
constexpr Duration kRefusalOut = std::chrono::milliseconds(250);
constexpr uint32_t kRefusalDoublings = 6;  // 16 s
constexpr Duration kSlowOut = std::chrono::seconds(1);
constexpr uint32_t kSlowDoublings = 2;  // 4 s
constexpr Duration kDeclineOut = std::chrono::seconds(1);
constexpr uint32_t kDeclineDoublings = 6;
// One that has lasted this long, or ten times as long as it was out, starts with a clean slate.
constexpr Duration kForgivenMin = std::chrono::seconds(30);

constexpr uint32_t kPromptTokensToAnOutputToken = 256;
constexpr uint32_t kUnitsOfAnyRequest = 4;

}  // namespace

std::string_view ToString(OutCause cause) {
  switch (cause) {
    case OutCause::kNone:
      return "none";
    case OutCause::kFailures:
      return "failures";
    case OutCause::kRefusals:
      return "refusals";
    case OutCause::kSlow:
      return "slow";
    case OutCause::kDeclines:
      return "declines";
  }
  return "none";
}

bool IsRefusal(int32_t status) { return status == 429 || status == 503; }

bool WorthTryingElsewhere(int32_t status) {
  return IsRefusal(status) || status == 500 || status == 502;
}

Pace PaceOf(Duration took, uint32_t prompt_tokens, uint32_t output_tokens) {
  if (output_tokens == 0) return {took.count(), false};
  const int64_t units =
      kUnitsOfAnyRequest + int64_t{output_tokens} + prompt_tokens / kPromptTokensToAnOutputToken;
  return {took.count() / units, true};
}

// ---- conduct ------------------------------------------------------------------------------

Conduct::Share Conduct::share() const {
  return {static_cast<uint32_t>(std::popcount(history_)), outcomes_};
}

void Conduct::Note(bool failed) {
  history_ = history_ << 1 | (failed ? 1 : 0);
  outcomes_ = std::min(outcomes_ + 1, kWindow);
}

Conduct::Share Conduct::declines() const {
  return {static_cast<uint32_t>(std::popcount(declined_)), answers_};
}

void Conduct::NoteAnswer(bool declined) {
  declined_ = declined_ << 1 | (declined ? 1 : 0);
  if (answers_ < kWindow) ++answers_;
}

// Twice as often as the best of its peers: where all fail alike, the requests are to blame.
bool Conduct::WorseThan(Share peer) const {
  const Share own = share();
  return uint64_t{own.failures} * peer.outcomes > uint64_t{2} * peer.failures * own.outcomes;
}

void Conduct::PutOut(Time now, OutCause cause, Duration first, uint32_t doublings_max,
                     Duration least) {
  if (!troubled() && now - until_ > std::max(kForgivenMin, 10 * last_)) strikes_ = 0;
  last_ =
      std::min(std::max(first * (int64_t{1} << std::min(strikes_, doublings_max)), least), kOutMax);
  ++strikes_;
  cause_ = cause;
  since_ = now;
  until_ = now + last_;
  on_trial_ = false;
  in_row_ = outcomes_ = history_ = declined_ = answers_ = 0;
}

void Conduct::Succeeded(Time forwarded) {
  if (!NewsFrom(forwarded)) return;
  Note(false);
  NoteAnswer(false);
  in_row_ = 0;
  if (cause_ == OutCause::kRefusals) strikes_ = 0;  // It had enough, and has not any more.
  cause_ = OutCause::kNone;
}

void Conduct::Failed(Time now, Time forwarded, bool trial, Share best_peer) {
  if (trial) return PutOut(now, OutCause::kFailures, kFailureOut, kFailureDoublings, {});
  if (troubled()) return;
  if (forwarded <= since_) return;  // From before it was put out the last time.
  Note(true);
  ++in_row_;
  const Share own = share();
  const bool often = own.outcomes >= kOutcomesMin && own.failures * 10 >= own.outcomes * 3;
  if ((in_row_ >= kInRowMax || often) && WorseThan(best_peer))
    PutOut(now, OutCause::kFailures, kFailureOut, kFailureDoublings, {});
}

void Conduct::Refused(Time now, Time forwarded, bool trial, std::optional<Duration> retry_after) {
  if (!trial && (troubled() || forwarded <= since_)) return;
  PutOut(now, OutCause::kRefusals, kRefusalOut, kRefusalDoublings,
         retry_after.value_or(Duration::zero()));
}

// Nine in ten of its own, and at most one in four of a peer's: what clients ask for wrongly falls
// to all alike. A peer that has not been asked yet is given the chance to do better.
void Conduct::Declined(Time now, Time forwarded, bool trial, Share best_peer) {
  const bool again = trial && cause_ == OutCause::kDeclines;
  if (!again && (troubled() || forwarded <= since_)) return;
  const bool alike = best_peer.failures * 4 > best_peer.outcomes;
  if (alike) cause_ = OutCause::kNone;
  NoteAnswer(true);
  const Share own = declines();
  const bool most = own.outcomes >= 2 * kAnswersMin && own.failures * 10 >= own.outcomes * 9;
  if (!alike && (again || most))
    PutOut(now, OutCause::kDeclines, kDeclineOut, kDeclineDoublings, {});
}

void Conduct::Dawdled(Time now, Time forwarded, bool trial) {
  if (!trial && (troubled() || forwarded <= since_)) return;
  PutOut(now, OutCause::kSlow, kSlowOut, kSlowDoublings, {});
}

}  // namespace allot::router
