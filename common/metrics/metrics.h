// Prometheus metrics behind plain handles; <prometheus/*> is included in this folder only.
//
// A metric is a row in the catalogue of its program (name, kind, help, labels with their closed
// lists); handles are taken once at start-up. Names: allotrope_<what>_<base unit>[_total].
// Thread-safe; a handle costs a virtual call and an atomic (a histogram: a lock nobody else holds
// for long). Labels are bounded: beyond `series_max` label sets a family counts new ones under
// "other" and in allotrope_metrics_series_refused_total; tests may have it crash instead.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace allot::metrics {

using Labels = std::map<std::string, std::string>;

class Counter {
 public:
  virtual ~Counter() = default;
  virtual void Add(double amount = 1) = 0;
  virtual double Value() const = 0;
};
class Gauge {
 public:
  virtual ~Gauge() = default;
  virtual void Set(double value) = 0;
  virtual double Value() const = 0;
};
class Histogram {
 public:
  virtual ~Histogram() = default;
  virtual void Observe(double value) = 0;
};

enum class Kind { kCounter, kGauge, kHistogram };
struct Row {
  std::string name, help;
  Kind kind = Kind::kCounter;
  std::vector<double> buckets = {};  // histograms, in base units
  size_t series_max = 1000;
};

class Registry {
 public:
  enum class Overflow { kOther, kCrash };
  explicit Registry(Overflow overflow = Overflow::kOther);
  ~Registry();
  // Handles live as long as the registry. Asking again with the same labels gives the same one.
  // A row must be asked for as its kind says, and always with the same label names (CHECK).
  Counter& GetCounter(const Row& row, const Labels& labels = {});
  Gauge& GetGauge(const Row& row, const Labels& labels = {});
  Histogram& GetHistogram(const Row& row, const Labels& labels = {});
  // A device or node that went away; its handle is gone. Nothing happens if it is not there.
  void RemoveGauge(const Row& row, const Labels& labels);
  std::string Text() const;  // exposition format 0.0.4
  // process_resident_memory_bytes, process_virtual_memory_bytes, process_cpu_seconds_total,
  // process_open_fds, process_max_fds, process_threads, process_start_time_seconds; read from
  // /proc at each Text(). With them allotrope_build_info, by program and version.
  void AddProcessMetrics();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Buckets in seconds: 100 µs … 60 s, about four a decade.
std::vector<double> LatencyBuckets();

}  // namespace allot::metrics
