// Policies, as the journal keeps them.
#include "common/wire/parts.h"

namespace allot::wire {
namespace {

Status CheckFinite(std::string_view what, double value) {
  if (std::isfinite(value) && value >= 0) return absl::OkStatus();
  return InvalidArgument("{} is {}; it must be a number, 0 or more", what, value);
}

Status CheckPower(std::string_view what, MilliWatt power) {
  return CheckRange<int64_t>(what, power, 0, kMilliWattsMax);
}

void EncodePower(const PowerCaps& caps, records::PowerCaps* out) {
  if (caps.cluster) out->set_cluster(*caps.cluster);
  if (caps.rack) out->set_rack(*caps.rack);
  if (caps.node) out->set_node(*caps.node);
  for (const auto& [name, cap] : caps.racks) (*out->mutable_racks())[ReplaceInvalidUtf8(name)] = cap;
  for (const auto& [name, cap] : caps.nodes) (*out->mutable_nodes())[ReplaceInvalidUtf8(name)] = cap;
}

StatusOr<PowerCaps> DecodePower(const records::PowerCaps& in) {
  PowerCaps caps;
  if (in.has_cluster()) caps.cluster = in.cluster();
  if (in.has_rack()) caps.rack = in.rack();
  if (in.has_node()) caps.node = in.node();
  for (const auto& cap : {caps.cluster, caps.rack, caps.node}) {
    if (cap) RETURN_IF_ERROR(CheckPower("power cap", *cap));
  }
  for (const auto& [name, cap] : in.racks()) {
    RETURN_IF_ERROR(CheckPower("power cap of rack " + name, cap));
    caps.racks[name] = cap;
  }
  for (const auto& [name, cap] : in.nodes()) {
    RETURN_IF_ERROR(CheckPower("power cap of node " + name, cap));
    caps.nodes[name] = cap;
  }
  return caps;
}

StatusOr<QuarantineKnobs> DecodeQuarantine(const records::QuarantineKnobs& in) {
  QuarantineKnobs knobs;
  knobs.failures = in.failures();
  ASSIGN_OR_RETURN(knobs.within, DecodeDuration("quarantine.within", in.within()));
  ASSIGN_OR_RETURN(knobs.probation_after,
                   DecodeDuration("quarantine.probation_after", in.probation_after()));
  return knobs;
}

void EncodePrices(const PriceBook& book, records::Policy* out) {
  out->set_prices_as_of(ReplaceInvalidUtf8(book.as_of));
  for (const PriceRow& row : book.rows) {
    records::PriceRow* to = out->add_prices();
    to->set_model(ReplaceInvalidUtf8(row.model));
    to->set_micros_per_hour(row.rate.micros_per_hour);
    if (row.watts) to->set_watts(*row.watts);
  }
  out->set_other_gpu(book.other_gpu.micros_per_hour);
  out->set_other_cpu_core(book.other_cpu_core.micros_per_hour);
  out->set_other_asic(book.other_asic.micros_per_hour);
  out->set_energy_micros_per_kwh(book.energy_micros_per_kwh);
  out->set_micros_per_waiting_job_hour(book.micros_per_waiting_job_hour);
  out->set_value_nanos_per_second(book.value_nanos_per_second);
  for (const PriceHours& hours : book.hours) {
    records::PriceHours* to = out->add_price_hours();
    to->set_from(hours.from);
    to->set_to(hours.to);
    if (hours.energy_micros_per_kwh) to->set_energy_micros_per_kwh(*hours.energy_micros_per_kwh);
    to->set_factor(hours.factor);
  }
  out->set_utc_offset_minutes(book.utc_offset_minutes);
}

StatusOr<PriceBook> DecodePrices(const records::Policy& in) {
  PriceBook book;
  book.as_of = in.prices_as_of();
  for (const records::PriceRow& from : in.prices()) {
    PriceRow& row = book.rows.emplace_back();
    row.model = from.model();
    ASSIGN_OR_RETURN(row.rate, DecodePrice("price of " + row.model, from.micros_per_hour()));
    if (from.has_watts()) {
      RETURN_IF_ERROR(CheckFinite("watts", from.watts()));
      row.watts = from.watts();
    }
  }
  ASSIGN_OR_RETURN(book.other_gpu, DecodePrice("other_gpu", in.other_gpu()));
  ASSIGN_OR_RETURN(book.other_cpu_core, DecodePrice("other_cpu_core", in.other_cpu_core()));
  ASSIGN_OR_RETURN(book.other_asic, DecodePrice("other_asic", in.other_asic()));
  // Plain micro-dollars, but bounded like a price.
  for (const auto& [what, micros, to] :
       {std::tuple{"energy_micros_per_kwh", in.energy_micros_per_kwh(),
                   &book.energy_micros_per_kwh},
        std::tuple{"micros_per_waiting_job_hour", in.micros_per_waiting_job_hour(),
                   &book.micros_per_waiting_job_hour}}) {
    RETURN_IF_ERROR(CheckRange<int64_t>(what, micros, 0, kPriceMicrosMax));
    *to = micros;
  }
  RETURN_IF_ERROR(CheckRange<int64_t>("value_nanos_per_second", in.value_nanos_per_second(), 0,
                                      kValueNanosMax));
  book.value_nanos_per_second = in.value_nanos_per_second();
  for (const records::PriceHours& from : in.price_hours()) {
    PriceHours& hours = book.hours.emplace_back();
    RETURN_IF_ERROR(CheckRange<uint32_t>("price hours", from.from(), 0, 23));
    RETURN_IF_ERROR(CheckRange<uint32_t>("price hours", from.to(), 0, 23));
    hours.from = from.from();
    hours.to = from.to();
    if (from.has_energy_micros_per_kwh()) {
      RETURN_IF_ERROR(CheckRange<int64_t>("price hours", from.energy_micros_per_kwh(), 0,
                                          kPriceMicrosMax));
      hours.energy_micros_per_kwh = from.energy_micros_per_kwh();
    }
    RETURN_IF_ERROR(CheckRange("price hours factor", from.factor(), 0.0, 1000.0));
    hours.factor = from.factor();
  }
  RETURN_IF_ERROR(CheckRange("utc_offset_minutes", in.utc_offset_minutes(), -840, 840));
  book.utc_offset_minutes = in.utc_offset_minutes();
  return book;
}

}  // namespace

void Encode(const Policy& policy, records::Policy* out) {
  out->Clear();
  out->set_name(ReplaceInvalidUtf8(policy.name));
  out->set_description(ReplaceInvalidUtf8(policy.description));
  out->set_queue_algorithm(ReplaceInvalidUtf8(policy.queue.algorithm));
  for (const auto& [tenant, share] : policy.queue.shares) {
    (*out->mutable_queue_shares())[ReplaceInvalidUtf8(tenant)] = share;
  }
  out->set_queue_head_hold_after(policy.queue.head_hold_after.count());
  out->set_placement_algorithm(ReplaceInvalidUtf8(policy.placement.algorithm));
  out->set_placement_fragmentation_weight(policy.placement.fragmentation_weight);
  out->set_routing_algorithm(ReplaceInvalidUtf8(policy.routing.algorithm));
  out->set_routing_explore_ratio(policy.routing.explore_ratio);
  out->set_routing_history(policy.routing.history.count());
  EncodePrices(policy.prices, out);
  EncodePower(policy.power, out->mutable_power());
  records::QuarantineKnobs* quarantine = out->mutable_quarantine();
  quarantine->set_failures(policy.quarantine.failures);
  quarantine->set_within(policy.quarantine.within.count());
  quarantine->set_probation_after(policy.quarantine.probation_after.count());
}

StatusOr<Policy> Decode(const records::Policy& in) {
  Policy policy;
  policy.name = in.name();
  policy.description = in.description();
  policy.queue.algorithm = in.queue_algorithm();
  for (const auto& [tenant, share] : in.queue_shares()) {
    RETURN_IF_ERROR(CheckFinite("queue share", share));
    policy.queue.shares[tenant] = share;
  }
  ASSIGN_OR_RETURN(policy.queue.head_hold_after,
                   DecodeDuration("queue.head_hold_after", in.queue_head_hold_after()));
  policy.placement.algorithm = in.placement_algorithm();
  RETURN_IF_ERROR(
      CheckFinite("placement.fragmentation_weight", in.placement_fragmentation_weight()));
  policy.placement.fragmentation_weight = in.placement_fragmentation_weight();
  policy.routing.algorithm = in.routing_algorithm();
  RETURN_IF_ERROR(CheckRange("routing.explore_ratio", in.routing_explore_ratio(), 0.0, 1.0));
  policy.routing.explore_ratio = in.routing_explore_ratio();
  ASSIGN_OR_RETURN(policy.routing.history, DecodeDuration("routing.history", in.routing_history()));
  ASSIGN_OR_RETURN(policy.prices, DecodePrices(in));
  ASSIGN_OR_RETURN(policy.power, DecodePower(in.power()));
  if (in.has_quarantine()) {  // Absent in records from before there was one.
    ASSIGN_OR_RETURN(policy.quarantine, DecodeQuarantine(in.quarantine()));
  }
  return policy;
}

}  // namespace allot::wire
