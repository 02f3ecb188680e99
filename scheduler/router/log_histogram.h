// A histogram of durations with logarithmic buckets: eight to every doubling, so a quantile is
// off by at most an eighth, from 1 µs to 2 hours. Weights are integers and bucket bounds are
// computed with shifts: the same observations give the same quantiles on every machine.
//
// No thread, no clock. Weighted, so that old observations can be made to count for less.
#pragma once

#include <array>
#include <cstdint>

namespace allot::router {

class LogHistogram {
 public:
  static constexpr uint32_t kSubBits = 3;  // 2^3 buckets to a doubling
  static constexpr uint32_t kTopBit = 32;  // 2^33 µs is 2.4 hours; beyond is the last bucket
  static constexpr uint32_t kBuckets = (1u << kSubBits) * (kTopBit - kSubBits + 2);

  static uint32_t BucketOf(int64_t micros);
  static int64_t LowerBound(uint32_t bucket);  // of kBuckets: the end of the last one

  void Add(int64_t micros, uint64_t weight);
  // Every weight × numerator ÷ 1024, rounded down; numerator ≤ 1024.
  void Scale(uint64_t numerator);

  uint64_t total() const { return total_; }
  // Value below which `per_ten_thousand` of the weight lies, straight between bucket bounds.
  // 0 when empty.
  int64_t Quantile(uint32_t per_ten_thousand) const;

 private:
  std::array<uint64_t, kBuckets> weights_{};
  uint64_t total_ = 0;
};

}  // namespace allot::router
