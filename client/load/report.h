// From the samples of a run to what one wants to know, as JSON to keep and as a table to compare.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "client/load/load.h"
#include "common/base/status.h"

namespace allot::client::load {

struct Quantiles {
  double p50 = 0, p95 = 0, p99 = 0;
};
// Nearest rank: the smallest value that at least q of all do not exceed. Absent without values.
std::optional<Quantiles> QuantilesOf(std::vector<double> values);

struct Share {
  std::string kind, device_model;
  bool emulated = false;
  int requests = 0;
  double ratio = 0;
  std::optional<Quantiles> latency_seconds;
};

struct Report {
  std::string policy;  // as the answers named it
  int requests = 0, ok = 0, streamed = 0;
  double seconds = 0;
  std::optional<Quantiles> latency_seconds;  // of ok requests
  std::optional<Quantiles> ttft_seconds;     // of ok streams
  // Price of the leased devices × time held ÷ requests the replica takes at once.
  std::optional<double> cost_usd_per_1000;
  // What they draw at most in place of the price: modelled. Absent if any answer named no power.
  std::optional<double> energy_joules_per_1000;
  std::vector<Share> shares;                          // of ok requests, by device, largest first
  std::vector<std::pair<std::string, int>> failures;  // "HTTP 503", "no answer", "cut off"
};

Report Summarize(const LoadRun& run);
std::string ToJson(const Report& report);
StatusOr<Report> FromJson(const std::string& text, const std::string& place);
// One row a report; then each report's devices. Of several reports with emulated devices, what is
// not comparable is left out, and that is said.
std::string ToTable(const std::vector<Report>& reports);

}  // namespace allot::client::load
