// A stand-in for an old libfuriosa_smi.so, which is no library of FuriosaAI's: temperatures are
// ints, counters have no core and come with observers. It knows the NPU of npu-rbln-furiosa.
// Written from old versions of the vendor's public header (furiosa-ai/furiosa-smi-go).
#include "../fake_library.h"

#include <cstdint>
#include <cstring>

extern "C" {

typedef uint32_t FuriosaSmiDeviceHandle;
typedef struct {
  double rms_total;
} FuriosaSmiDevicePowerConsumption;
typedef struct {
  int soc_peak;
  int ambient;
} FuriosaSmiDeviceTemperature;
typedef struct {
  long timestamp;
  uint64_t cycle_count;
  uint64_t task_execution_cycle;
} FuriosaSmiPePerformanceCounter;
typedef struct {
  uint32_t pe_count;
  FuriosaSmiPePerformanceCounter pe_performance_counters[64];
} FuriosaSmiDevicePerformanceCounter;

int furiosa_smi_init() { return 0; }
int furiosa_smi_shutdown() { return 0; }
int furiosa_smi_create_observer(void**) { return 0; }
int furiosa_smi_get_device_handle_by_bdf(const char* bdf, FuriosaSmiDeviceHandle* handle) {
  if (std::strcmp(bdf, "0000:81:00.0") != 0) return 4;
  *handle = 0;
  return 0;
}
int furiosa_smi_get_device_power_consumption(FuriosaSmiDeviceHandle,
                                             FuriosaSmiDevicePowerConsumption* power) {
  power->rms_total = 41;
  return 0;
}
int furiosa_smi_get_device_temperature(FuriosaSmiDeviceHandle,
                                       FuriosaSmiDeviceTemperature* temperature) {
  *temperature = {43, 30};
  return 0;
}
int furiosa_smi_get_device_performance_counter(FuriosaSmiDeviceHandle,
                                               FuriosaSmiDevicePerformanceCounter* counters) {
  counters->pe_count = 2;
  counters->pe_performance_counters[0] = {1, 1000, 500};
  counters->pe_performance_counters[1] = {1, 1000, 500};
  return 0;
}

}  // extern "C"
