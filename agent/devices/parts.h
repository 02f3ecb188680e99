// What is special about a vendor's devices once they are cut into parts, or once several of them
// are in one process. Each vendor says it in a file of its own folder (neuron/parts.cc) and has a
// row in parts.cc; one without a row is used as its devices say. Pure functions.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/devices/vendor.h"
#include "common/base/status.h"

namespace allot::agent {

using Leased = std::vector<const Device*>;  // of one process, in the order of its lease

// What a runtime wants for a set of devices, beyond what each of them says by itself.
struct SetAccess {
  std::map<std::string, std::string> environment;  // instead of the devices' own words
  std::vector<std::string>
      nodes;  // files that only a lease of the whole set opens, where they exist
};

struct VendorParts {
  // The parts a device is made of, in the order its runtime numbers them: each with its word in the
  // variable, its files and its isolation class. Ids, memory and power are given by the caller
  // (shares.h). An error says why the device has no parts that a process could be given.
  StatusOr<std::vector<FoundDevice>> (*split)(const FoundDevice& whole) = nullptr;
  // `leased` are real devices of this vendor; `groups` those of the node.
  SetAccess (*join)(const Leased& leased, const std::vector<DeviceGroup>& groups) = nullptr;
};

// Nothing for a vendor without a row.
const VendorParts* FindVendorParts(std::string_view vendor);

// Of all vendors in the lease. Emulated devices have no runtime, so nothing is said of them.
SetAccess JoinSet(const Leased& leased, const std::vector<DeviceGroup>& groups);

// The device files of a lease, without doubles: `own` must be there, or the device is gone; of
// `shared` those count that exist, as some come with the driver's first use.
struct LeasedFiles {
  std::vector<std::string> own, shared;
  bool operator==(const LeasedFiles&) const = default;
};
LeasedFiles FilesOf(const std::vector<Device>& node, const std::vector<std::string>& leased);

}  // namespace allot::agent
