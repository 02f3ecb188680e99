#include "agent/core/link_machine.h"

#include <algorithm>

namespace allot::agent {
namespace {
constexpr int kBootShift = 20;  // docs/protocol.md: registration = boot × 2^20 + n
}

LinkMachine::LinkMachine(const CoreOptions& options, uint64_t seed)
    : options_(options), rng_(seed), backoff_(options.reconnect_backoff_min) {}

void LinkMachine::Start(Time now, uint64_t boot) {
  registration_ = boot << kBootShift;
  state_ = State::kDialling;
  silent_at_ = now + options_.scheduler_silence_max;
}

void LinkMachine::Up(Time now) {
  if (state_ == State::kIdle) return;
  BeginAnew(now);
  state_ = State::kRegistering;
  register_at_ = now;
  silent_at_ = now + options_.scheduler_silence_max;
}

void LinkMachine::Down(Time now) {
  if (state_ == State::kIdle || state_ == State::kBackingOff) return;
  BackOff(now);
}

void LinkMachine::Heard(Time now) { silent_at_ = now + options_.scheduler_silence_max; }

void LinkMachine::Welcomed(Time now, const Welcome& welcome, Incarnation incarnation,
                           Effects& out) {
  if (welcome.registration != registration_) return;
  // Said again: the registration was repeated, or the gateways have changed. Another epoch for
  // the same number means that ours is over, and our next message will be told so.
  const bool again = registered() && welcome.epoch == epoch_ && incarnation == incarnation_;
  if (!again && state_ != State::kRegistering) return;
  heartbeat_every_ = std::max(welcome.heartbeat_every, Duration(std::chrono::milliseconds(1)));
  if (gateways_ != welcome.gateways || gateway_keys_ != welcome.gateway_keys) {
    gateways_ = welcome.gateways;
    gateway_keys_ = welcome.gateway_keys;
    out.commands.emplace_back(SetGateways{welcome.gateways, welcome.gateway_keys});
  }
  if (again) return;
  state_ = State::kRegistered;
  epoch_ = welcome.epoch;
  incarnation_ = incarnation;
  backoff_ = options_.reconnect_backoff_min;
  heartbeat_at_ = now + heartbeat_every_;
}

void LinkMachine::Refused(Time now, const Refuse& refuse, Effects& out) {
  if (refuse.reason == RefuseReason::kStaleEpoch) {
    if (registered() && refuse.epoch == epoch_) BeginAnew(now);
  } else if (state_ == State::kRegistering && refuse.registration == registration_) {
    // Else an echo of a number that was welcomed meanwhile, which says nothing new.
    out.notes.emplace_back(RegistrationRefused{refuse.reason, refuse.message});
    ++registration_;
    register_at_ = now + Jittered(refuse.reason == RefuseReason::kStaleRegistration
                                      ? options_.reconnect_backoff_min
                                      : options_.reconnect_backoff_max);
  }
}

void LinkMachine::BeginAnew(Time now) {
  ++registration_;
  if (state_ != State::kRegistered && state_ != State::kRegistering) return;
  state_ = State::kRegistering;
  register_at_ = now;
}

void LinkMachine::Tick(Time now, Effects& out) {
  if (state_ == State::kIdle) return;
  if (state_ == State::kBackingOff) {
    if (now < reconnect_at_) return;
    out.commands.emplace_back(Reconnect{});
    state_ = State::kDialling;
    silent_at_ = now + options_.scheduler_silence_max;
  }
  if (now < silent_at_) return;
  out.notes.emplace_back(SchedulerSilent{});
  BackOff(now);
}

bool LinkMachine::TakeRegistration(Time now) {
  if (state_ != State::kRegistering || now < register_at_) return false;
  register_at_ = now + options_.report_after;
  return true;
}

bool LinkMachine::TakeHeartbeat(Time now) {
  if (now < heartbeat_at_) return false;
  heartbeat_at_ = now + heartbeat_every_;
  return true;
}

std::optional<Time> LinkMachine::NextWakeup() const {
  switch (state_) {
    case State::kIdle:
      return std::nullopt;
    case State::kDialling:
      return silent_at_;
    case State::kBackingOff:
      return reconnect_at_;
    case State::kRegistering:
      return std::min(silent_at_, register_at_);
    case State::kRegistered:
      return std::min(silent_at_, heartbeat_at_);
  }
  return std::nullopt;
}

void LinkMachine::BackOff(Time now) {
  state_ = State::kBackingOff;
  reconnect_at_ = now + Jittered(backoff_);
  backoff_ = std::min(backoff_ * 2, options_.reconnect_backoff_max);
}

// Between half and all of it: thousands of nodes lose the same scheduler at the same moment.
Duration LinkMachine::Jittered(Duration pause) {
  const auto half = static_cast<uint64_t>(pause.count() / 2);
  return Duration(static_cast<int64_t>(half + rng_.Below(half + 1)));
}

}  // namespace allot::agent
