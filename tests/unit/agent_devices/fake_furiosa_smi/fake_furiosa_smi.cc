// A stand-in for libfuriosa_smi.so, which is no library of FuriosaAI's. It knows the NPU of the
// recorded machine npu-rbln-furiosa (0000:81:00.0). FAKE_FURIOSA_SMI in the environment changes it:
// "no-driver" fails to start, "none" knows no NPU, "milliwatts" measures what no card draws, "lost"
// answers nothing of it, "reset" counts from 0 again, "hang" does not come back from telling its
// power until FakeLetGo.
// Written from the vendor's public header (furiosa-ai/furiosa-smi-go, pkg/smi/furiosa_smi.h), apart
// from our own declarations on purpose: a layout wrong in both would go unnoticed otherwise.
#include "../fake_library.h"

#include <cstdint>
#include <cstring>

namespace {

bool Is(const char* mode) { return IsSet("FAKE_FURIOSA_SMI", mode); }
uint64_t asked = 0;

}  // namespace

extern "C" {

typedef enum {
  FURIOSA_SMI_RETURN_CODE_OK = 0,
  FURIOSA_SMI_RETURN_CODE_DEVICE_NOT_FOUND_ERROR = 4,
  FURIOSA_SMI_RETURN_CODE_DEVICE_LOST_ERROR = 5,
  FURIOSA_SMI_RETURN_CODE_IO_ERROR = 7
} FuriosaSmiReturnCode;
typedef uint32_t FuriosaSmiDeviceHandle;
typedef struct {
  long timestamp;
  uint32_t core;
  uint64_t cycle_count;
  uint64_t task_execution_cycle;
} FuriosaSmiPePerformanceCounter;
typedef struct {
  uint32_t pe_count;
  FuriosaSmiPePerformanceCounter pe_performance_counters[64];
} FuriosaSmiDevicePerformanceCounter;
typedef struct {
  double rms_total;
} FuriosaSmiDevicePowerConsumption;
typedef struct {
  double soc_peak;
  double ambient;
} FuriosaSmiDeviceTemperature;

FuriosaSmiReturnCode furiosa_smi_init() {
  return Is("no-driver") ? FURIOSA_SMI_RETURN_CODE_IO_ERROR : FURIOSA_SMI_RETURN_CODE_OK;
}
FuriosaSmiReturnCode furiosa_smi_get_core_frequency(FuriosaSmiDeviceHandle, void*) {
  return FURIOSA_SMI_RETURN_CODE_IO_ERROR;
}
FuriosaSmiReturnCode furiosa_smi_get_device_handle_by_bdf(const char* bdf,
                                                          FuriosaSmiDeviceHandle* handle) {
  if (Is("none") || std::strcmp(bdf, "0000:81:00.0") != 0)
    return FURIOSA_SMI_RETURN_CODE_DEVICE_NOT_FOUND_ERROR;
  *handle = 7;
  return FURIOSA_SMI_RETURN_CODE_OK;
}
FuriosaSmiReturnCode furiosa_smi_get_device_power_consumption(
    FuriosaSmiDeviceHandle handle, FuriosaSmiDevicePowerConsumption* power) {
  if (Is("hang")) Hang();
  if (handle != 7 || Is("lost")) return FURIOSA_SMI_RETURN_CODE_DEVICE_LOST_ERROR;
  power->rms_total = Is("milliwatts") ? 38400 : 38.4;
  return FURIOSA_SMI_RETURN_CODE_OK;
}
FuriosaSmiReturnCode furiosa_smi_get_device_temperature(FuriosaSmiDeviceHandle handle,
                                                        FuriosaSmiDeviceTemperature* temperature) {
  if (handle != 7 || Is("lost")) return FURIOSA_SMI_RETURN_CODE_DEVICE_LOST_ERROR;
  *temperature = {40.98, 27.5};
  return FURIOSA_SMI_RETURN_CODE_OK;
}
// Of four elements one is busy half of the time, one always, one never; the clock of one stands
// still.
FuriosaSmiReturnCode furiosa_smi_get_device_performance_counter(
    FuriosaSmiDeviceHandle handle, FuriosaSmiDevicePerformanceCounter* counters) {
  if (handle != 7 || Is("lost")) return FURIOSA_SMI_RETURN_CODE_DEVICE_LOST_ERROR;
  const uint64_t n = Is("reset") ? 0 : ++asked;
  counters->pe_count = 4;
  counters->pe_performance_counters[0] = {1, 0, 1'000'000 + 1000 * n, 500 * n};
  counters->pe_performance_counters[1] = {1, 1, 1'000'000 + 1000 * n, 1000 * n};
  counters->pe_performance_counters[2] = {1, 2, 1'000'000 + 1000 * n, 33};
  counters->pe_performance_counters[3] = {1, 3, 1'000'000, 33};
  if (Is("reset")) counters->pe_performance_counters[0].cycle_count = 0;
  return FURIOSA_SMI_RETURN_CODE_OK;
}

}  // extern "C"
