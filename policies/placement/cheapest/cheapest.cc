#include "policies/placement/cheapest/cheapest.h"

#include <algorithm>

namespace allot::policies {

int64_t PricePerWork(PriceRate price, double worth) {
  if (worth == 1.0) return price.micros_per_hour;  // Nearly always: spares the wide division.
  const double bounded = std::clamp(worth, 0.001, 1'000'000.0);
  const auto thousandths = static_cast<int64_t>(bounded * 1000 + 0.5);
  return static_cast<int64_t>(static_cast<__int128>(price.micros_per_hour) * 1000 / thousandths);
}

namespace {

class Cheapest : public PlacementPolicy {
 public:
  Cost Score(const PlacementView& view) const override {
    return Cost{PricePerWork(view.price, view.worth)};
  }
  bool PrefersFull() const override { return true; }
};

}  // namespace

std::unique_ptr<PlacementPolicy> MakeCheapest(const PlacementKnobs&) {
  return std::make_unique<Cheapest>();
}

}  // namespace allot::policies
