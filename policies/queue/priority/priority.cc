#include "policies/queue/priority/priority.h"

namespace allot::policies {
namespace {

class Priority : public QueuePolicy {
 public:
  int64_t RankTenant(const TenantView&) const override { return 0; }
  bool RanksTenants() const override { return false; }
};

}  // namespace

std::unique_ptr<QueuePolicy> MakePriority(const QueueKnobs&) {
  return std::make_unique<Priority>();
}

}  // namespace allot::policies
