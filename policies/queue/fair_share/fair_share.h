// The tenant that leases least, for its share, goes first.
//
// Assumes: tenants compete and the price of what they lease is a fair measure of it (an hour of a
// dear device weighs more than one of a cheap device).
// Rule: rank = price rate of what the tenant's running jobs lease ÷ its share. Within a tenant:
// priority, then age. It orders, it does not preempt: shares are reached as jobs end.
// Not for: fairness over a month (only what is leased now counts), or hard quotas.
#pragma once

#include <memory>

#include "policies/api/queue_policy.h"

namespace allot::policies {

// used ÷ share; a share below a thousandth counts as one.
int64_t FairShareRank(int64_t used_micros_per_hour, double share);

std::unique_ptr<QueuePolicy> MakeFairShare(const QueueKnobs& knobs);

}  // namespace allot::policies
