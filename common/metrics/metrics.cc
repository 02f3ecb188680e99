#include "common/metrics/metrics.h"

#include <atomic>
#include <functional>
#include <mutex>
#include <sstream>

#include "common/base/check.h"
#include "common/base/text.h"
#include "common/metrics/process.h"
#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "prometheus/text_serializer.h"

namespace allot::metrics {
namespace {

class CounterHandle : public Counter {
 public:
  explicit CounterHandle(prometheus::Counter& metric) : metric_(metric) {}
  void Add(double amount) override { metric_.Increment(amount); }
  double Value() const override { return metric_.Value(); }
  prometheus::Counter* metric() { return &metric_; }

 private:
  prometheus::Counter& metric_;
};

class GaugeHandle : public Gauge {
 public:
  explicit GaugeHandle(prometheus::Gauge& metric) : metric_(metric) {}
  void Set(double value) override { metric_.Set(value); }
  double Value() const override { return metric_.Value(); }
  prometheus::Gauge* metric() { return &metric_; }

 private:
  prometheus::Gauge& metric_;
};

class HistogramHandle : public Histogram {
 public:
  explicit HistogramHandle(prometheus::Histogram& metric) : metric_(metric) {}
  void Observe(double value) override { metric_.Observe(value); }
  prometheus::Histogram* metric() { return &metric_; }

 private:
  prometheus::Histogram& metric_;
};

// One row with the label sets seen so far.
template <class Metric, class Handle>
struct Family {
  prometheus::Family<Metric>* family = nullptr;
  size_t series_max = 0;
  std::map<Labels, std::unique_ptr<Handle>> handles;
};

bool SameNames(const Labels& a, const Labels& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return x.first == y.first; });
}

}  // namespace

class Registry::Impl {
 public:
  explicit Impl(Overflow overflow)
      : overflow_(overflow),
        refused_(prometheus::BuildCounter()
                     .Name("allotrope_metrics_series_refused_total")
                     .Help("Label sets counted under \"other\" because their family was full.")
                     .Register(registry_)
                     .Add({})) {}

  Counter& GetCounter(const Row& row, const Labels& labels) {
    CHECK(row.kind == Kind::kCounter);
    const std::lock_guard lock(mutex_);
    return Get(counters_, row, labels, [] { return prometheus::BuildCounter(); });
  }
  Gauge& GetGauge(const Row& row, const Labels& labels) {
    CHECK(row.kind == Kind::kGauge);
    const std::lock_guard lock(mutex_);
    return Get(gauges_, row, labels, [] { return prometheus::BuildGauge(); });
  }
  Histogram& GetHistogram(const Row& row, const Labels& labels) {
    CHECK(row.kind == Kind::kHistogram && !row.buckets.empty());
    const std::lock_guard lock(mutex_);
    return Get(
        histograms_, row, labels, [] { return prometheus::BuildHistogram(); }, row.buckets);
  }

  void RemoveGauge(const Row& row, const Labels& labels) {
    const std::lock_guard lock(mutex_);
    const auto family = gauges_.find(row.name);
    if (family == gauges_.end()) return;
    const auto handle = family->second.handles.find(labels);
    if (handle == family->second.handles.end()) return;
    family->second.family->Remove(handle->second->metric());
    family->second.handles.erase(handle);
  }

  std::string Text() const {
    std::vector<prometheus::MetricFamily> families = registry_.Collect();
    if (with_process_) {
      for (auto& family : CollectProcess()) families.push_back(std::move(family));
    }
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, families);
    return std::move(out).str();
  }

  void AddProcessMetrics() { with_process_ = true; }

 private:
  template <class Metric, class Handle, class Build, class... Args>
  Handle& Get(std::map<std::string, Family<Metric, Handle>>& families, const Row& row,
              const Labels& labels, Build build, const Args&... args) {
    Family<Metric, Handle>& family = families[row.name];
    if (family.family == nullptr) {
      family.family = &build().Name(row.name).Help(row.help).Register(registry_);
      family.series_max = row.series_max;
    }
    const auto known = family.handles.find(labels);
    if (known != family.handles.end()) return *known->second;
    CHECK(family.handles.empty() || SameNames(family.handles.begin()->first, labels));
    if (family.handles.size() < family.series_max || labels.empty()) {
      return Add(family, labels, args...);
    }

    CHECK(overflow_ == Overflow::kOther);
    refused_.Increment();
    Labels other = labels;
    for (auto& [name, value] : other) value = "other";
    const auto shared = family.handles.find(other);
    return shared != family.handles.end() ? *shared->second : Add(family, other, args...);
  }

  template <class Metric, class Handle, class... Args>
  Handle& Add(Family<Metric, Handle>& family, const Labels& labels, const Args&... args) {
    Labels clean = labels;  // One bad byte would make Prometheus drop the whole page.
    for (auto& [name, value] : clean) value = ReplaceInvalidUtf8(value);
    auto& slot = family.handles[labels];
    slot = std::make_unique<Handle>(family.family->Add(clean, args...));
    return *slot;
  }

  const Overflow overflow_;
  prometheus::Registry registry_;
  prometheus::Counter& refused_;
  std::mutex mutex_;  // Guards the maps; a handle needs no lock of ours.
  std::map<std::string, Family<prometheus::Counter, CounterHandle>> counters_;
  std::map<std::string, Family<prometheus::Gauge, GaugeHandle>> gauges_;
  std::map<std::string, Family<prometheus::Histogram, HistogramHandle>> histograms_;
  std::atomic<bool> with_process_ = false;
};

Registry::Registry(Overflow overflow) : impl_(std::make_unique<Impl>(overflow)) {}
Registry::~Registry() = default;
Counter& Registry::GetCounter(const Row& row, const Labels& labels) {
  return impl_->GetCounter(row, labels);
}
Gauge& Registry::GetGauge(const Row& row, const Labels& labels) {
  return impl_->GetGauge(row, labels);
}
Histogram& Registry::GetHistogram(const Row& row, const Labels& labels) {
  return impl_->GetHistogram(row, labels);
}
void Registry::RemoveGauge(const Row& row, const Labels& labels) {
  impl_->RemoveGauge(row, labels);
}
std::string Registry::Text() const { return impl_->Text(); }
void Registry::AddProcessMetrics() { impl_->AddProcessMetrics(); }

std::vector<double> LatencyBuckets() {
  return {0.0001, 0.0002, 0.0003, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05,
          0.1,    0.2,    0.3,    0.5,    1,     2,     3,     5,     10,   20,   30,   60};
}

}  // namespace allot::metrics
