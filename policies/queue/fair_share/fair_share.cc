#include "policies/queue/fair_share/fair_share.h"

#include <algorithm>
#include <cmath>

namespace allot::policies {

int64_t FairShareRank(int64_t used_micros_per_hour, double share) {
  // Shares become thousandths at once, so that all further arithmetic is in integers.
  const double bounded = std::clamp(share, 0.001, 1'000'000.0);
  const int64_t thousandths = std::llround(bounded * 1000);
  return static_cast<int64_t>(static_cast<__int128>(used_micros_per_hour) * 1000 / thousandths);
}

namespace {

class FairShare : public QueuePolicy {
 public:
  int64_t RankTenant(const TenantView& tenant) const override {
    return FairShareRank(tenant.used_micros_per_hour, tenant.share);
  }
};

}  // namespace

std::unique_ptr<QueuePolicy> MakeFairShare(const QueueKnobs&) {
  return std::make_unique<FairShare>();
}

}  // namespace allot::policies
