// Seam: in which order do waiting jobs get their chance?
//
// Pure; called from the core's thread. Arithmetic in integers. See policies/queue/<name>/.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/model/policy.h"

namespace allot::policies {

// A tenant's line as the policy sees it. `used` is the price rate of what the tenant's running
// jobs lease now, in micro-dollars per hour.
struct TenantView {
  const std::string& tenant;
  int64_t used_micros_per_hour = 0;
  double share = 1.0;
};

class QueuePolicy {
 public:
  virtual ~QueuePolicy() = default;
  // Rank of a tenant's line: the lower goes first. Within a line: priority, then age.
  // Tenants of equal rank are merged by priority, then age.
  virtual int64_t RankTenant(const TenantView& tenant) const = 0;
  // False: the rank is the same for all, so that lines need not be kept apart by tenant.
  virtual bool RanksTenants() const { return true; }
  // False: priorities are ignored, age alone decides.
  virtual bool UsesPriority() const { return true; }
};

}  // namespace allot::policies
