// Why a replica was chosen: from a closed list, shown in a header and by `allot explain`.
#pragma once

#include <cstdint>
#include <string_view>

namespace allot {

enum class RouteReason : uint8_t {
  kRoundRobin, kLeastOutstanding, kFastest,
  kCheapestWithinSlo,      // cheapest of those predicted to meet the objective
  kNoneWithinSlo,          // none meets it: the one predicted fastest
  kExploring,              // to learn about a device little is known of
  kBalanced,               // least of price + value of time
  kOnlyReplica,
};
std::string_view ToString(RouteReason reason);  // "cheapest_within_slo", …

}  // namespace allot
