// Seam: which replica answers a request? Pure; called from the router's thread on every
// request: no allocation, no iteration but over the views given.
#pragma once

#include <cstdint>
#include <span>

#include "common/base/rng.h"
#include "common/base/units.h"
#include "policies/api/route_reason.h"

namespace allot::policies {

// A replica that could take the request now (ready, linked, below its concurrency).
struct ReplicaView {
  uint32_t index = 0;            // of the replica in its deployment
  uint32_t in_flight = 0, concurrency = 1;
  PriceRate price;               // of all it leases
  Duration predicted{};          // end to end at the objective's percentile, at its present load
  Duration predicted_ttft{};
  Duration expected{};           // mean service time
  bool within_objective = true;  // predictions meet every promised part (and the deadline)
  bool far_outside = false;      // observed, and some promised part is missed by twice or more
  uint32_t samples = 0;          // behind the prediction; 0: never observed, all above is a guess
  int64_t cost_nanos = 0;        // predicted: price × expected ÷ concurrency, in nano-dollars: a
                                 // small model's request costs less than a micro-dollar
};

struct RouteChoice {
  uint32_t view = 0;             // position in the span
  RouteReason reason = RouteReason::kOnlyReplica;
};

// What a policy may remember between requests of one deployment.
struct RouteMemory { uint32_t last_index = UINT32_MAX; };  // no turn taken yet

class RoutingPolicy {
 public:
  virtual ~RoutingPolicy() = default;
  // `views` is not empty and ordered by index.
  virtual RouteChoice Choose(std::span<const ReplicaView> views, RouteMemory& memory, Rng& rng) const = 0;
  // When no view is within the objective: may the request wait for a full replica that is
  // predicted to meet it even so? The router works out whether it would.
  virtual bool WaitsForObjective() const { return false; }
};

}  // namespace allot::policies
