#include <cmath>
#include <set>

#include "common/base/text.h"
#include "common/config/checks.h"

namespace allot::config {
namespace {

int64_t Micros(double usd) { return Cost::FromDollars(usd).micros; }

// "2026-03-31": a price without its date misleads.
bool IsDate(std::string_view text) {
  if (text.size() != 10) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 4 || i == 7;
    if (dash ? text[i] != '-' : (text[i] < '0' || text[i] > '9')) return false;
  }
  const auto number = [&](size_t i) { return (text[i] - '0') * 10 + (text[i + 1] - '0'); };
  return number(5) >= 1 && number(5) <= 12 && number(8) >= 1 && number(8) <= 31;
}

Status TakePriceHours(const PriceBook& from, allot::PriceBook* book) {
  for (int i = 0; i < from.hours_size(); ++i) {
    const config::PriceHours& hours = from.hours(i);
    if (!hours.has_energy_usd_per_kwh() && !hours.has_factor()) {
      return InvalidArgument("prices.hours[{}] changes nothing; give energy_usd_per_kwh or factor",
                             i);
    }
    allot::PriceHours& to = book->hours.emplace_back();
    to.from = hours.from();
    to.to = hours.to();
    if (hours.has_energy_usd_per_kwh())
      to.energy_micros_per_kwh = Micros(hours.energy_usd_per_kwh());
    if (hours.has_factor()) to.factor = hours.factor();
  }
  const double minutes = from.utc_offset_hours() * 60;
  if (minutes != std::round(minutes)) {
    return InvalidArgument("prices.utc_offset_hours is {}; it counts in minutes, like 5.5",
                           from.utc_offset_hours());
  }
  book->utc_offset_minutes = static_cast<int32_t>(minutes);
  return absl::OkStatus();
}

StatusOr<allot::PriceBook> ToPriceBook(const PriceBook& from) {
  allot::PriceBook book;
  if (!IsDate(from.as_of())) {
    return InvalidArgument(
        "prices.as_of is \"{}\"; give the date the prices were looked up, like 2026-03-31",
        from.as_of());
  }
  book.as_of = from.as_of();
  std::set<std::string_view> seen;
  for (int i = 0; i < from.devices_size(); ++i) {
    const config::PriceRow& row = from.devices(i);
    if (row.model().empty()) return InvalidArgument("prices.devices[{}].model is empty", i);
    if (!seen.insert(row.model()).second) {
      return InvalidArgument("prices.devices[{}]: \"{}\" is priced twice; the first row counts", i,
                             row.model());
    }
    allot::PriceRow& to = book.rows.emplace_back();
    to.model = row.model();
    to.rate = {Micros(row.price_usd_per_hour())};
    if (row.has_watts()) to.watts = row.watts();
  }
  book.other_gpu = {Micros(from.other_gpu_usd_per_hour())};
  book.other_cpu_core = {Micros(from.other_cpu_core_usd_per_hour())};
  book.other_asic = {Micros(from.other_asic_usd_per_hour())};
  if (from.has_energy_usd_per_kwh()) book.energy_micros_per_kwh = Micros(from.energy_usd_per_kwh());
  book.micros_per_waiting_job_hour = Micros(from.value_usd_per_waiting_job_hour());
  book.value_nanos_per_second = std::llround(from.value_usd_per_second() * 1e9);
  if (from.value_usd_per_second() > 0 && book.value_nanos_per_second == 0) {
    return InvalidArgument(
        "prices.value_usd_per_second is {}; the smallest value that counts is 1e-9 (a nano-dollar)",
        from.value_usd_per_second());
  }
  RETURN_IF_ERROR(TakePriceHours(from, &book));
  return book;
}

// "1500" watts in a map of caps.
Status TakeCaps(std::string_view path, const google::protobuf::Map<std::string, double>& from,
                std::map<std::string, MilliWatt>* to) {
  for (const auto& [name, watts] : from) {
    if (!std::isfinite(watts) || watts < 0 || watts > 1e9) {
      return InvalidArgument("{}.{} is {}; it must be 0 to 1000000000 watts", path, name, watts);
    }
    (*to)[name] = std::llround(watts * 1000);
  }
  return absl::OkStatus();
}

StatusOr<allot::PowerCaps> ToPowerCaps(const PowerCaps& from) {
  allot::PowerCaps caps;
  if (from.has_cluster_watts()) caps.cluster = std::llround(from.cluster_watts() * 1000);
  if (from.has_rack_watts()) caps.rack = std::llround(from.rack_watts() * 1000);
  if (from.has_node_watts()) caps.node = std::llround(from.node_watts() * 1000);
  RETURN_IF_ERROR(TakeCaps("power.racks", from.racks(), &caps.racks));
  RETURN_IF_ERROR(TakeCaps("power.nodes", from.nodes(), &caps.nodes));
  return caps;
}

Status TakeQuarantine(const Quarantine& from, allot::QuarantineKnobs* to) {
  if (from.has_failures()) to->failures = from.failures();
  RETURN_IF_ERROR(TakeDuration("quarantine.within", from.within(), &to->within));
  return TakeDuration("quarantine.probation_after", from.probation_after(), &to->probation_after);
}

}  // namespace

StatusOr<allot::Policy> ToPolicy(const Policy& from) {
  allot::Policy policy;
  policy.name = from.name();
  policy.description = from.description();
  if (!IsName(policy.name)) {
    return InvalidArgument("name is \"{}\"; {}", policy.name, kNameHelp);
  }

  if (!from.queue().algorithm().empty()) policy.queue.algorithm = from.queue().algorithm();
  for (const auto& [tenant, share] : from.queue().shares()) {
    if (!IsLabelValue(tenant)) {
      return InvalidArgument("queue.shares: \"{}\" is not a tenant's name; {}", tenant,
                             kLabelValueHelp);
    }
    if (!std::isfinite(share) || share <= 0 || share > 1e6) {
      return InvalidArgument("queue.shares.{} is {}; it must be above 0 and at most 1000000",
                             tenant, share);
    }
    policy.queue.shares[tenant] = share;
  }
  RETURN_IF_ERROR(TakeDuration("queue.head_hold_after", from.queue().head_hold_after(),
                               &policy.queue.head_hold_after));

  const PlacementPolicy& placement = from.placement();
  if (!placement.algorithm().empty()) policy.placement.algorithm = placement.algorithm();
  if (placement.has_fragmentation_weight()) {
    policy.placement.fragmentation_weight = placement.fragmentation_weight();
  }

  const RoutingPolicy& routing = from.routing();
  if (!routing.algorithm().empty()) policy.routing.algorithm = routing.algorithm();
  if (routing.has_explore_ratio()) policy.routing.explore_ratio = routing.explore_ratio();
  RETURN_IF_ERROR(TakeDuration("routing.history", routing.history(), &policy.routing.history));

  ASSIGN_OR_RETURN(policy.prices, ToPriceBook(from.prices()));
  ASSIGN_OR_RETURN(policy.power, ToPowerCaps(from.power()));
  RETURN_IF_ERROR(TakeQuarantine(from.quarantine(), &policy.quarantine));
  return policy;
}

}  // namespace allot::config
