// Policies by name. Adding one: a folder under policies/<seam>/ and one line in registry.cc.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "policies/api/placement_policy.h"
#include "policies/api/queue_policy.h"
#include "policies/api/routing_policy.h"

namespace allot::policies {

StatusOr<std::unique_ptr<QueuePolicy>> MakeQueuePolicy(const QueueKnobs& knobs);
StatusOr<std::unique_ptr<PlacementPolicy>> MakePlacementPolicy(const PlacementKnobs& knobs,
                                                               const PriceBook& prices);
// The router takes these from the route table.
struct RoutingParameters {
  std::string algorithm;
  double explore_ratio = 0.02;
  int64_t value_nanos_per_second = 0;
};
StatusOr<std::unique_ptr<RoutingPolicy>> MakeRoutingPolicy(const RoutingParameters& parameters);

// For error messages ("did you mean") and `allot policy --help`.
std::vector<std::string> QueuePolicyNames();
std::vector<std::string> PlacementPolicyNames();
std::vector<std::string> RoutingPolicyNames();

}  // namespace allot::policies
