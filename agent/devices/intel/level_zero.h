// The part of level-zero's management interface (Sysman) that we use, declared by ourselves:
// layouts and names as in its public header (oneapi-src/level-zero, include/zes_api.h). Included in
// this folder only.
//
// Started by zesInit, which loaders have since 1.5 of the specification; before that it was a
// variable of the environment, which we would not set for the whole agent. The identity it tells is
// left alone: whether it survives a move to another slot is not documented.
//
// Everything here may hang: on the vendor's thread only. There is one Sysman in a process and no
// call that ends it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/devices/host/library.h"
#include "common/base/status.h"

namespace allot::agent::zes {

using Result = int;
inline constexpr Result kSuccess = 0;
using Handle = void*;  // of drivers, devices and what they have
using Bool = uint8_t;

inline constexpr int kPciProperties = 0x2, kEngineProperties = 0x5, kMemoryProperties = 0xb,
                     kTemperatureProperties = 0x14, kMemoryState = 0x1e;  // zes_structure_type_t

struct PciProperties {  // zes_pci_properties_t
  int type = kPciProperties;
  void* next = nullptr;
  uint32_t domain, bus, device, function;
  int32_t generation, width;
  int64_t bandwidth_max;
  Bool have_bandwidth, have_packets, have_replays;
};
struct EngineProperties {  // zes_engine_properties_t
  int type = kEngineProperties;
  void* next = nullptr;
  int group;
  Bool on_subdevice;
  uint32_t subdevice;
};
inline constexpr int kEnginesAll = 0, kEnginesCompute = 1;  // zes_engine_group_t
struct EngineStats {
  uint64_t active, timestamp;
};                         // zes_engine_stats_t, microseconds; only differences mean something
struct MemoryProperties {  // zes_mem_properties_t
  int type = kMemoryProperties;
  void* next = nullptr;
  int kind;
  Bool on_subdevice;
  uint32_t subdevice;
  int location;
  uint64_t physical_size;
  int32_t bus_width, channels;
};
inline constexpr int kOnDevice = 1;  // ZES_MEM_LOC_DEVICE
struct MemoryState {                 // zes_mem_state_t, bytes
  int type = kMemoryState;
  const void* next = nullptr;
  int health;
  uint64_t free, size;
};
struct TemperatureProperties {  // zes_temp_properties_t
  int type = kTemperatureProperties;
  void* next = nullptr;
  int sensor;
  Bool on_subdevice;
  uint32_t subdevice;
  double max;
  Bool critical, threshold1, threshold2;
};
inline constexpr int kSensorGpu = 1, kSensorMemory = 2;  // zes_temp_sensors_t
struct EnergyCounter {
  uint64_t microjoules, timestamp;
};  // zes_power_energy_counter_t

static_assert(sizeof(PciProperties) == 56 && sizeof(EngineProperties) == 32 &&
              sizeof(MemoryProperties) == 48 && sizeof(MemoryState) == 40 &&
              sizeof(TemperatureProperties) == 48);

// Enumerations: with a null list the number of them, else as many as there is room for.
using Enumerate = Result (*)(Handle, uint32_t*, Handle*);

// Function pointers; the first group is there.
struct Api {
  Result (*Init)(uint32_t flags) = nullptr;
  Result (*DriverGet)(uint32_t*, Handle*) = nullptr;
  Enumerate DeviceGet = nullptr;
  Result (*DevicePciGetProperties)(Handle, PciProperties*) = nullptr;

  Enumerate DeviceEnumEngineGroups = nullptr;
  Result (*EngineGetProperties)(Handle, EngineProperties*) = nullptr;
  Result (*EngineGetActivity)(Handle, EngineStats*) = nullptr;
  Enumerate DeviceEnumMemoryModules = nullptr;
  Result (*MemoryGetProperties)(Handle, MemoryProperties*) = nullptr;
  Result (*MemoryGetState)(Handle, MemoryState*) = nullptr;
  Enumerate DeviceEnumTemperatureSensors = nullptr;
  Result (*TemperatureGetProperties)(Handle, TemperatureProperties*) = nullptr;
  Result (*TemperatureGetState)(Handle, double*) = nullptr;  // celsius
  Result (*DeviceGetCardPowerDomain)(Handle, Handle*) = nullptr;
  Result (*PowerGetEnergyCounter)(Handle, EnergyCounter*) = nullptr;
};

class Library : public VendorLibrary<Api> {
 public:
  using VendorLibrary::VendorLibrary;
};

// Opens and initializes the library; closes it at the end. NotFound if there is no such library,
// which is how a machine without Intel's compute runtime looks.
StatusOr<std::unique_ptr<Library>> Open(const std::vector<std::string>& files);

// The devices of all drivers; Unavailable if none can be told.
StatusOr<std::vector<Handle>> Devices(const Api& api);

// What `of` has; nothing if it does not say, or the function is not there.
std::vector<Handle> List(Enumerate enumerate, Handle of);

}  // namespace allot::agent::zes
