// The last values of many: what was added first is the first to be forgotten, so that it stays as
// small as it was made, whatever clients send.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <unordered_set>

namespace allot::gateway {

class RecentSet {
 public:
  explicit RecentSet(size_t most) : most_(most) {}

  // Of one that is there already its age stays.
  void Add(uint64_t value) {
    if (!values_.insert(value).second) return;
    order_.push_back(value);
    if (order_.size() <= most_) return;
    values_.erase(order_.front());
    order_.pop_front();
  }
  bool Has(uint64_t value) const { return values_.contains(value); }

 private:
  size_t most_;
  std::unordered_set<uint64_t> values_;
  std::deque<uint64_t> order_;
};

}  // namespace allot::gateway
