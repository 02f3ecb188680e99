// addresses.yaml, which every program writes into its state folder once it is ready
// (docs/api.md): how scripts and the local cluster learn the ports that were chosen.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "common/base/status.h"
#include "common/base/units.h"

namespace allot::client::local {

// In the folder of a cluster that was stopped on purpose: nobody need wait for it.
inline constexpr char kDownMark[] = "down";

struct Addresses {
  pid_t pid = 0;
  std::string http;      // host:port
  std::string endpoint;  // tcp://…
  std::string public_key;
  std::string gateway_http;  // scheduler with a gateway inside
  std::string gateway_endpoint;
};

StatusOr<Addresses> ReadAddresses(const std::string& state_dir);

// Where the API of the local cluster in `folder` is, or will be once its scheduler has restarted:
// the addresses it wrote, else what its config says; empty if the folder holds none, or one that
// `allot local down` stopped.
std::string LocalApi(const std::string& folder);

// Waits until the process `pid` has written its addresses. FailedPrecondition if it ends before,
// DeadlineExceeded after `timeout`, Cancelled once `interrupted` says so. The folder must exist.
StatusOr<Addresses> WaitForAddresses(const std::string& state_dir, pid_t pid, Duration timeout,
                                     const std::function<bool()>& interrupted = nullptr);

}  // namespace allot::client::local
