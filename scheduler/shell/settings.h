// From the scheduler's config file to the shell's options, and the files that stand beside it.
#pragma once

#include <memory>
#include <string>

#include "common/base/status.h"
#include "common/proto/config.pb.h"
#include "scheduler/shell/shell.h"

namespace allot::scheduler {

// The file, checked (a local cluster listens on loopback only, any other has a tokens file).
StatusOr<config::Scheduler> LoadConfig(const std::string& path);
// Reads everything it names (keys, allow list, tokens, first policy); binds nothing.
StatusOr<Shell::Options> ToShellOptions(const config::Scheduler& config);

// Where this machine reaches what is bound to `bound`: a wildcard becomes loopback.
std::string DialAddress(std::string bound);

// Where the embedded gateway keeps a renewed key (common/transport/renewed_keys.h).
std::string GatewayRenewedKeysFile(const config::Scheduler& config);
// The embedded gateway's key: made beside the scheduler's on the first start (gateway.key) and
// entered in the allow file as `name`, or the one that has taken its place.
StatusOr<transport::KeyPair> GatewayKeys(const config::Scheduler& config, const std::string& name);

}  // namespace allot::scheduler
