#include "tests/machines-net/switch/path.h"

#include <algorithm>

namespace allot::testing::net {
namespace {

constexpr size_t kEthernetHeader = 14;

Micros OnTheLine(size_t bytes, int64_t bits_per_second) {
  return Micros(static_cast<int64_t>(bytes) * 8 * 1'000'000 / bits_per_second);
}

}  // namespace

std::optional<Time> Path::Send(Time now, size_t bytes) {
  const auto lose = [&]() -> std::optional<Time> {
    ++lost_;
    return std::nullopt;
  };
  if (settings_.cut) return lose();
  if (settings_.mtu != 0 && bytes > settings_.mtu + kEthernetHeader) return lose();
  // Drawn for each frame that gets this far, so that one seed loses the same frames at any rate.
  const double drawn = std::uniform_real_distribution<double>(0, 1)(rng_);
  if (drawn < settings_.loss) return lose();

  Time sent = now;
  if (settings_.bits_per_second > 0) {
    const Time start = std::max(now, line_free_);
    const auto waiting = std::chrono::duration_cast<Micros>(start - now);
    const auto queued = waiting.count() * settings_.bits_per_second / 8 / 1'000'000;
    if (static_cast<size_t>(queued) + bytes > settings_.queue_bytes) return lose();
    sent = start + OnTheLine(bytes, settings_.bits_per_second);
    line_free_ = sent;
  }
  last_arrival_ = std::max(last_arrival_, sent + settings_.delay);
  return last_arrival_;
}

}  // namespace allot::testing::net
