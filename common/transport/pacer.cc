#include "common/transport/pacer.h"

#include <algorithm>

namespace allot::transport {

void Pacer::Sent(Duration now, uint64_t bytes) {
  if (bytes == 0) return;
  sent_ += bytes;
  marks_.push_back({sent_, now});
  if (room() == 0) filled_ = true;
}

void Pacer::Acknowledged(Duration now, uint64_t total) {
  total = std::min(total, sent_);
  if (total <= acknowledged_) return;
  const uint64_t fresh = total - acknowledged_;
  acknowledged_ = total;
  std::optional<Duration> took;  // by what arrived last
  while (!marks_.empty() && marks_.front().total <= total) {
    took = now - marks_.front().at;
    marks_.pop_front();
  }
  if (!took) return;
  shortest_ = std::min(shortest_.value_or(*took), *took);
  const Duration waited = *took - *shortest_;
  if (waited <= kShort) {
    if (filled_) window_ = std::min(window_ + fresh, kWindowMax);
    filled_ = false;
  } else if (waited > kLong) {
    if (total > judged_to_) {
      judged_to_ = sent_;
      judged_window_ = window_;
    }
    const auto right = static_cast<uint64_t>(static_cast<double>(judged_window_) *
                                             static_cast<double>(kRight.count()) /
                                             static_cast<double>(waited.count()));
    window_ = std::clamp(right, kWindowMin, window_);
  }
}

}  // namespace allot::transport
