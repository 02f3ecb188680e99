// From checked config messages to the model, with the checks that need more than one field
// (a process job needs a command, a port range is not empty). Errors name the key by its path:
//   devices.any_of[0].count is 2 with kind CPU; processors are shared, so say how many with …
// Thread-safe.
#pragma once

#include "common/base/status.h"
#include "common/config/bind.h"
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
// "kind=GPU,count=2", "model=nvidia/h100*", "gpu:2": the short forms (device_words.h).
StatusOr<allot::DeviceRequest> ParseDeviceRequest(std::string_view text);

// The programs' own files have no model; these are their checks across fields. Ports and lease make
// sense together, an API without tokens is local and on loopback, names and keys are there once.
Status Check(const Scheduler& scheduler);
Status Check(const Gateway& gateway);
Status Check(const Agent& agent);
Status Check(const Tokens& tokens);
Status Check(const AllowList& list);
Status Check(const Invitations& invitations);

// How such a file is read: bound (bind.h), then checked across fields.
template <class File>
Status BindChecked(std::string_view text, const std::string& file_name, File* out) {
  return BindYaml(text, file_name, out, [out] { return Check(*out); });
}
template <class File>
StatusOr<File> LoadChecked(const std::string& path) {
  File file;
  RETURN_IF_ERROR(LoadYamlFile(path, &file, [&file] { return Check(file); }));
  return file;
}

// Unit fields that are set; an empty text leaves `out` as it is. `path` begins the error.
Status TakeDuration(std::string_view path, const std::string& text, Duration* out);
Status TakeBytes(std::string_view path, const std::string& text, Bytes* out);
inline void TakeText(const std::string& text, std::string* out) {
  if (!text.empty()) *out = text;
}

}  // namespace allot::config
