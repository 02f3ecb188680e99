// The last N keys that are over and must never begin again: a command that was delayed or
// repeated by the network may still name one.
//
// Bounded, because what is older than N keys is also older than any epoch the node obeys: the
// scheduler repeats a command only until its answer is durable.
#pragma once

#include <deque>

#include "absl/container/flat_hash_set.h"

namespace allot::agent {

template <class Key>
class KeyMemory {
 public:
  explicit KeyMemory(size_t keys_max) : keys_max_(keys_max) {}
  void Add(const Key& key) {
    if (!keys_.insert(key).second) return;
    order_.push_back(key);
    if (order_.size() <= keys_max_) return;
    keys_.erase(order_.front());
    order_.pop_front();
  }
  bool Has(const Key& key) const { return keys_.contains(key); }

 private:
  size_t keys_max_;
  absl::flat_hash_set<Key> keys_;
  std::deque<Key> order_;
};

}  // namespace allot::agent
