// From the config file of allot-gateway to the options of Gateway::Start.
#pragma once

#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/proto/config.pb.h"
#include "gateway/gateway.h"

namespace allot::gateway {

// Reads the file and everything it names (keys, allow list, tokens); binds nothing. Errors say
// file, line and column where there are any.
StatusOr<config::Gateway> LoadConfig(const std::string& path);
StatusOr<Options> ToOptions(const config::Gateway& config);

// cors_origins, each checked; also for a gateway within the scheduler.
Status TakeOrigins(const config::Gateway& config, std::vector<std::string>* origins);
// How much is taken from clients, and held for them; the same.
Status TakeLimits(const config::Gateway& config, Options* options);
// What it shows its clients, and whether they may show tokens in the clear, where it says so.
void TakeTls(const config::Gateway& config, Options* options);

}  // namespace allot::gateway
