// Policy files for `allot policy`: the scheduler's own checks, offline.
#pragma once

#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/model/policy.h"

namespace allot::client {

// The ready-made policies of policies/conf, compiled in: name and YAML text.
struct ReadyMade {
  std::string name, yaml;
};
const std::vector<ReadyMade>& ReadyMadePolicies();

// A file, or the name of a ready-made policy where no such file exists.
struct PolicyText {
  std::string place;  // for messages: the path, or "cheapest-within-slo (ready-made)"
  std::string yaml;
};
StatusOr<PolicyText> FindPolicy(const std::string& file_or_name);

// The binder's checks, then that every algorithm exists and takes its knobs.
StatusOr<Policy> CheckPolicy(const PolicyText& text);

// Accelerators of the catalogue that no price row matches: each costs "other_gpu" or "other_asic",
// whatever it is.
std::vector<std::string> ModelsWithoutPrice(const Policy& policy);

}  // namespace allot::client
