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

// From this hour of the day to that one (past midnight if it is not later) other prices hold.
struct PriceHours {
  uint32_t from = 0, to = 0;  // 0 to 23, of the book's own offset from UTC
  std::optional<int64_t> energy_micros_per_kwh;
  double factor = 1.0;  // on every device price
  bool operator==(const PriceHours&) const = default;
};

struct PriceBook {
  std::string as_of;  // date the prices were looked up, shown with every price
  std::vector<PriceRow> rows;
  std::vector<PriceHours> hours;  // the first that holds counts
  int32_t utc_offset_minutes = 0;
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

// The most that may be leased at once, by what devices draw at most. Absent: no cap.
struct PowerCaps {
  std::optional<MilliWatt> cluster;
  std::optional<MilliWatt> rack;  // each; a node's rack is its label "rack"
  std::optional<MilliWatt> node;  // each
  std::map<std::string, MilliWatt> racks, nodes;  // instead of the above, by name
  bool operator==(const PowerCaps&) const = default;
};

// When a device or a node that fails jobs is taken out of service (scheduler/core/quarantine.h).
struct QuarantineKnobs {
  uint32_t failures = 3;  // of as many jobs in a row; 0: never
  Duration within = std::chrono::minutes(1);      // of its start a failure counts as the device's
  Duration probation_after = std::chrono::minutes(10);  // doubles each time, up to a day
  bool operator==(const QuarantineKnobs&) const = default;
};

struct Policy {
  std::string name = "balanced";
  std::string description;
  QueueKnobs queue;
  PlacementKnobs placement;
  RoutingKnobs routing;
  PriceBook prices;
  PowerCaps power;
  QuarantineKnobs quarantine;
  bool operator==(const Policy&) const = default;
};

// The hours of the book that hold at a moment; null if none do.
const PriceHours* HoursAt(const PriceBook& book, Time at);
// When others (or none) begin to hold; nullopt if that never happens.
std::optional<Time> HoursEnd(const PriceBook& book, Time at);

// Price of one device, of a part its part of the whole's; for kind CPU, of `cores` of them. `hours`
// are those that hold.
PriceRate PriceOf(const PriceBook& book, const Device& device, const PriceHours* hours = nullptr);
PriceRate PriceOfCpuShare(const PriceBook& book, const Device& device, MilliCpu share,
                          const PriceHours* hours = nullptr);

// What a device draws at most: as the first row that matches says (of a part its part of that),
// else as its agent does. Unknown stays absent; what an endpoint draws, it draws elsewhere:
// nothing.
std::optional<MilliWatt> PowerOf(const PriceBook& book, const Device& device);

}  // namespace allot
