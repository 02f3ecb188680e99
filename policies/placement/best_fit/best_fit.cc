#include "policies/placement/best_fit/best_fit.h"

#include <algorithm>
#include <cmath>

#include "policies/placement/cheapest/cheapest.h"

namespace allot::policies {
namespace {

// price · f·(t−f)/t − the same before: what `asked` of `free` of `total` units changes.
int64_t FragmentDelta(int64_t unit_price, int64_t asked, int64_t free, int64_t total,
                      int64_t units_per_price) {
  if (total <= 0) return 0;
  const int64_t left = free - asked;
  const auto after = static_cast<__int128>(left) * (total - left);
  const auto before = static_cast<__int128>(free) * (total - free);
  return static_cast<int64_t>(unit_price * (after - before) / (total * units_per_price));
}

int64_t OfAccelerators(const PlacementView& v) {
  const int64_t device_price = v.device_price.micros_per_hour;
  const int64_t left = static_cast<int64_t>(v.devices_free) - v.devices_asked;
  int64_t cost = FragmentDelta(device_price, v.devices_asked, v.devices_free, v.devices_total, 1);
  const bool starved =
      v.cpus_free - v.cpus_asked < v.cpus_asked || v.memory_free - v.memory_asked < v.memory_asked;
  if (starved && left > 0) cost += device_price * left;
  return cost;
}

int64_t OfProcessors(const PlacementView& v) {
  if (v.cpus_total <= 0 || v.cpus_asked <= 0) return 0;
  // Price of a core, in micro-dollars an hour per 1,000 millicpus.
  const int64_t core_price = v.price.micros_per_hour * 1000 / v.cpus_asked;
  int64_t cost = FragmentDelta(core_price, v.cpus_asked, v.cpus_free, v.cpus_total, 1000);
  const int64_t all_cores = core_price * v.cpus_total / 1000;
  const int64_t accelerators = std::max<int64_t>(v.node_price.micros_per_hour - all_cores, 0);
  cost += static_cast<int64_t>(static_cast<__int128>(accelerators) * v.cpus_asked / v.cpus_total);
  return cost;
}

class BestFit : public PlacementPolicy {
 public:
  explicit BestFit(double weight) : weight_thousandths_(std::llround(weight * 1000)) {}

  Cost Score(const PlacementView& view) const override {
    const int64_t fragments = FragmentationCost(view);
    return Cost{PricePerWork(view.price, view.worth) + fragments * weight_thousandths_ / 1000};
  }
  bool PrefersFull() const override { return true; }

 private:
  const int64_t weight_thousandths_;
};

}  // namespace

int64_t FragmentationCost(const PlacementView& view) {
  return view.devices_asked > 0 ? OfAccelerators(view) : OfProcessors(view);
}

std::unique_ptr<PlacementPolicy> MakeBestFit(const PlacementKnobs& knobs) {
  return std::make_unique<BestFit>(std::clamp(knobs.fragmentation_weight, 0.0, 1000.0));
}

}  // namespace allot::policies
