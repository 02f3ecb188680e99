// Routing policies by name. Adding one: a folder beside this file and one row here.
#include "policies/api/registry.h"
#include "policies/routing/balanced/balanced.h"
#include "policies/routing/cheapest_within_slo/cheapest_within_slo.h"
#include "policies/routing/fastest/fastest.h"
#include "policies/routing/least_outstanding/least_outstanding.h"
#include "policies/routing/round_robin/round_robin.h"

namespace allot::policies {
namespace {

using Pointer = std::unique_ptr<RoutingPolicy>;
struct Row {
  const char* name;
  Pointer (*make)(const RoutingParameters&);
};
constexpr Row kRows[] = {
    {"round_robin",
     [](const RoutingParameters&) -> Pointer { return std::make_unique<RoundRobin>(); }},
    {"least_outstanding",
     [](const RoutingParameters&) -> Pointer { return std::make_unique<LeastOutstanding>(); }},
    {"fastest",
     [](const RoutingParameters& p) -> Pointer {
       return std::make_unique<Fastest>(p.explore_ratio);
     }},
    {"cheapest_within_slo",
     [](const RoutingParameters& p) -> Pointer {
       return std::make_unique<CheapestWithinSlo>(p.explore_ratio);
     }},
    {"balanced",
     [](const RoutingParameters& p) -> Pointer {
       return std::make_unique<Balanced>(p.explore_ratio, p.value_nanos_per_second);
     }},
};

}  // namespace

StatusOr<std::unique_ptr<RoutingPolicy>> MakeRoutingPolicy(const RoutingParameters& parameters) {
  if (!(parameters.explore_ratio >= 0 && parameters.explore_ratio <= 1))
    return InvalidArgument("explore_ratio is {}; give a share between 0 and 1",
                           parameters.explore_ratio);
  if (parameters.value_nanos_per_second < 0)
    return InvalidArgument("the value of time is negative; give value_usd_per_second of 0 or more");
  for (const Row& row : kRows)
    if (parameters.algorithm == row.name) return row.make(parameters);
  return InvalidArgument("unknown routing algorithm \"{}\"; there are {}", parameters.algorithm,
                         fmt::join(RoutingPolicyNames(), ", "));
}

std::vector<std::string> RoutingPolicyNames() {
  std::vector<std::string> names;
  for (const Row& row : kRows) names.emplace_back(row.name);
  return names;
}

}  // namespace allot::policies
