#include "scheduler/router/latency_model.h"

#include <algorithm>

namespace allot::router {
namespace {

// One observation. Fixed point, so that shrinking weights keep their proportions.
constexpr int64_t kOne = 1024;
// Weights shrink in steps of an eighth of their half life: 2^(-1/8) = 939/1024.
constexpr int64_t kStepsPerHalfLife = 8;
constexpr int64_t kStepFactor = 939;
constexpr int64_t kStepsMax = 256;  // 2^-32: nothing is left
// Sums of weight × microseconds stay below 2^61.
constexpr uint64_t kWeightMax = uint64_t{1} << 28;
constexpr int64_t kTimeMax = int64_t{1} << 33;  // as the histograms
constexpr int64_t kPointWeightMin = 4 * kOne;
constexpr uint64_t kLeastWeightMin = 8 * kOne;
constexpr uint32_t kLeastQuantile = 100;  // 1 %
constexpr int64_t kForgottenAfter = 10;   // × history

int64_t Clamp(Duration time) { return std::clamp<int64_t>(time.count(), 0, kTimeMax); }

// value × numerator ÷ 1024 without leaving 64 bits.
int64_t Shrink(int64_t value, int64_t numerator) {
  return value / 1024 * numerator + value % 1024 * numerator / 1024;
}

}  // namespace

void LatencyEstimate::Half::Scale(int64_t numerator) {
  const auto factor = static_cast<uint64_t>(numerator);
  const auto before = static_cast<int64_t>(end_to_end.total());
  end_to_end.Scale(factor);
  ttft.Scale(factor);
  per_token.Scale(factor);
  // In proportion to what rounding left of the weights, so that the mean stays.
  const auto after = static_cast<int64_t>(end_to_end.total());
  load_sum =
      before == 0 ? 0 : static_cast<int64_t>(static_cast<__int128>(load_sum) * after / before);
  mean_weight = Shrink(mean_weight, numerator);
  mean_sum = Shrink(mean_sum, numerator);
}

void LatencyEstimate::Configure(Duration history, uint32_t percentile) {
  history = std::max<Duration>(history, 1s);
  if (history == history_ && percentile == percentile_) return;
  history_ = history;
  percentile_ = percentile;
  stale_ = true;
}

void LatencyEstimate::Clear() {
  halves_ = {};
  samples_ = 0;
  prediction_ = Prediction();
}

void LatencyEstimate::Age(Time now) {
  const Duration step = history_ / (2 * kStepsPerHalfLife);
  int64_t steps = (now - aged_) / step;
  if (steps > kStepsMax) {
    Clear();
    aged_ = now;
    return;
  }
  aged_ += steps * step;
  for (Half& half : halves_) {
    const int64_t times = steps + (half.end_to_end.total() > kWeightMax ? 1 : 0);
    if (times == 0) continue;
    int64_t numerator = 1 << 20;  // Folded first: one walk over the buckets, whatever the gap.
    for (int64_t i = 0; i < times; ++i) numerator = numerator * kStepFactor / 1024;
    half.Scale(numerator >> 10);
  }
}

void LatencyEstimate::Observe(Time now, const Observation& observation) {
  Age(now);
  observed_ = now;
  stale_ = true;
  Half& half = halves_[observation.load < 512 ? 0 : 1];
  const int64_t time = Clamp(observation.end_to_end);
  half.end_to_end.Add(time, kOne);
  half.load_sum += kOne * static_cast<int64_t>(observation.load);
  if (!observation.censored || half.mean_weight == 0) {
    half.mean_weight += kOne;
    half.mean_sum += kOne * time;
  }
  if (observation.ttft.has_value()) half.ttft.Add(Clamp(*observation.ttft), kOne);
  if (observation.per_token.has_value()) half.per_token.Add(Clamp(*observation.per_token), kOne);
}

LoadLine LatencyEstimate::Through(const Point& light, const Point& heavy) {
  if (light.weight >= kPointWeightMin && heavy.weight >= kPointWeightMin) {
    const int64_t apart = heavy.load - light.load;
    if (heavy.micros <= light.micros || apart < 64)
      return {std::max(light.micros, heavy.micros), 0};
    const int64_t growth = (heavy.micros - light.micros) * 1024 / apart;
    // Noise must not put the line's start at nothing.
    const int64_t idle = std::max(light.micros - growth * light.load / 1024, light.micros / 8);
    return {idle, growth};
  }
  return {(light.weight > heavy.weight ? light : heavy).micros, 0};
}

LoadLine LatencyEstimate::LineOf(LogHistogram Half::*part) const {
  std::array<Point, 2> points;
  for (size_t i = 0; i < points.size(); ++i) {
    const Half& half = halves_[i];
    const auto all = static_cast<int64_t>(half.end_to_end.total());
    points[i] = {static_cast<int64_t>((half.*part).total()), all == 0 ? 0 : half.load_sum / all,
                 (half.*part).Quantile(percentile_)};
  }
  return Through(points[0], points[1]);
}

void LatencyEstimate::Refresh() {
  stale_ = false;
  prediction_.end_to_end = LineOf(&Half::end_to_end);
  prediction_.ttft = LineOf(&Half::ttft);
  prediction_.per_token = LineOf(&Half::per_token);

  std::array<Point, 2> means;
  uint64_t weight = 0;
  for (size_t i = 0; i < means.size(); ++i) {
    const Half& half = halves_[i];
    const auto all = static_cast<int64_t>(half.end_to_end.total());
    weight += half.end_to_end.total();
    means[i] = {half.mean_weight, all == 0 ? 0 : half.load_sum / all,
                half.mean_weight == 0 ? 0 : half.mean_sum / half.mean_weight};
  }
  prediction_.mean = Through(means[0], means[1]);
  samples_ = (weight + kOne / 2) / kOne;
  const LogHistogram& light = halves_[0].end_to_end;
  prediction_.least =
      Duration(light.total() < kLeastWeightMin ? 0 : light.Quantile(kLeastQuantile));
}

const Prediction& LatencyEstimate::Predict(Time now) {
  if (stale_) Refresh();
  if (samples_ == 0) return prediction_;
  const Duration silent = now - observed_;
  if (silent > kForgottenAfter * history_) {
    Clear();
    return prediction_;
  }
  // Trust halves with every half life of silence, but what was seen was seen.
  const int64_t halvings = std::min<int64_t>(2 * silent / history_, 63);
  prediction_.samples =
      static_cast<uint32_t>(std::clamp<uint64_t>(samples_ >> halvings, 1, UINT32_MAX));
  return prediction_;
}

}  // namespace allot::router
