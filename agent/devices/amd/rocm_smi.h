// The part of AMD's management library (ROCm SMI) that we use, declared by ourselves: names as in
// its public header (ROCm/rocm_smi_lib, include/rocm_smi/rocm_smi.h of ROCm 5.2).
// Included in this folder only. It has no struct of ours to get wrong: all are numbers.
//
// Everything here may hang: on the vendor's thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/devices/host/library.h"
#include "common/base/status.h"

namespace allot::agent::rsmi {

using Result = int;
inline constexpr Result kSuccess = 0;

// "0000:05:00.0" of what rsmi_dev_pci_id_get tells: the domain in the upper half, then bus, device
// and function as PCI packs them; newer libraries put the number of a partition above the bus.
std::string AddressOf(uint64_t bdfid);

// Function pointers; those that an old library lacks are null, except the first group.
struct Api {
  Result (*Init)(uint64_t flags) = nullptr;
  Result (*ShutDown)() = nullptr;
  Result (*NumMonitorDevices)(uint32_t*) = nullptr;
  Result (*DevPciIdGet)(uint32_t, uint64_t*) = nullptr;

  Result (*DevUniqueIdGet)(uint32_t, uint64_t*) = nullptr;
  // Counter, microjoules of one count, nanoseconds.
  Result (*DevEnergyCountGet)(uint32_t, uint64_t*, float*, uint64_t*) = nullptr;
};

class Library : public VendorLibrary<Api> {
 public:
  using VendorLibrary::VendorLibrary;
};

// Opens and initializes the library; shuts it down and closes it at the end. NotFound if there is
// no such library, which is how a machine without ROCm looks.
StatusOr<std::unique_ptr<Library>> Open(const std::vector<std::string>& files);

}  // namespace allot::agent::rsmi
