#include "policies/placement/trivial/trivial.h"

namespace allot::policies {
namespace {

class Trivial : public PlacementPolicy {
 public:
  Cost Score(const PlacementView&) const override { return Cost{0}; }
  bool PrefersFull() const override { return true; }
};

}  // namespace

std::unique_ptr<PlacementPolicy> MakeTrivial(const PlacementKnobs&) {
  return std::make_unique<Trivial>();
}

}  // namespace allot::policies
