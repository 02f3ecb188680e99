// A stand-in for libze_loader.so.1, which is no library of Intel's. It knows, of the recorded
// machine intel-flex170-arc-b60, a card with two tiles (0000:17:00.0), one that tells little
// (0000:81:00.0) and the processor's own graphics (0000:00:02.0). FAKE_ZE in the environment
// changes it: "no-driver" fails to start, "no-list" does not tell its drivers, "still" has clocks
// that stand still, "hang" does not come back from telling its drivers until FakeLetGo.
// Written from the public header (oneapi-src/level-zero, include/zes_api.h), apart from our own
// declarations on purpose: a layout wrong in both would go unnoticed otherwise.
#include "../fake_library.h"

#include <cstdint>

namespace {

bool Is(const char* mode) { return IsSet("FAKE_ZE", mode); }

int driver, devices[3];
int engines[4], memories[3], sensors[4], power;
uint64_t asked[4];

// As the specification has it for all its lists.
int Tell(uint32_t* count, void** handles, uint32_t has, int* first) {
  if (handles == nullptr || *count > has) {
    if (handles == nullptr && *count == 0) {
      *count = has;
      return 0;
    }
    *count = has;
  }
  for (uint32_t i = 0; handles != nullptr && i < *count; ++i) handles[i] = first + i;
  return 0;
}

}  // namespace

