#include "policies/api/route_reason.h"

namespace allot {

std::string_view ToString(RouteReason reason) {
  switch (reason) {
    case RouteReason::kRoundRobin:
      return "round_robin";
    case RouteReason::kLeastOutstanding:
      return "least_outstanding";
    case RouteReason::kFastest:
      return "fastest";
    case RouteReason::kCheapestWithinSlo:
      return "cheapest_within_slo";
    case RouteReason::kNoneWithinSlo:
      return "none_within_slo";
    case RouteReason::kExploring:
      return "exploring";
    case RouteReason::kBalanced:
      return "balanced";
    case RouteReason::kOnlyReplica:
      return "only_replica";
  }
  return "unknown";
}

}  // namespace allot
