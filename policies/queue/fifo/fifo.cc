#include "policies/queue/fifo/fifo.h"

namespace allot::policies {
namespace {

class Fifo : public QueuePolicy {
 public:
  int64_t RankTenant(const TenantView&) const override { return 0; }
  bool RanksTenants() const override { return false; }
  bool UsesPriority() const override { return false; }
};

}  // namespace

std::unique_ptr<QueuePolicy> MakeFifo(const QueueKnobs&) { return std::make_unique<Fifo>(); }

}  // namespace allot::policies
