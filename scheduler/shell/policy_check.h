// A policy from what a person wrote, with the checks that need the registry of policies.
#pragma once

#include "common/base/status.h"
#include "common/model/policy.h"
#include "common/proto/config.pb.h"

namespace allot::scheduler {

// InvalidArgument for a value out of range or an algorithm nobody wrote.
StatusOr<Policy> CheckedPolicy(const config::Policy& written);
StatusOr<Policy> LoadPolicyFile(const std::string& path);

}  // namespace allot::scheduler
