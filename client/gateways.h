// Where the gateways of a cluster are, as seen from here.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "client/api.h"

namespace allot::client {

// http://host:port, or https://host:port where it says so, of what a scheduler at `scheduler_url`
// says of a gateway. One that listens on all addresses of its machine and says no more is taken to
// be where the scheduler is: that is where it is unless somebody gave it a machine of its own.
std::string GatewayUrl(const GatewayRef& gateway, const std::string& scheduler_url);

// The first gateway that answers. Unavailable: none does; the message names each with its reason.
StatusOr<std::string> FindGateway(Api& scheduler);

}  // namespace allot::client
