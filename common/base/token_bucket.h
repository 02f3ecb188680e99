// So many a second, and a burst beforehand. May go into debt: what cannot be cut in two is let
// through and paid for afterwards. Pure.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/base/limits.h"
#include "common/base/units.h"

namespace allot {

class TokenBucket {
 public:
  TokenBucket(const Limit& per_second, const Limit& burst)
      : TokenBucket(per_second.value, burst.value) {}
  TokenBucket(int64_t per_second, int64_t burst)
      : per_second_(static_cast<double>(per_second)),
        burst_(static_cast<double>(burst)),
        tokens_(burst_) {}

  // True, and taken: they were there.
  bool Take(Duration now, int64_t tokens = 1) {
    Refill(now);
    if (tokens_ < static_cast<double>(tokens)) return false;
    tokens_ -= static_cast<double>(tokens);
    return true;
  }
  // Taken in any case; the debt is at most what `debt_max` brings in.
  void Charge(Duration now, int64_t tokens, Duration debt_max = Duration::max()) {
    Refill(now);
    tokens_ = std::max(tokens_ - static_cast<double>(tokens),
                       -per_second_ * static_cast<double>(debt_max.count()) / 1e6);
  }
  void GiveBack(int64_t tokens) {
    tokens_ = std::min(tokens_ + static_cast<double>(tokens), burst_);
  }
  // How long until there are so many; 0: there are.
  Duration Until(Duration now, int64_t tokens = 0) {
    Refill(now);
    const double missing = static_cast<double>(tokens) - tokens_;
    if (missing <= 0) return Duration(0);
    return Duration(static_cast<int64_t>(missing / per_second_ * 1e6) + 1);
  }

 private:
  void Refill(Duration now) {
    if (now <= last_) return;
    tokens_ =
        std::min(burst_, tokens_ + per_second_ * static_cast<double>((now - last_).count()) / 1e6);
    last_ = now;
  }

  double per_second_, burst_, tokens_;
  Duration last_{};
};

}  // namespace allot
