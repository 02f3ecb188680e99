// From checked config messages to the model, with the checks that need more than one field
// (a noop job needs no command, a policy's algorithm exists, a port range is not empty).
#pragma once

#include "common/base/status.h"
#include "common/model/deployment.h"
#include "common/model/job.h"
#include "common/model/policy.h"
#include "common/proto/config.pb.h"

namespace allot::config {

StatusOr<JobSpec> ToJobSpec(const Job& job);
StatusOr<DeploymentSpec> ToDeploymentSpec(const Deployment& deployment);
// Algorithm names are checked by policies/api/registry where the policy is applied.
StatusOr<allot::Policy> ToPolicy(const Policy& policy);
StatusOr<allot::DeviceRequest> ToDeviceRequest(const DeviceRequest& request);
// "kind=GPU,count=2" or "model=nvidia/h100*": the short form of the command line.
StatusOr<allot::DeviceRequest> ParseDeviceRequest(std::string_view text);

}  // namespace allot::config
