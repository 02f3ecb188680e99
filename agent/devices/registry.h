// Which vendors this agent looks for.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/devices/compose.h"
#include "agent/devices/endpoint/endpoint.h"
#include "agent/devices/vendor.h"
#include "common/catalogue/catalogue.h"
#include "common/proto/config.pb.h"

namespace allot::agent {

// Those that look at `host`. On a recorded one no library is opened, tools are not run, and no
// endpoint is asked. `endpoints`: those of `devices`, where the caller has read them already.
// InvalidArgument names an emulated model or an endpoint's that the catalogue does not have, or a
// vendor we do not know.
StatusOr<std::vector<std::unique_ptr<Vendor>>> MakeVendors(const config::AgentDevices& devices,
                                                           const Catalogue& catalogue,
                                                           std::shared_ptr<const Host> host,
                                                           const Endpoints* endpoints = nullptr);

// What the inventory makes of all they find.
Composition MakeComposition(const config::AgentDevices& devices, const Catalogue& catalogue,
                            const HostIsolation& isolation);

// The variables by which the vendors' runtimes show devices to a process: each is set for every
// process, to nothing where it leased none. Only those that hide devices when they are empty.
std::vector<std::string> HidingVariables();

}  // namespace allot::agent
