// A stand-in for libhlml.so, which is no library of Habana's. It knows two cards of the recorded
// machine intel-8xgaudi2 (0000:19:00.0, 0000:1a:00.0; the second measures less) and one that is not
// there. FAKE_HLML in the environment changes it: "no-driver" fails to start, "no-count" does not
// tell its cards, "hang" does not come back from telling them until FakeLetGo.
// Written from the vendor's public header (HabanaAI/gohlml, hlml.h), apart from our own
// declarations on purpose: a layout wrong in both would go unnoticed otherwise.
#include "../fake_library.h"

#include <cstdio>

namespace {

struct Card {
  const char* bus_id;
  const char* uuid;
  bool measures_all;
};
Card cards[] = {
    {"0000:19:00.0", "01P0-HL2080A0-15-TF8A77-03-02-00", true},
    {"0000:1a:00.0", "01P0-HL2080A0-15-TF8A77-03-02-01", false},
    {"0000:ff:00.0", "01P0-HL2080A0-15-TF8A77-03-02-02", true},
};

bool Is(const char* mode) { return IsSet("FAKE_HLML", mode); }
Card* Of(void* device) { return static_cast<Card*>(device); }

}  // namespace

extern "C" {

typedef enum hlml_return {
  HLML_SUCCESS = 0,
  HLML_ERROR_INVALID_ARGUMENT = 2,
  HLML_ERROR_NOT_SUPPORTED = 3,
  HLML_ERROR_DRIVER_NOT_LOADED = 9,
  HLML_ERROR_UNKNOWN = 49
} hlml_return_t;
typedef struct hlml_pci_cap {
  char link_speed[10];
  char link_width[10];
} hlml_pci_cap_t;
typedef struct hlml_pci_info {
  unsigned int bus;
  char bus_id[5 + 10];
  unsigned int device;
  unsigned int domain;
  unsigned int pci_device_id;
  hlml_pci_cap_t caps;
} hlml_pci_info_t;
typedef struct hlml_utilization {
  unsigned int aip;
} hlml_utilization_t;
typedef struct hlml_memory {
  unsigned long long free;
  unsigned long long total;
  unsigned long long used;
} hlml_memory_t;
typedef enum hlml_temperature_sensors {
  HLML_TEMPERATURE_ON_AIP = 0,
  HLML_TEMPERATURE_ON_BOARD = 1
} hlml_temperature_sensors_t;
typedef void* hlml_device_t;

hlml_return_t hlml_init() { return Is("no-driver") ? HLML_ERROR_DRIVER_NOT_LOADED : HLML_SUCCESS; }
hlml_return_t hlml_shutdown() { return HLML_SUCCESS; }
hlml_return_t hlml_get_hlml_version(char* version, unsigned int length) {
  std::snprintf(version, length, "1.22.0");
  return HLML_SUCCESS;
}
hlml_return_t hlml_device_get_count(unsigned int* count) {
  if (Is("hang")) Hang();
  if (Is("no-count")) return HLML_ERROR_UNKNOWN;
  *count = 4;  // One more than it has a handle of.
  return HLML_SUCCESS;
}
hlml_return_t hlml_device_get_handle_by_index(unsigned int index, hlml_device_t* device) {
  if (index >= 3) return HLML_ERROR_INVALID_ARGUMENT;
  *device = &cards[index];
  return HLML_SUCCESS;
}
hlml_return_t hlml_device_get_pci_info(hlml_device_t device, hlml_pci_info_t* pci) {
  *pci = {};
  std::snprintf(pci->bus_id, sizeof pci->bus_id, "%s", Of(device)->bus_id);
  std::snprintf(pci->caps.link_width, sizeof pci->caps.link_width, "16");
  return HLML_SUCCESS;
}
hlml_return_t hlml_device_get_uuid(hlml_device_t device, char* uuid, unsigned int length) {
  std::snprintf(uuid, length, "%s", Of(device)->uuid);
  return HLML_SUCCESS;
}
hlml_return_t hlml_device_get_memory_info(hlml_device_t device, hlml_memory_t* memory) {
  if (!Of(device)->measures_all) return HLML_ERROR_NOT_SUPPORTED;
  *memory = {103079215104ULL - 805306368ULL, 103079215104ULL - 4096, 805306368ULL};
  return HLML_SUCCESS;
}
hlml_return_t hlml_device_get_power_usage(hlml_device_t device, unsigned int* milliwatts) {
  if (!Of(device)->measures_all) return HLML_ERROR_NOT_SUPPORTED;
  *milliwatts = 98765;
  return HLML_SUCCESS;
}
hlml_return_t hlml_device_get_temperature(hlml_device_t, hlml_temperature_sensors_t sensor,
                                          unsigned int* celsius) {
  *celsius = sensor == HLML_TEMPERATURE_ON_AIP ? 33 : 21;
  return HLML_SUCCESS;
}
hlml_return_t hlml_device_get_utilization_rates(hlml_device_t device, hlml_utilization_t* rates) {
  rates->aip = Of(device)->measures_all ? 42 : 4000;  // Nonsense.
  return HLML_SUCCESS;
}
hlml_return_t hlml_device_get_total_energy_consumption(hlml_device_t device,
                                                       unsigned long long* millijoules) {
  if (!Of(device)->measures_all) return HLML_ERROR_NOT_SUPPORTED;
  *millijoules = 7'000'250;
  return HLML_SUCCESS;
}

}  // extern "C"
