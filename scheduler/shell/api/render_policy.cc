#include "scheduler/shell/api/render.h"

namespace allot::scheduler {
namespace {

// Words and texts as JSON strings: every JSON string is a YAML one.
std::string Quoted(std::string_view text) { return JsonWriter().Value(text).Take(); }
std::string Micros(Duration time) { return fmt::format("{}us", time.count()); }
double Watts(MilliWatt power) { return static_cast<double>(power) / 1e3; }
double NanoDollars(int64_t nanos) { return static_cast<double>(nanos) / 1e9; }
std::string Dollars(int64_t micros) { return fmt::format("{}", static_cast<double>(micros) / 1e6); }

void PowerYaml(const PowerCaps& caps, std::string& out) {
  if (caps == PowerCaps{}) return;
  out += "power:\n";
  const auto cap = [&out](const std::string& key, std::optional<MilliWatt> power) {
    if (power) fmt::format_to(std::back_inserter(out), "{}: {}\n", key, Watts(*power));
  };
  cap("  cluster_watts", caps.cluster);
  cap("  rack_watts", caps.rack);
  cap("  node_watts", caps.node);
  if (!caps.racks.empty()) out += "  racks:\n";
  for (const auto& [name, power] : caps.racks) cap("    " + Quoted(name), power);
  if (!caps.nodes.empty()) out += "  nodes:\n";
  for (const auto& [name, power] : caps.nodes) cap("    " + Quoted(name), power);
}

}  // namespace

void RenderPolicy(const Policy& policy, JsonWriter& json) {
  json.Field("name", policy.name).Field("description", policy.description);
  json.Key("queue").Object([&] {
    json.Field("algorithm", policy.queue.algorithm);
    json.Key("shares").Object([&] {
      for (const auto& [tenant, share] : policy.queue.shares) json.Field(tenant, share);
    });
    json.Field("head_hold_after_seconds", policy.queue.head_hold_after);
  });
  json.Key("placement").Object([&] {
    json.Field("algorithm", policy.placement.algorithm);
    json.Field("fragmentation_weight", policy.placement.fragmentation_weight);
  });
  json.Key("routing").Object([&] {
    json.Field("algorithm", policy.routing.algorithm);
    json.Field("explore_ratio", policy.routing.explore_ratio);
    json.Field("history_seconds", policy.routing.history);
  });
  json.Key("prices").Object([&] {
    const PriceBook& prices = policy.prices;
    json.Field("as_of", prices.as_of);
    json.Key("devices").Array([&] {
      for (const PriceRow& row : prices.rows) {
        json.Object([&] {
          json.Field("model", row.model).Field("price_usd_per_hour", row.rate);
          json.Field("watts", row.watts);
        });
      }
    });
    json.Field("other_gpu_usd_per_hour", prices.other_gpu);
    json.Field("other_cpu_core_usd_per_hour", prices.other_cpu_core);
    json.Field("other_asic_usd_per_hour", prices.other_asic);
    json.Field("energy_usd_per_kwh", Cost{prices.energy_micros_per_kwh});
    json.Field("value_usd_per_waiting_job_hour", Cost{prices.micros_per_waiting_job_hour});
    json.Field("value_usd_per_second", NanoDollars(prices.value_nanos_per_second));
    json.Key("hours").Array([&] {
      for (const PriceHours& hours : prices.hours) {
        json.Object([&] {
          json.Field("from", hours.from).Field("to", hours.to);
          if (hours.energy_micros_per_kwh)
            json.Field("energy_usd_per_kwh", Cost{*hours.energy_micros_per_kwh});
          json.Field("factor", hours.factor);
        });
      }
    });
    json.Field("utc_offset_hours", prices.utc_offset_minutes / 60.0);
  });
  json.Key("power").Object([&] {
    const auto cap = [&json](std::string_view name, std::optional<MilliWatt> power) {
      if (power) json.Field(name, Watts(*power));
    };
    cap("cluster_watts", policy.power.cluster);
    cap("rack_watts", policy.power.rack);
    cap("node_watts", policy.power.node);
    json.Key("racks").Object([&] {
      for (const auto& [name, power] : policy.power.racks) cap(name, power);
    });
    json.Key("nodes").Object([&] {
      for (const auto& [name, power] : policy.power.nodes) cap(name, power);
    });
  });
  json.Key("quarantine").Object([&] {
    json.Field("failures", policy.quarantine.failures);
    json.Field("within_seconds", policy.quarantine.within);
    json.Field("probation_after_seconds", policy.quarantine.probation_after);
  });
}

std::string PolicyYaml(const Policy& policy) {
  std::string out;
  const auto line = [&out](std::string_view key, const std::string& value) {
    fmt::format_to(std::back_inserter(out), "{}: {}\n", key, value);
  };
  line("name", Quoted(policy.name));
  if (!policy.description.empty()) line("description", Quoted(policy.description));
  out += "queue:\n";
  line("  algorithm", Quoted(policy.queue.algorithm));
  if (!policy.queue.shares.empty()) {
    out += "  shares:\n";
    for (const auto& [tenant, share] : policy.queue.shares) {
      line("    " + Quoted(tenant), fmt::format("{}", share));
    }
  }
  line("  head_hold_after", Micros(policy.queue.head_hold_after));
  out += "placement:\n";
  line("  algorithm", Quoted(policy.placement.algorithm));
  line("  fragmentation_weight", fmt::format("{}", policy.placement.fragmentation_weight));
  out += "routing:\n";
  line("  algorithm", Quoted(policy.routing.algorithm));
  line("  explore_ratio", fmt::format("{}", policy.routing.explore_ratio));
  line("  history", Micros(policy.routing.history));
  const PriceBook& prices = policy.prices;
  out += "prices:\n";
  line("  as_of", Quoted(prices.as_of));
  if (!prices.rows.empty()) out += "  devices:\n";
  for (const PriceRow& row : prices.rows) {
    line("    - model", Quoted(row.model));
    line("      price_usd_per_hour", Dollars(row.rate.micros_per_hour));
    if (row.watts) line("      watts", fmt::format("{}", *row.watts));
  }
  line("  other_gpu_usd_per_hour", Dollars(prices.other_gpu.micros_per_hour));
  line("  other_cpu_core_usd_per_hour", Dollars(prices.other_cpu_core.micros_per_hour));
  line("  other_asic_usd_per_hour", Dollars(prices.other_asic.micros_per_hour));
  line("  energy_usd_per_kwh", Dollars(prices.energy_micros_per_kwh));
  line("  value_usd_per_waiting_job_hour", Dollars(prices.micros_per_waiting_job_hour));
  line("  value_usd_per_second", fmt::format("{}", NanoDollars(prices.value_nanos_per_second)));
  if (!prices.hours.empty()) out += "  hours:\n";
  for (const PriceHours& hours : prices.hours) {
    line("    - from", std::to_string(hours.from));
    line("      to", std::to_string(hours.to));
    if (hours.energy_micros_per_kwh)
      line("      energy_usd_per_kwh", Dollars(*hours.energy_micros_per_kwh));
    line("      factor", fmt::format("{}", hours.factor));
  }
  if (prices.utc_offset_minutes != 0)
    line("  utc_offset_hours", fmt::format("{}", prices.utc_offset_minutes / 60.0));
  PowerYaml(policy.power, out);
  out += "quarantine:\n";
  line("  failures", fmt::format("{}", policy.quarantine.failures));
  line("  within", Micros(policy.quarantine.within));
  line("  probation_after", Micros(policy.quarantine.probation_after));
  return out;
}

}  // namespace allot::scheduler
