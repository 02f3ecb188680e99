// The part of NVIDIA's management library (NVML) that we use, declared by ourselves: layouts and
// names as in its public documentation, version suffixes included. Included in this folder only.
#pragma once

#include <memory>
#include <string>

#include "common/base/status.h"

namespace allot::agent::nvml {

using Result = int;
inline constexpr Result kSuccess = 0, kNotSupported = 3, kGpuIsLost = 15;
using Handle = struct Opaque*;

struct PciInfo {  // nvmlPciInfo_t, v3
  char bus_id_legacy[16];
  unsigned domain, bus, device, pci_device_id, pci_subsystem_id;
  char bus_id[32];
};
struct Memory {
  unsigned long long total, free, used;
};  // nvmlMemory_t
struct Utilization {
  unsigned gpu, memory;
};  // nvmlUtilization_t, percent
inline constexpr int kTemperatureGpu = 0;

// Function pointers; those that an old driver lacks are null, except the first group.
struct Api {
  Result (*Init)() = nullptr;
  Result (*Shutdown)() = nullptr;
  Result (*DeviceGetCount)(unsigned*) = nullptr;
  Result (*DeviceGetHandleByIndex)(unsigned, Handle*) = nullptr;
  Result (*DeviceGetName)(Handle, char*, unsigned) = nullptr;
  Result (*DeviceGetUuid)(Handle, char*, unsigned) = nullptr;
  Result (*DeviceGetPciInfo)(Handle, PciInfo*) = nullptr;
  Result (*DeviceGetMemoryInfo)(Handle, Memory*) = nullptr;

  const char* (*ErrorString)(Result) = nullptr;
  Result (*SystemGetDriverVersion)(char*, unsigned) = nullptr;
  Result (*DeviceGetCudaComputeCapability)(Handle, int*, int*) = nullptr;
  Result (*DeviceGetMigMode)(Handle, unsigned*, unsigned*) = nullptr;
  Result (*DeviceGetMaxMigDeviceCount)(Handle, unsigned*) = nullptr;
  Result (*DeviceGetMigDeviceHandleByIndex)(Handle, unsigned, Handle*) = nullptr;
  Result (*DeviceGetGpuInstanceId)(Handle, unsigned*) = nullptr;
  Result (*DeviceGetComputeInstanceId)(Handle, unsigned*) = nullptr;
  Result (*DeviceGetMinorNumber)(Handle, unsigned*) = nullptr;
  Result (*DeviceGetPowerUsage)(Handle, unsigned*) = nullptr;        // milliwatts
  Result (*DeviceGetTemperature)(Handle, int, unsigned*) = nullptr;  // celsius
  Result (*DeviceGetUtilizationRates)(Handle, Utilization*) = nullptr;
  Result (*DeviceGetTotalEnergyConsumption)(Handle, unsigned long long*) = nullptr;  // millijoules

  std::string Describe(Result result) const;
};

// Opens and initializes the library; shuts it down and closes it at the end. NotFound if there is
// no such library, which is how a machine without NVIDIA GPUs looks.
class Library {
 public:
  static StatusOr<std::unique_ptr<Library>> Open(const std::string& file);
  ~Library();
  const Api& api() const { return api_; }

 private:
  Library() = default;
  void* handle_ = nullptr;
  bool initialized_ = false;
  Api api_;
};

}  // namespace allot::agent::nvml
