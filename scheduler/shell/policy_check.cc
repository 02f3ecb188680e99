#include "scheduler/shell/policy_check.h"

#include "common/config/bind.h"
#include "common/config/convert.h"
#include "policies/api/registry.h"

namespace allot::scheduler {

StatusOr<Policy> CheckedPolicy(const config::Policy& written) {
  ASSIGN_OR_RETURN(Policy policy, config::ToPolicy(written));
  RETURN_IF_ERROR(policies::MakeQueuePolicy(policy.queue).status());
  RETURN_IF_ERROR(policies::MakePlacementPolicy(policy.placement, policy.prices).status());
  RETURN_IF_ERROR(
      policies::MakeRoutingPolicy({.algorithm = policy.routing.algorithm,
                                   .explore_ratio = policy.routing.explore_ratio,
                                   .value_nanos_per_second = policy.prices.value_nanos_per_second})
          .status());
  return policy;
}

StatusOr<Policy> LoadPolicyFile(const std::string& path) {
  config::Policy written;
  RETURN_IF_ERROR(config::LoadYamlFile(path, &written));
  StatusOr<Policy> policy = CheckedPolicy(written);
  if (!policy.ok()) return InvalidArgument("{}: {}", path, MessageOf(policy.status()));
  return policy;
}

}  // namespace allot::scheduler
