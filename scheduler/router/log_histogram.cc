#include "scheduler/router/log_histogram.h"

#include <algorithm>
#include <bit>

namespace allot::router {

uint32_t LogHistogram::BucketOf(int64_t micros) {
  const auto value = static_cast<uint64_t>(std::max<int64_t>(micros, 0));
  constexpr uint64_t kExact = 1u << kSubBits;
  if (value < kExact) return static_cast<uint32_t>(value);
  const auto top = static_cast<uint32_t>(std::bit_width(value)) - 1;
  if (top > kTopBit) return kBuckets - 1;
  const auto sub = static_cast<uint32_t>(value >> (top - kSubBits)) & (kExact - 1);
  return static_cast<uint32_t>(kExact) * (top - kSubBits + 1) + sub;
}

int64_t LogHistogram::LowerBound(uint32_t bucket) {
  constexpr uint32_t kExact = 1u << kSubBits;
  if (bucket < kExact) return bucket;
  const uint32_t octave = bucket / kExact - 1, sub = bucket % kExact;
  return static_cast<int64_t>(uint64_t{kExact + sub} << octave);
}

void LogHistogram::Add(int64_t micros, uint64_t weight) {
  weights_[BucketOf(micros)] += weight;
  total_ += weight;
}

void LogHistogram::Scale(uint64_t numerator) {
  total_ = 0;
  for (uint64_t& weight : weights_) {
    weight = weight * numerator >> 10;
    total_ += weight;
  }
}

int64_t LogHistogram::Quantile(uint32_t per_ten_thousand) const {
  if (total_ == 0) return 0;
  const uint64_t below = (total_ * std::min(per_ten_thousand, 10'000u) + 9'999) / 10'000;
  // High percentiles are asked for most, and lie near the end: walk down from there, until more
  // than `above` lies at or beyond the bucket.
  const uint64_t above = total_ - std::max<uint64_t>(below, 1);
  uint64_t seen = 0;
  for (uint32_t bucket = kBuckets; bucket-- > 0;) {
    const uint64_t weight = weights_[bucket];
    if (seen + weight <= above) {
      seen += weight;
      continue;
    }
    const int64_t low = LowerBound(bucket), width = LowerBound(bucket + 1) - low;
    const auto part = static_cast<unsigned __int128>(width) * (seen + weight - above) / weight;
    return low + static_cast<int64_t>(part);
  }
  return 0;
}

}  // namespace allot::router
