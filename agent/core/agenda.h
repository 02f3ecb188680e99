// Deadlines by key: set, moved, cleared and popped in order, each in O(log n).
//
// Equal times come out in key order, so that the same events give the same effects.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>

#include "common/base/units.h"

namespace allot::agent {

template <class Key>
class Agenda {
 public:
  void Set(const Key& key, Time due) {
    auto [it, fresh] = due_.try_emplace(key, due);
    if (!fresh) {
      if (it->second == due) return;
      order_.erase({it->second, key});
      it->second = due;
    }
    order_.insert({due, key});
  }
  void Clear(const Key& key) {
    const auto it = due_.find(key);
    if (it == due_.end()) return;
    order_.erase({it->second, key});
    due_.erase(it);
  }
  std::optional<Time> Earliest() const {
    if (order_.empty()) return std::nullopt;
    return order_.begin()->first;
  }
  // The next key whose time has come; it leaves the agenda.
  std::optional<Key> PopDue(Time now) {
    if (order_.empty() || order_.begin()->first > now) return std::nullopt;
    const Key key = order_.begin()->second;
    order_.erase(order_.begin());
    due_.erase(key);
    return key;
  }

 private:
  std::set<std::pair<Time, Key>> order_;
  std::map<Key, Time> due_;
};

// The earlier of two wishes, either of which may be absent.
inline std::optional<Time> Earlier(std::optional<Time> a, std::optional<Time> b) {
  if (!a) return b;
  if (!b) return a;
  return *a < *b ? a : b;
}

}  // namespace allot::agent
