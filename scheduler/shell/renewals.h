// Peers that were asked to renew their keys, and how far each is. Pure; loop thread only.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/transport/keys.h"

namespace allot::scheduler {

class Renewals {
 public:
  enum class State { kAsked, kDone, kFailed };
  struct Peer {
    std::string name;
    transport::Role role = transport::Role::kAgent;
    State state = State::kAsked;
    uint64_t ticket = 0;
    std::string why;  // of a failure
  };

  void Ask(const std::string& name, transport::Role role) {
    peers_[name] = {name, role, State::kAsked, ++last_ticket_, ""};
  }
  // Null: it was not asked, or has answered.
  const Peer* Asked(const std::string& name) const {
    const auto found = peers_.find(name);
    return found != peers_.end() && found->second.state == State::kAsked ? &found->second : nullptr;
  }
  void End(const std::string& name, const Status& how) {
    Peer& peer = peers_[name];
    peer.state = how.ok() ? State::kDone : State::kFailed;
    peer.why = how.ok() ? "" : MessageOf(how);
  }
  const std::map<std::string, Peer>& all() const { return peers_; }

 private:
  std::map<std::string, Peer> peers_;  // by name, of the last that was asked of each
  uint64_t last_ticket_ = 0;
};

}  // namespace allot::scheduler
