#include "policies/placement/spread/spread.h"

#include <algorithm>

#include "policies/placement/cheapest/cheapest.h"

namespace allot::policies {

int64_t CrowdingCost(const PlacementView& view) {
  const bool accelerated = view.devices_asked > 0;
  const int64_t total = accelerated ? view.devices_total : view.cpus_total;
  const int64_t left = accelerated ? static_cast<int64_t>(view.devices_free) - view.devices_asked
                                   : view.cpus_free - view.cpus_asked;
  if (total <= 0) return 0;
  const int64_t used = std::clamp<int64_t>(total - left, 0, total);
  // Free of charge must still spread, so a price of 0 counts as a dollar an hour.
  const int64_t price = std::max<int64_t>(PricePerWork(view.price, view.worth), 1);
  const int64_t weight = view.price.micros_per_hour == 0 ? 1'000'000 : price;
  return static_cast<int64_t>(static_cast<__int128>(weight) * used / total);
}

namespace {

class Spread : public PlacementPolicy {
 public:
  Cost Score(const PlacementView& view) const override {
    return Cost{PricePerWork(view.price, view.worth) + CrowdingCost(view)};
  }
  bool PrefersFull() const override { return false; }
};

}  // namespace

std::unique_ptr<PlacementPolicy> MakeSpread(const PlacementKnobs&) {
  return std::make_unique<Spread>();
}

}  // namespace allot::policies
