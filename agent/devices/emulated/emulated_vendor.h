// Devices that the config declares and the host's CPU stands in for. They lease, price and route
// like the real thing and say `emulated` wherever they are shown. They measure nothing: a number
// that was made up would be worse than none.
#pragma once

#include <memory>

#include "agent/devices/vendor.h"
#include "common/base/status.h"
#include "common/catalogue/catalogue.h"
#include "common/proto/config.pb.h"

namespace allot::agent {

StatusOr<std::unique_ptr<Vendor>> MakeEmulatedVendor(
    const google::protobuf::RepeatedPtrField<config::EmulatedDevices>& declared,
    const Catalogue& catalogue);

}  // namespace allot::agent
