// The gateways that the scheduler last named, in the state folder: an agent that starts while the
// scheduler is gone, or does not hear a gateway, finds the gateways its replicas serve.
#pragma once

#include <string>

#include "agent/core/events.h"

namespace allot::agent {

// A file that cannot be written costs no more than the memory; it is said in the log.
void RememberGateways(const std::string& folder, const SetGateways& gateways);
// Nothing where nothing is remembered, or what is cannot be read.
SetGateways RememberedGateways(const std::string& folder);

}  // namespace allot::agent
