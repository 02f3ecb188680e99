// Connections of agents that are not links yet: who must still show that it hears us. Pure.
//
// A connection that died with bytes on their way delivers them when the path heals, long after its
// node has dialled anew: hellos that look like any other. So a hello does not make a link. It is
// answered over its own connection with a token, and the hello that brings the token back does:
// nobody on a dead connection hears it. The token is new each time, so a link that was given up is
// opened only by its living end.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "common/base/units.h"

namespace allot::gateway {

class Openings {
 public:
  // A hello of `node` over connection `peer`. 0: it has brought the token back, and the connection
  // is forgotten here; else the token to answer with.
  uint64_t Hello(Time now, const std::string& node, const std::string& peer, uint64_t token,
                 uint64_t fresh_token) {
    std::deque<Opening>& all = by_node_[node];
    for (auto it = all.begin(); it != all.end(); ++it) {
      if (it->peer != peer) continue;
      if (it->token != token) return it->token;
      all.erase(it);
      if (all.empty()) by_node_.erase(node);
      return 0;
    }
    // A node has one connection that lives; a few more may be speaking from the past.
    if (all.size() == kPerNodeMax) {
      all.pop_front();
      ++stale_;
    }
    all.push_back({peer, fresh_token, now});
    return fresh_token;
  }

  void Sweep(Time now) {
    for (auto it = by_node_.begin(); it != by_node_.end();) {
      stale_ += std::erase_if(it->second, [now](const Opening& opening) {
        return now - opening.since > kForgottenAfter;
      });
      it = it->second.empty() ? by_node_.erase(it) : std::next(it);
    }
  }

  // Connections that said hello and never brought their token: they spoke from the past.
  uint64_t stale() const { return stale_; }

 private:
  static constexpr size_t kPerNodeMax = 8;
  static constexpr Duration kForgottenAfter = std::chrono::seconds(30);
  struct Opening {
    std::string peer;
    uint64_t token = 0;
    Time since;
  };
  std::map<std::string, std::deque<Opening>> by_node_;
  uint64_t stale_ = 0;
};

}  // namespace allot::gateway
