#include "common/transport/path_proof.h"

#include <utility>

namespace allot::transport {

bool EchoProbe(const wire::PathProbe& probe, wire::PathEcho* echo) {
  if (probe.padding().size() > kProbePaddingBytes) return false;
  echo->set_nonce(probe.nonce());
  echo->set_padding(probe.padding());
  return true;
}

wire::PathProbe PathProof::Begin(Duration now, uint64_t nonce) {
  lost_before_ = state_ == State::kLargeLost;
  state_ = State::kAsking;
  nonce_ = nonce;
  begun_ = now;
  small_ = large_ = false;
  wire::PathProbe probe;
  probe.set_nonce(nonce);
  probe.set_large_lost(lost_before_);
  return probe;
}

std::optional<wire::PathProbe> PathProof::Echoed(Duration now, const wire::PathEcho& echo) {
  if (echo.nonce() != nonce_ || state_ != State::kAsking) return std::nullopt;
  large_ = large_ || echo.padding().size() == kProbePaddingBytes;
  if (std::exchange(small_, true)) return std::nullopt;
  small_at_ = now;
  wire::PathProbe large;
  large.set_nonce(nonce_);
  large.set_large_lost(lost_before_);
  large.set_padding(std::string(kProbePaddingBytes, '\0'));
  return large;
}

PathProof::State PathProof::Look(Duration now) {
  if (state_ != State::kAsking) return state_;
  if (large_) {
    state_ = State::kProven;
  } else if (small_) {
    if (now - small_at_ > patience_.large) state_ = State::kLargeLost;
  } else if (now - begun_ > patience_.small) {
    state_ = State::kNotSpoken;
  }
  return state_;
}

}  // namespace allot::transport
