#include "client/policy_file.h"

#include <algorithm>

#include "client/local/files.h"
#include "common/catalogue/catalogue.h"
#include "common/config/bind.h"
#include "common/config/convert.h"
#include "common/proto/config.pb.h"
#include "policies/api/registry.h"

namespace allot::client {

StatusOr<PolicyText> FindPolicy(const std::string& file_or_name) {
  if (!local::Exists(file_or_name)) {
    std::string names;
    for (const ReadyMade& policy : ReadyMadePolicies()) {
      if (policy.name == file_or_name)
        return PolicyText{policy.name + " (ready-made)", policy.yaml};
      names += (names.empty() ? "" : ", ") + policy.name;
    }
    return NotFound("{} is neither a file nor a ready-made policy ({})", file_or_name, names);
  }
  ASSIGN_OR_RETURN(std::string yaml, local::ReadFile(file_or_name));
  return PolicyText{file_or_name, std::move(yaml)};
}

StatusOr<Policy> CheckPolicy(const PolicyText& text) {
  config::Policy bound;
  RETURN_IF_ERROR(config::BindYaml(text.yaml, text.place, &bound));
  const auto in_place = [&](const Status& status, std::string_view part) -> Status {
    if (status.ok()) return status;
    return InvalidArgument("{}: {}{}", text.place, part, MessageOf(status));
  };
  StatusOr<Policy> policy = config::ToPolicy(bound);
  RETURN_IF_ERROR(in_place(policy.status(), ""));
  RETURN_IF_ERROR(in_place(policies::MakeQueuePolicy(policy->queue).status(), "queue: "));
  RETURN_IF_ERROR(in_place(
      policies::MakePlacementPolicy(policy->placement, policy->prices).status(), "placement: "));
  const policies::RoutingParameters routing{policy->routing.algorithm,
                                            policy->routing.explore_ratio,
                                            policy->prices.value_nanos_per_second};
  RETURN_IF_ERROR(in_place(policies::MakeRoutingPolicy(routing).status(), "routing: "));
  return policy;
}

std::vector<std::string> ModelsWithoutPrice(const Policy& policy) {
  std::vector<std::string> models;
  for (const CatalogueRow& row : Catalogue::BuiltIn().rows()) {
    const bool priced =
        std::any_of(policy.prices.rows.begin(), policy.prices.rows.end(),
                    [&](const PriceRow& price) { return GlobMatch(price.model, row.model); });
    if (row.kind != DeviceKind::kCpu && !priced) models.push_back(row.model);
  }
  return models;
}

}  // namespace allot::client
