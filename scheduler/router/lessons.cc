// What requests teach: how long answers take, and how replicas conduct themselves (ADR 11).
#include <algorithm>

#include "scheduler/router/core_impl.h"

namespace allot::router {
namespace {

// A replica is slow where its answers take three times as long as most of its peers'.
constexpr int64_t kSlowFactor = 3;
constexpr Duration kSlowMin = std::chrono::milliseconds(10);
// Given up without a byte of an answer after so many times what was predicted: it hangs.
constexpr int64_t kHangsFactor = 4;
constexpr Duration kHangsMin = std::chrono::seconds(1);

}  // namespace

template <typename Change>
void Core::Impl::Note(Replica& replica, Change change) {
  const Time before = replica.conduct.until();
  change(replica.conduct);
  const Time until = replica.conduct.until();
  if (until == before) return;
  replica.paces.Clear();
  out_until_.emplace(until, replica.facts.id);
  out_->put_out.push_back({replica.deployment->name, replica.facts.id, replica.facts.node,
                           replica.conduct.cause(), until - now_});
}

// Others may have come after it: the fuller of its two ends tells what it shared with.
Load Core::Impl::LoadMet(const Request& request) {
  const Replica& replica = *request.replica;
  const auto others_now = static_cast<uint32_t>(replica.flights.size()) - 1;
  return LoadOf(std::max(request.others, others_now), replica.facts.concurrency);
}

void Core::Impl::Learn(const Request& request, uint32_t output_tokens) {
  Replica& replica = *request.replica;
  const Duration took = now_ - request.forwarded;
  const Pace pace = PaceOf(took, request.prompt_tokens, output_tokens);
  replica.paces.Add(replica.facts.id, pace);
  request.group->paces.Add(replica.facts.id, pace);
  if (Dawdles(request, pace, took))
    return Note(replica, [&](Conduct& c) { c.Dawdled(now_, request.forwarded, request.trial); });
  replica.conduct.Succeeded(request.forwarded);
  LatencyEstimate::Observation observation;
  observation.end_to_end = took;
  observation.load = LoadMet(request);
  if (request.started()) {
    observation.ttft = *request.first_byte - request.forwarded;
    if (output_tokens >= 2)
      observation.per_token = (now_ - *request.first_byte) / (output_tokens - 1);
  }
  request.group->estimate.Observe(now_, observation);
}

// Most of its answers take far longer than most of its peers', this one included: long requests
// that fall to it by chance do not make it slow.
bool Core::Impl::Dawdles(const Request& request, Pace pace, Duration took) const {
  const Replica& replica = *request.replica;
  if (took < kSlowMin) return false;
  const auto others = request.group->paces.Quantile(3, pace.sized, replica.facts.id);
  if (!others.has_value() || pace.micros <= kSlowFactor * *others) return false;
  // Quick where it answers at all is no measure.
  const Conduct::Share own_share = replica.conduct.share(), best = BestPeerOf(replica);
  if (best.failures * own_share.outcomes > own_share.failures * best.outcomes) return false;
  if (request.trial) return true;
  const auto own = replica.paces.Quantile(1, pace.sized, ReplicaId());
  return own.has_value() && *own > kSlowFactor * *others;
}

void Core::Impl::NoteFailure(const Request& request) {
  const Conduct::Share peer = BestPeerOf(*request.replica);
  Note(*request.replica,
       [&](Conduct& c) { c.Failed(now_, request.forwarded, request.trial, peer); });
}

void Core::Impl::NoteRefusal(const Request& request, std::optional<Duration> retry_after) {
  if (request.deployment->available < 2) return;  // Nowhere else to go meanwhile.
  Note(*request.replica,
       [&](Conduct& c) { c.Refused(now_, request.forwarded, request.trial, retry_after); });
}

void Core::Impl::NoteDecline(const Request& request) {
  const Conduct::Share peer = LeastDeclinedBy(*request.replica);
  Note(*request.replica,
       [&](Conduct& c) { c.Declined(now_, request.forwarded, request.trial, peer); });
}

void Core::Impl::LearnAtLeast(const Request& request, Duration time) {
  LatencyEstimate::Observation observation;
  observation.end_to_end = time;
  observation.load = LoadMet(request);
  observation.censored = true;
  // A stream that never began did not keep a promise about its first token either.
  if (request.stream && !request.first_byte.has_value()) observation.ttft = time;
  request.replica->group->estimate.Observe(now_, observation);
}

// Given up before the end: that it took longer than this is all one knows, and it is news only
// if it should have been over. Where not even a first byte has come long after that, the replica
// hangs.
void Core::Impl::LearnIfOverdue(const Request& request) {
  const Duration time = now_ - request.forwarded;
  if (time <= request.predicted) return;
  if (!request.first_byte.has_value() && request.group->estimate.Predict(now_).samples > 0 &&
      time > std::max(kHangsFactor * request.predicted, kHangsMin))
    return NoteFailure(request);
  LearnAtLeast(request, time);
}

}  // namespace allot::router
