// How much people may have written for what has not ended: bytes, as one job may bring a million of
// them and another ten (ADR 23).
#pragma once

#include <string>

#include "common/base/status.h"
#include "scheduler/core/ledger.h"

namespace allot::scheduler {

// ResourceExhausted where `bytes` more of this tenant, in place of `before`, are too much.
inline Status CheckSpecBytes(const Ledger& ledger, const std::string& tenant, uint64_t bytes,
                             uint64_t before) {
  if (bytes <= before) return absl::OkStatus();
  const uint64_t more = bytes - before;
  const CoreOptions& options = ledger.options();
  const uint64_t all = ledger.state().spec_bytes(), its = ledger.state().spec_bytes(tenant);
  if (its + more > options.spec_bytes_of_tenant_max) {
    return ResourceExhausted(
        "commands and environments of tenant {} have {} bytes where they are long, and with {} "
        "more "
        "it would be over {} (specs_per_tenant_max); wait until jobs have ended, or put what is "
        "long in a file",
        tenant, its, more, options.spec_bytes_of_tenant_max);
  }
  if (all + more > options.spec_bytes_max) {
    return ResourceExhausted(
        "commands and environments of all jobs have {} bytes where they are long, and with {} more "
        "it would be over {} (specs_max); wait until jobs have ended, or put what is long in a "
        "file",
        all, more, options.spec_bytes_max);
  }
  return absl::OkStatus();
}

}  // namespace allot::scheduler
