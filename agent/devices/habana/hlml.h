// The part of Habana's management library (HLML) that we use, declared by ourselves: layouts and
// names as in the vendor's public header (HabanaAI/gohlml, hlml.h). Included in this folder only.
// Of its results only success is looked at: public sources disagree on the numbers of the others.
//
// Everything here may hang: on the vendor's thread only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/devices/host/library.h"
#include "common/base/status.h"

namespace allot::agent::hlml {

using Result = int;
inline constexpr Result kSuccess = 0;
using Handle = void*;

struct PciInfo {  // hlml_pci_info_t
  unsigned bus;
  char bus_id[15];  // "0000:19:00.0"
  unsigned device, domain, pci_device_id;
  char link_speed[10], link_width[10];  // older libraries write no further than pci_device_id
  char room[64];                        // ours, should a newer one write more
};
struct Memory {  // hlml_memory_t, bytes; not in NVML's order
  unsigned long long free, total, used;
};
struct Utilization {
  unsigned aip;
};                                            // hlml_utilization_t, percent
inline constexpr int kTemperatureOnChip = 0;  // HLML_TEMPERATURE_ON_AIP

// Function pointers; those that an old library lacks are null, except the first group.
struct Api {
  Result (*Init)() = nullptr;
  Result (*Shutdown)() = nullptr;
  Result (*DeviceGetCount)(unsigned*) = nullptr;
  Result (*DeviceGetHandleByIndex)(unsigned, Handle*) = nullptr;
  Result (*DeviceGetPciInfo)(Handle, PciInfo*) = nullptr;

  Result (*GetVersion)(char*, unsigned) = nullptr;
  Result (*DeviceGetUuid)(Handle, char*, unsigned) = nullptr;
  Result (*DeviceGetMemoryInfo)(Handle, Memory*) = nullptr;
  Result (*DeviceGetPowerUsage)(Handle, unsigned*) = nullptr;        // milliwatts
  Result (*DeviceGetTemperature)(Handle, int, unsigned*) = nullptr;  // celsius
  Result (*DeviceGetUtilizationRates)(Handle, Utilization*) = nullptr;
  Result (*DeviceGetTotalEnergyConsumption)(Handle, unsigned long long*) = nullptr;  // millijoules
};

class Library : public VendorLibrary<Api> {
 public:
  using VendorLibrary::VendorLibrary;
};

// Opens and initializes the library; shuts it down and closes it at the end. NotFound if there is
// no such library, which is how a machine without Gaudi cards looks.
StatusOr<std::unique_ptr<Library>> Open(const std::vector<std::string>& files);

}  // namespace allot::agent::hlml
