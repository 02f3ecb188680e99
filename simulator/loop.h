// Virtual time: what is to happen, in order of its time, then of its asking. Nothing else moves.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "common/base/units.h"

namespace allot::simulator {

class Loop {
 public:
  using Action = absl::AnyInvocable<void()>;

  Time now() const { return now_; }
  void At(Time at, Action action) {
    heap_.push_back({std::max(at, now_), ++sequence_, std::move(action)});
    std::push_heap(heap_.begin(), heap_.end(), Later);
  }
  void After(Duration delay, Action action) { At(now_ + delay, std::move(action)); }
  // Runs the next action; false when there is none.
  bool RunOne() {
    if (heap_.empty()) return false;
    std::pop_heap(heap_.begin(), heap_.end(), Later);
    Entry entry = std::move(heap_.back());
    heap_.pop_back();
    now_ = entry.at;
    entry.action();
    return true;
  }

 private:
  struct Entry {
    Time at;
    uint64_t sequence;
    Action action;
  };
  static bool Later(const Entry& a, const Entry& b) {
    return a.at != b.at ? a.at > b.at : a.sequence > b.sequence;
  }

  Time now_ = FromMicros(1'700'000'000'000'000);
  uint64_t sequence_ = 0;
  std::vector<Entry> heap_;
};

}  // namespace allot::simulator
