// Metrics that follow what is kept elsewhere, brought up to date when somebody asks for the text.
// One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "common/metrics/metrics.h"

namespace allot::metrics {

// A counter that is kept elsewhere as a growing number. Others may add to the same counter.
class MirroredCounter {
 public:
  explicit MirroredCounter(Counter& counter) : counter_(counter) {}
  void Follow(uint64_t value) {
    if (value > seen_) counter_.Add(static_cast<double>(value - seen_));
    seen_ = value;
  }

 private:
  Counter& counter_;
  uint64_t seen_ = 0;
};

// Such counters by their labels, for label sets that are not known beforehand.
class Mirror {
 public:
  explicit Mirror(Registry& registry) : registry_(registry) {}
  void Follow(const Row& row, const Labels& labels, uint64_t value) {
    counters_.try_emplace({row.name, labels}, registry_.GetCounter(row, labels))
        .first->second.Follow(value);
  }

 private:
  Registry& registry_;
  std::map<std::pair<std::string, Labels>, MirroredCounter> counters_;
};

// A gauge family that is computed as a whole: label sets that are not in the newest picture go.
class GaugeFamily {
 public:
  explicit GaugeFamily(const Row& row) : row_(row) {}
  void Publish(Registry& registry, const std::map<Labels, double>& values) {
    for (const auto& [labels, value] : published_) {
      if (!values.contains(labels)) registry.RemoveGauge(row_, labels);
    }
    for (const auto& [labels, value] : values) registry.GetGauge(row_, labels).Set(value);
    published_ = values;
  }

 private:
  Row row_;
  std::map<Labels, double> published_;
};

}  // namespace allot::metrics
