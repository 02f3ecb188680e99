// One direction between two ports of the test switch: what a frame meets on its way.
//
// Pure: time is an argument and chance a seeded generator, so its unit test is exact. A frame is lost
// (cut, larger than the path's MTU, by chance, or because the queue before a slow line is full) or it
// arrives at a time: it waits for the line, takes size / rate on it, and then the delay. Frames of one
// direction never overtake one another.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>

namespace allot::testing::net {

using Time = std::chrono::steady_clock::time_point;
using Micros = std::chrono::microseconds;

struct PathSettings {
  Micros delay{0};
  double loss = 0;                   // 0 to 1
  int64_t bits_per_second = 0;       // 0: as fast as the machine goes
  size_t mtu = 0;                    // bytes of IP; larger frames vanish without a word. 0: no limit
  size_t queue_bytes = 256 * 1024;   // waiting for the line; a frame beyond it is lost
  bool cut = false;
};

class Path {
 public:
  explicit Path(uint64_t seed) : rng_(seed) {}

  // Counts from now on; what is under way arrives as it would have, but not over a cut.
  void Set(const PathSettings& settings) { settings_ = settings; }
  const PathSettings& settings() const { return settings_; }

  // When a frame of `bytes` (Ethernet's 14 included) that is sent now arrives; nothing: never.
  std::optional<Time> Send(Time now, size_t bytes);

  uint64_t lost() const { return lost_; }

 private:
  PathSettings settings_;
  std::mt19937_64 rng_;
  Time line_free_{};
  Time last_arrival_{};
  uint64_t lost_ = 0;
};

}  // namespace allot::testing::net
