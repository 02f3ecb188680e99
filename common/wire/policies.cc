// Policies, as the journal keeps them.
#include "common/wire/parts.h"

namespace allot::wire {
namespace {

Status CheckFinite(std::string_view what, double value) {
  if (std::isfinite(value) && value >= 0) return absl::OkStatus();
  return InvalidArgument("{} is {}; it must be a number, 0 or more", what, value);
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
  return policy;
}

}  // namespace allot::wire
