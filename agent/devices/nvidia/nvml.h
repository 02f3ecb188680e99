// The part of NVIDIA's management library (NVML) that we use, declared by ourselves: layouts and
// names as in its public documentation, version suffixes included. Included in this folder only.
#pragma once

#include <memory>
#include <string>

#include "agent/devices/host/library.h"
#include "common/base/status.h"

namespace allot::agent::nvml {

using Result = int;
inline constexpr Result kSuccess = 0, kNotSupported = 3, kTimeout = 10, kGpuIsLost = 15;
using Handle = struct Opaque*;
using EventSet = struct OpaqueEventSet*;

struct PciInfo {  // nvmlPciInfo_t, v3
  char bus_id_legacy[16];
  unsigned domain, bus, device, pci_device_id, pci_subsystem_id;
  char bus_id[32];
};
struct Memory {
  unsigned long long total, free, used;
};  // nvmlMemory_t
struct MemoryV2 {
  unsigned version;
  unsigned long long total, reserved, free, used;
};  // nvmlMemory_v2_t: used is without what the driver reserves
inline constexpr unsigned kMemoryV2 = sizeof(MemoryV2) | 2u << 24;
struct Utilization {
  unsigned gpu, memory;
};  // nvmlUtilization_t, percent
inline constexpr int kTemperatureGpu = 0;
inline constexpr int kThresholdSlowdown = 1;                         // nvmlTemperatureThresholds_t
inline constexpr int kEccCorrected = 0, kEccUncorrected = 1;         // nvmlMemoryErrorType_t
inline constexpr int kEccVolatile = 0;                               // since the driver was loaded
inline constexpr unsigned long long kThrottleThermal = 0x20 | 0x40;  // by software, by hardware
inline constexpr unsigned long long kThrottlePowerBrake = 0x80;
inline constexpr unsigned long long kEventXid = 0x8;
inline constexpr unsigned kFieldMemoryTemperature = 82;

struct FieldValue {  // nvmlFieldValue_t
  unsigned field_id, scope_id;
  long long timestamp, latency_usec;
  int value_type;
  Result result;
  union {
    double d;
    unsigned u;
    unsigned long long ull;
  } value;
};
struct EventData {  // nvmlEventData_t of nvmlEventSetWait_v2
  Handle device;
  unsigned long long type, data;
  unsigned gpu_instance, compute_instance;
};

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

  Result (*DeviceGetMemoryInfoV2)(Handle, MemoryV2*) = nullptr;
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

  // Health: limits, errors, what slows it down, events.
  Result (*DeviceGetPowerManagementLimit)(Handle, unsigned*) = nullptr;  // milliwatts
  Result (*DeviceGetTemperatureThreshold)(Handle, int, unsigned*) = nullptr;
  Result (*DeviceGetTotalEccErrors)(Handle, int, int, unsigned long long*) = nullptr;
  // Corrected, uncorrected, is one pending, has one failed.
  Result (*DeviceGetRemappedRows)(Handle, unsigned*, unsigned*, unsigned*, unsigned*) = nullptr;
  Result (*DeviceGetRetiredPagesPendingStatus)(Handle, int*) = nullptr;
  Result (*DeviceGetCurrentClocksThrottleReasons)(Handle, unsigned long long*) = nullptr;
  Result (*DeviceGetFieldValues)(Handle, int, FieldValue*) = nullptr;
  Result (*EventSetCreate)(EventSet*) = nullptr;
  Result (*EventSetFree)(EventSet) = nullptr;
  Result (*EventSetWait)(EventSet, EventData*, unsigned) = nullptr;  // milliseconds; 0 looks only
  Result (*DeviceRegisterEvents)(Handle, unsigned long long, EventSet) = nullptr;

  std::string Describe(Result result) const;
};

class Library : public VendorLibrary<Api> {
 public:
  using VendorLibrary::VendorLibrary;
};

// Opens and initializes the library; shuts it down and closes it at the end. NotFound if there is
// no such library, which is how a machine without NVIDIA GPUs looks.
StatusOr<std::unique_ptr<Library>> Open(const std::string& file);

}  // namespace allot::agent::nvml
