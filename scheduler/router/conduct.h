// How a replica has conducted itself lately, and whether it is therefore out for a while.
//
// Soft state of one replica. A replica that fails, refuses or dawdles where its peers do not is put
// out; when its time is over it gets one request on trial, and what becomes of that decides.
// Outcomes of requests that it was given before it was put out say nothing new. What was asked for
// wrongly (4xx) is the client's doing, unless one replica says so of all and its peers do not.
//
// No clock; one thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "common/base/ids.h"
#include "common/base/units.h"

namespace allot::router {

enum class OutCause : uint8_t { kNone, kFailures, kRefusals, kSlow, kDeclines };
std::string_view ToString(OutCause cause);  // "failures", "refusals", "slow", "declines"

// A status by which a model server says that it has enough for now.
bool IsRefusal(int32_t status);
// Another replica may do better. Not a gateway timeout: the next try would take as long again.
bool WorthTryingElsewhere(int32_t status);

// How long an answer took, by what it was asked to do: microseconds for a unit of work where the
// size of the answer is known, or else for the whole. The two kinds are not compared.
struct Pace {
  int64_t micros = 0;
  bool sized = false;
};
// A prompt's token costs about 1/256 of an output token's time (it is read in parallel), and every
// request has something to it that goes with neither.
Pace PaceOf(Duration took, uint32_t prompt_tokens, uint32_t output_tokens);

// The last paces, of one replica or of all of a device group.
template <uint32_t kKept>
class PaceLog {
 public:
  static constexpr uint32_t kEnough = 8;

  void Add(ReplicaId replica, Pace pace) {
    entries_[next_] = {replica, pace};
    next_ = (next_ + 1) % kKept;
    size_ = size_ < kKept ? size_ + 1 : kKept;
  }
  void Clear() { next_ = size_ = 0; }
  // The value that `quarters` quarters of the last answers of this kind stay below, without those
  // of `except`; nullopt with fewer than kEnough of them.
  std::optional<int64_t> Quantile(uint32_t quarters, bool sized, ReplicaId except) const {
    std::array<int64_t, kKept> values;
    uint32_t count = 0;
    for (uint32_t i = 0; i < size_; ++i)
      if (entries_[i].pace.sized == sized && entries_[i].replica != except)
        values[count++] = entries_[i].pace.micros;
    if (count < kEnough) return std::nullopt;
    const auto at = values.begin() + (count - 1) * quarters / 4;
    std::nth_element(values.begin(), at, values.begin() + count);
    return *at;
  }

 private:
  struct Entry {
    ReplicaId replica;
    Pace pace;
  };
  std::array<Entry, kKept> entries_;
  uint32_t next_ = 0, size_ = 0;
};

class Conduct {
 public:
  // Share of failures among the last outcomes, as a fraction. 0 of 1 where none is known.
  struct Share {
    uint32_t failures = 0, outcomes = 0;
  };

  // Out until `until()`; then on trial until a request has ended well.
  bool troubled() const { return cause_ != OutCause::kNone; }
  OutCause cause() const { return cause_; }
  Time until() const { return until_; }
  bool Out(Time now) const { return troubled() && now < until_; }
  // It may be given a request: it is not out, or its time is over and no trial is under way.
  bool MayServe(Time now) const { return !troubled() || (now >= until_ && !on_trial_); }
  void BeginTrial() { on_trial_ = true; }
  // The request on trial has ended in a way that says nothing; another one may.
  void AbandonTrial() { on_trial_ = false; }

  // What became of a request it was given at `forwarded`, on trial or not. A replica that is put
  // out for failures again comes back later each time, up to a minute; refusals (429, 503) are its
  // way of saying that it has enough: the pause is short, and as long as it asks for; one that is
  // merely slow is looked at again within seconds, as there may have been a reason.
  void Succeeded(Time forwarded);
  void Failed(Time now, Time forwarded, bool trial, Share best_peer);
  void Refused(Time now, Time forwarded, bool trial, std::optional<Duration> retry_after);
  void Dawdled(Time now, Time forwarded, bool trial);
  // Answered 4xx. `best_peer`: declines() of the peer that has declined least.
  void Declined(Time now, Time forwarded, bool trial, Share best_peer);

  Share share() const;
  Share declines() const;  // of the last answers, right ones and 4xx
  static constexpr uint32_t kAnswersMin = 8;  // before a share of them is believed
  uint32_t failures_in_row() const { return in_row_; }

 private:
  void Note(bool failed);
  void NoteAnswer(bool declined);
  bool NewsFrom(Time forwarded) const { return !troubled() || forwarded > since_; }
  bool WorseThan(Share peer) const;
  void PutOut(Time now, OutCause cause, Duration first, uint32_t doublings_max, Duration least);

  uint32_t history_ = 0;  // of the last 32 outcomes, a bit each: failed
  uint32_t outcomes_ = 0;
  uint32_t declined_ = 0;  // of the last 32 answers, a bit each: 4xx
  uint32_t answers_ = 0;
  uint32_t in_row_ = 0;   // failures
  uint32_t strikes_ = 0;  // times it was put out and did not last
  OutCause cause_ = OutCause::kNone;
  bool on_trial_ = false;
  Time since_, until_;
  Duration last_{};  // how long it was put out the last time
};

}  // namespace allot::router
