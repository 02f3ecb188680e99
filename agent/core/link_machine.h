// The link to the scheduler: dialling, registering, being fenced, hearing nothing.
//
//   dialling ─LinkUp─► registering ─Welcome─► registered
//      ▲                   │  ▲ │ refused         │ stale epoch, devices changed: registering anew
//      └─Reconnect─ backing off ◄┴──── silence, LinkDown
//
// While it is not registered the node obeys nothing. A number of registration is sent again as
// long as no answer came (the scheduler answers an equal one with the same Welcome); a new
// number is taken whenever the node begins anew, so that a late answer to an old one is known.
#pragma once

#include <optional>

#include "agent/core/core.h"
#include "common/base/rng.h"

namespace allot::agent {

class LinkMachine {
 public:
  LinkMachine(const CoreOptions& options, uint64_t seed);

  void Start(Time now, uint64_t boot);
  void Up(Time now);
  void Down(Time now);
  void Heard(Time now);
  // incarnation: of the store whose scheduler says so.
  void Welcomed(Time now, const Welcome& welcome, Incarnation incarnation, Effects& out);
  void Refused(Time now, const Refuse& refuse, Effects& out);
  void BeginAnew(Time now);  // what the node is has changed

  void Tick(Time now, Effects& out);
  // True once when RegisterNode is to be sent.
  bool TakeRegistration(Time now);
  bool TakeHeartbeat(Time now);
  std::optional<Time> NextWakeup() const;

  bool registered() const { return state_ == State::kRegistered; }
  Epoch epoch() const { return registered() ? epoch_ : Epoch(); }
  // Of the store that is obeyed.
  Incarnation incarnation() const { return incarnation_; }
  uint64_t registration() const { return registration_; }
  Duration heartbeat_every() const { return heartbeat_every_; }

 private:
  enum class State { kIdle, kDialling, kBackingOff, kRegistering, kRegistered };
  void BackOff(Time now);
  Duration Jittered(Duration pause);

  const CoreOptions options_;
  Rng rng_;
  State state_ = State::kIdle;
  uint64_t registration_ = 0;
  Epoch epoch_;
  Incarnation incarnation_;
  Duration heartbeat_every_ = std::chrono::seconds(1);
  Duration backoff_{};                                   // of the next Reconnect
  Time silent_at_;                                       // when silence has lasted too long
  Time reconnect_at_;                                    // kBackingOff
  Time register_at_;                                     // kRegistering: next RegisterNode
  Time heartbeat_at_;                                    // kRegistered
  std::optional<std::vector<GatewayAddress>> gateways_;  // as told to the shell
  std::optional<std::vector<std::string>> gateway_keys_;  // likewise
};

}  // namespace allot::agent
