// What a device model's answers take, learned from what was observed: per deployment and device
// model, time to first token, time per output token and end to end.
//
// Load. A replica that serves others at the same time answers later. Load is the share of its
// concurrency that others hold, at admission or at the end, whichever is more. Observations are
// kept in two halves, load below a half and above; the prediction at a load lies on the straight
// line through both halves' quantiles, each at its mean load. A half with fewer than four
// observations is left out (of two such the fuller one stays); a line never falls with load.
//
// Forgetting. An observation counts half after history ÷ 2. Weights shrink when new ones come and
// not by themselves: with rare requests the last known times are the best guess. `samples`, the
// trust in them, does shrink with time down to 1, and after 10 × history without any observation
// the estimate starts over, so that a device known to be slow gets another chance.
//
// A request that failed or was given up counts as slow (`censored`): a device that answers errors
// quickly must not look fast.
//
// Integers throughout; no clock. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "common/base/units.h"
#include "scheduler/router/log_histogram.h"

namespace allot::router {

// Share of a replica's concurrency, in 1/1024.
using Load = uint32_t;
inline Load LoadOf(uint32_t others, uint32_t concurrency) {
  return others >= concurrency ? 1024 : others * 1024 / concurrency;
}

// A time that grows with load. All zero: not known.
struct LoadLine {
  int64_t idle_micros = 0, growth_micros = 0;  // at load 0; more at load 1
  Duration Idle() const { return Duration(idle_micros); }
  Duration At(Load load) const { return Duration(idle_micros + (growth_micros * load >> 10)); }
};

struct Prediction {
  LoadLine end_to_end, ttft, per_token;  // at the percentile; a part never observed is zero
  LoadLine mean;                         // end to end
  Duration least{};                      // hardly any answer was faster; 0 if that is not known
  uint32_t samples = 0;                  // 0: nothing known
};

class LatencyEstimate {
 public:
  struct Observation {
    Duration end_to_end{};
    std::optional<Duration> ttft, per_token;  // streamed answers only
    Load load = 0;
    // It would have taken longer: says something of the percentile and nothing of the mean.
    bool censored = false;
  };

  // `percentile` in 1/10,000.
  void Configure(Duration history, uint32_t percentile);
  void Observe(Time now, const Observation& observation);
  const Prediction& Predict(Time now);

 private:
  // One half of the loads. Sums are of weight × value.
  struct Half {
    LogHistogram end_to_end, ttft, per_token;
    int64_t load_sum = 0;                   // over end_to_end.total()
    int64_t mean_weight = 0, mean_sum = 0;  // microseconds, without the censored
    void Scale(int64_t numerator);
  };
  // A quantile and the weight behind it, at the half's mean load.
  struct Point {
    int64_t weight = 0, load = 0, micros = 0;
  };

  static LoadLine Through(const Point& light, const Point& heavy);
  LoadLine LineOf(LogHistogram Half::*part) const;
  void Age(Time now);
  void Clear();
  void Refresh();

  Duration history_ = std::chrono::seconds(60);
  uint32_t percentile_ = 9500;
  std::array<Half, 2> halves_;  // light, heavy
  Time aged_;                   // weights are as of this moment
  Time observed_;               // the last time
  bool stale_ = true;           // prediction_ is older than the histograms
  uint64_t samples_ = 0;        // as of the last observation
  Prediction prediction_;
};

}  // namespace allot::router
