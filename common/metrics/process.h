// Metrics of this process, read from /proc, under the names every Prometheus client uses, and what
// it was built from (allotrope_build_info).
// Internal to common/metrics.
#pragma once

#include <vector>

#include "prometheus/metric_family.h"

namespace allot::metrics {

// Families whose source cannot be read are left out. Thread-safe.
std::vector<prometheus::MetricFamily> CollectProcess();

}  // namespace allot::metrics