extern "C" {

typedef uint8_t ze_bool_t;
typedef enum _ze_result_t {
  ZE_RESULT_SUCCESS = 0,
  ZE_RESULT_ERROR_INSUFFICIENT_PERMISSIONS = 0x70010000,
  ZE_RESULT_ERROR_UNINITIALIZED = 0x78000001,
  ZE_RESULT_ERROR_UNSUPPORTED_FEATURE = 0x78000003,
  ZE_RESULT_ERROR_INVALID_ENUMERATION = 0x7800000c
} ze_result_t;
typedef enum _zes_structure_type_t {
  ZES_STRUCTURE_TYPE_PCI_PROPERTIES = 0x2,
  ZES_STRUCTURE_TYPE_ENGINE_PROPERTIES = 0x5,
  ZES_STRUCTURE_TYPE_MEM_PROPERTIES = 0xb,
  ZES_STRUCTURE_TYPE_TEMP_PROPERTIES = 0x14,
  ZES_STRUCTURE_TYPE_MEM_STATE = 0x1e
} zes_structure_type_t;
typedef struct _zes_pci_address_t {
  uint32_t domain;
  uint32_t bus;
  uint32_t device;
  uint32_t function;
} zes_pci_address_t;
typedef struct _zes_pci_speed_t {
  int32_t gen;
  int32_t width;
  int64_t maxBandwidth;
} zes_pci_speed_t;
typedef struct _zes_pci_properties_t {
  zes_structure_type_t stype;
  void* pNext;
  zes_pci_address_t address;
  zes_pci_speed_t maxSpeed;
  ze_bool_t haveBandwidthCounters;
  ze_bool_t havePacketCounters;
  ze_bool_t haveReplayCounters;
} zes_pci_properties_t;
typedef enum _zes_engine_group_t {
  ZES_ENGINE_GROUP_ALL = 0,
  ZES_ENGINE_GROUP_COMPUTE_ALL = 1,
  ZES_ENGINE_GROUP_COPY_ALL = 3
} zes_engine_group_t;
typedef struct _zes_engine_properties_t {
  zes_structure_type_t stype;
  void* pNext;
  zes_engine_group_t type;
  ze_bool_t onSubdevice;
  uint32_t subdeviceId;
} zes_engine_properties_t;
typedef struct _zes_engine_stats_t {
  uint64_t activeTime;
  uint64_t timestamp;
} zes_engine_stats_t;
typedef struct _zes_mem_properties_t {
  zes_structure_type_t stype;
  void* pNext;
  int type;
  ze_bool_t onSubdevice;
  uint32_t subdeviceId;
  int location;
  uint64_t physicalSize;
  int32_t busWidth;
  int32_t numChannels;
} zes_mem_properties_t;
typedef struct _zes_mem_state_t {
  zes_structure_type_t stype;
  const void* pNext;
  int health;
  uint64_t free;
  uint64_t size;
} zes_mem_state_t;
typedef enum _zes_temp_sensors_t {
  ZES_TEMP_SENSORS_GLOBAL = 0,
  ZES_TEMP_SENSORS_GPU = 1,
  ZES_TEMP_SENSORS_MEMORY = 2
} zes_temp_sensors_t;
typedef struct _zes_temp_properties_t {
  zes_structure_type_t stype;
  void* pNext;
  zes_temp_sensors_t type;
  ze_bool_t onSubdevice;
  uint32_t subdeviceId;
  double maxTemperature;
  ze_bool_t isCriticalTempSupported;
  ze_bool_t isThreshold1Supported;
  ze_bool_t isThreshold2Supported;
} zes_temp_properties_t;
typedef struct _zes_power_energy_counter_t {
  uint64_t energy;
  uint64_t timestamp;
} zes_power_energy_counter_t;

ze_result_t zesInit(uint32_t flags) {
  if (flags != 0) return ZE_RESULT_ERROR_INVALID_ENUMERATION;
  return Is("no-driver") ? ZE_RESULT_ERROR_UNINITIALIZED : ZE_RESULT_SUCCESS;
}
ze_result_t zesDriverGet(uint32_t* count, void** handles) {
  if (Is("hang")) Hang();
  if (Is("no-list")) return ZE_RESULT_ERROR_UNINITIALIZED;
  return static_cast<ze_result_t>(Tell(count, handles, 1, &driver));
}
ze_result_t zesDeviceGet(void*, uint32_t* count, void** handles) {
  return static_cast<ze_result_t>(Tell(count, handles, 3, devices));
}
ze_result_t zesDevicePciGetProperties(void* device, zes_pci_properties_t* pci) {
  if (pci->stype != ZES_STRUCTURE_TYPE_PCI_PROPERTIES || pci->pNext != nullptr)
    return ZE_RESULT_ERROR_INVALID_ENUMERATION;
  pci->address = device == &devices[0]   ? zes_pci_address_t{0, 0x17, 0, 0}
                 : device == &devices[1] ? zes_pci_address_t{0, 0x81, 0, 0}
                                         : zes_pci_address_t{0, 0, 2, 0};
  pci->maxSpeed = {4, 16, 31'500'000'000};
  pci->haveReplayCounters = 1;
  return ZE_RESULT_SUCCESS;
}
// Two tiles, and engines that are counted in them already; the second card sums up compute alone.
ze_result_t zesDeviceEnumEngineGroups(void* device, uint32_t* count, void** handles) {
  if (device == &devices[0]) return static_cast<ze_result_t>(Tell(count, handles, 3, engines));
  return static_cast<ze_result_t>(Tell(count, handles, 1, engines + 3));
}
ze_result_t zesEngineGetProperties(void* engine, zes_engine_properties_t* properties) {
  if (properties->stype != ZES_STRUCTURE_TYPE_ENGINE_PROPERTIES)
    return ZE_RESULT_ERROR_INVALID_ENUMERATION;
  properties->type = engine == &engines[2]   ? ZES_ENGINE_GROUP_COPY_ALL
                     : engine == &engines[3] ? ZES_ENGINE_GROUP_COMPUTE_ALL
                                             : ZES_ENGINE_GROUP_ALL;
  properties->onSubdevice = 1;
  properties->subdeviceId = 0;
  return ZE_RESULT_SUCCESS;
}
ze_result_t zesEngineGetActivity(void* engine, zes_engine_stats_t* stats) {
  const auto which = static_cast<int*>(engine) - engines;
  const uint64_t n = Is("still") ? 0 : ++asked[which];
  const uint64_t busy[] = {300, 900, 1000, 250};  // of 1000
  *stats = {busy[which] * n, 5'000'000 + 1000 * n};
  return ZE_RESULT_SUCCESS;
}
// A module for each tile and one of the host; the second card may not be asked.
ze_result_t zesDeviceEnumMemoryModules(void* device, uint32_t* count, void** handles) {
  if (device == &devices[0]) return static_cast<ze_result_t>(Tell(count, handles, 3, memories));
  return ZE_RESULT_ERROR_INSUFFICIENT_PERMISSIONS;
}
ze_result_t zesMemoryGetProperties(void* memory, zes_mem_properties_t* properties) {
  if (properties->stype != ZES_STRUCTURE_TYPE_MEM_PROPERTIES)
    return ZE_RESULT_ERROR_INVALID_ENUMERATION;
  properties->location = memory == &memories[2] ? 0 : 1;
  properties->physicalSize = 8ULL << 30;
  return ZE_RESULT_SUCCESS;
}
ze_result_t zesMemoryGetState(void*, zes_mem_state_t* state) {
  if (state->stype != ZES_STRUCTURE_TYPE_MEM_STATE) return ZE_RESULT_ERROR_INVALID_ENUMERATION;
  state->health = 1;
  state->size = 7'500'000'000;
  state->free = 7'000'000'000;
  return ZE_RESULT_SUCCESS;
}
ze_result_t zesDeviceEnumTemperatureSensors(void*, uint32_t* count, void** handles) {
  return static_cast<ze_result_t>(Tell(count, handles, 4, sensors));
}
ze_result_t zesTemperatureGetProperties(void* sensor, zes_temp_properties_t* properties) {
  if (properties->stype != ZES_STRUCTURE_TYPE_TEMP_PROPERTIES)
    return ZE_RESULT_ERROR_INVALID_ENUMERATION;
  properties->type = sensor == &sensors[0]   ? ZES_TEMP_SENSORS_GLOBAL
                     : sensor == &sensors[3] ? ZES_TEMP_SENSORS_MEMORY
                                             : ZES_TEMP_SENSORS_GPU;
  properties->maxTemperature = 105;
  return ZE_RESULT_SUCCESS;
}
ze_result_t zesTemperatureGetState(void* sensor, double* celsius) {
  *celsius = 90;
  if (sensor == &sensors[1]) *celsius = 51.5;
  if (sensor == &sensors[2]) *celsius = 53;
  if (sensor == &sensors[3]) *celsius = 47;
  return ZE_RESULT_SUCCESS;
}
ze_result_t zesDeviceGetCardPowerDomain(void* device, void** handle) {
  if (device != &devices[0]) return ZE_RESULT_ERROR_UNSUPPORTED_FEATURE;
  *handle = &power;
  return ZE_RESULT_SUCCESS;
}
ze_result_t zesPowerGetEnergyCounter(void*, zes_power_energy_counter_t* counter) {
  *counter = {77'500'000, 1};
  return ZE_RESULT_SUCCESS;
}

}  // extern "C"
