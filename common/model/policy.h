// A policy file after checking: names of algorithms with their knobs, and the price book.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/units.h"
#include "common/model/device.h"

namespace allot {

struct PriceRow {
  std::string model;            // glob over catalogue names; the first row that matches counts
  PriceRate rate;               // of a whole device
  std::optional<double> watts;  // overrides the catalogue's power
  bool operator==(const PriceRow&) const = default;
};

struct PriceBook {
  std::string as_of;  // date the prices were looked up, shown with every price
  std::vector<PriceRow> rows;
  PriceRate other_gpu, other_cpu_core, other_asic;  // for models no row names
  int64_t energy_micros_per_kwh = 100'000;
  int64_t micros_per_waiting_job_hour = 0;
  // What a second of a request is worth, in nano-dollars (policy `balanced`): 0.20 $/h is 55,556.
  int64_t value_nanos_per_second = 0;
  bool operator==(const PriceBook&) const = default;
};

struct QueueKnobs {
  std::string algorithm = "priority";    // policies/queue
  std::map<std::string, double> shares;  // fair_share: tenant → weight; others 1
  Duration head_hold_after = std::chrono::minutes(
      5);  // after this wait the oldest job stops younger ones from overtaking it
  bool operator==(const QueueKnobs&) const = default;
};

struct PlacementKnobs {
  std::string algorithm = "best_fit";  // policies/placement
  double fragmentation_weight = 1.0;   // best_fit: price of what a placement leaves unusable
  bool operator==(const PlacementKnobs&) const = default;
};

struct RoutingKnobs {
  std::string algorithm = "cheapest_within_slo";  // policies/routing
  double explore_ratio = 0.02;  // share of requests spent on learning about other devices
  Duration history = std::chrono::seconds(60);  // how far back the latency estimate looks
  bool operator==(const RoutingKnobs&) const = default;
};

struct Policy {
  std::string name = "balanced";
  std::string description;
  QueueKnobs queue;
  PlacementKnobs placement;
  RoutingKnobs routing;
  PriceBook prices;
  bool operator==(const Policy&) const = default;
};

// Price of one whole device; for kind CPU, of `cores` of them.
PriceRate PriceOf(const PriceBook& book, const Device& device);
PriceRate PriceOfCpuShare(const PriceBook& book, const Device& device, MilliCpu share);

}  // namespace allot
