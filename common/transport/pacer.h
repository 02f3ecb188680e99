// How many bytes may be on their way on a link at once. Pure.
//
// libzmq takes whatever it is given and sends it in order, so what it holds is what the next hello
// waits behind: eight megabytes at ten megabits are six seconds of silence, and silence ends a
// link. So bodies leave only while less than a window of them is unacknowledged. The window follows
// the time that an acknowledgement takes beyond the shortest one seen (the path itself): it grows
// while that is short and halves when it is long, and so holds a fraction of a second of whatever
// the path carries. As in LEDBAT (RFC 6817), and for its reason: what else is on the path must not
// notice.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "common/base/units.h"

namespace allot::transport {

class Pacer {
 public:
  static constexpr uint64_t kWindowMin = 32 << 10;
  static constexpr uint64_t kWindowStart = 256 << 10;
  static constexpr uint64_t kWindowMax = 4 << 20;
  // The receiver acknowledges when so much has come since it last did, and not before: less than
  // this says nothing about time. Far below the smallest window, so nobody waits for the rest.
  static constexpr uint64_t kAcknowledgeAfter = 8 << 10;
  static constexpr Duration kShort = std::chrono::milliseconds(200);
  static constexpr Duration kLong = std::chrono::milliseconds(500);
  static constexpr Duration kRight = std::chrono::milliseconds(350);

  // `now`: of any clock that only goes forward.
  void Sent(Duration now, uint64_t bytes);
  // `total`: bytes that have arrived since the beginning. More than was sent is taken for all.
  void Acknowledged(Duration now, uint64_t total);

  uint64_t window() const { return window_; }
  uint64_t in_flight() const { return sent_ - acknowledged_; }
  // Bytes that may leave now.
  uint64_t room() const { return in_flight() < window_ ? window_ - in_flight() : 0; }

 private:
  struct Mark {
    uint64_t total;  // sent, with what left at `at`
    Duration at;
  };
  uint64_t window_ = kWindowStart;
  uint64_t sent_ = 0, acknowledged_ = 0;
  // What was sent up to here left under this window, and is judged by it.
  uint64_t judged_to_ = 0, judged_window_ = kWindowStart;
  bool filled_ = false;  // it was the window that held us back
  std::optional<Duration> shortest_;
  std::deque<Mark> marks_;
};

}  // namespace allot::transport
