// A stand-in for libnvidia-ml.so.1 with three GPUs: an H100, one in MIG mode, one that has fallen
// off the bus. FAKE_NVML in the environment changes it: "no-driver" fails to start, "empty" has no
// GPU, "sick": the H100 has errors of every kind. FAKE_NVML_XID gives one event of that code.
// Written from NVML's public documentation, apart from our own declarations on purpose: a layout
// wrong in both would go unnoticed otherwise.
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

struct Gpu {
  const char* name;
  const char* uuid;
  unsigned bus;
  unsigned long long memory;
  int major, minor;
  unsigned mig;
  bool lost;
};

Gpu gpus[] = {
    {"NVIDIA H100 80GB HBM3", "GPU-aaaa", 0x97, 85520809984ULL, 9, 0, 0, false},
    {"NVIDIA A100-SXM4-40GB", "GPU-bbbb", 0x17, 42949672960ULL, 8, 0, 1, false},
    {"NVIDIA L4", "GPU-cccc", 0x31, 0, 8, 9, 0, true},
};

bool Is(const char* mode) {
  const char* set = getenv("FAKE_NVML");
  return set != nullptr && strcmp(set, mode) == 0;
}

Gpu* Of(void* device) { return static_cast<Gpu*>(device); }

enum {
  kSuccess = 0,
  kInvalidArgument = 2,
  kNotSupported = 3,
  kTimeout = 10,
  kDriverNotLoaded = 9,
  kGpuIsLost = 15
};

bool h100_listened_to = false;

}  // namespace

extern "C" {

struct nvmlPciInfo_t {
  char busIdLegacy[16];
  unsigned domain, bus, device, pciDeviceId, pciSubSystemId;
  char busId[32];
};
struct nvmlMemory_t {
  unsigned long long total, free, used;
};
struct nvmlUtilization_t {
  unsigned gpu, memory;
};

int nvmlInit_v2() { return Is("no-driver") ? kDriverNotLoaded : kSuccess; }
int nvmlShutdown() { return kSuccess; }
const char* nvmlErrorString(int result) {
  return result == kDriverNotLoaded ? "Driver Not Loaded"
         : result == kGpuIsLost     ? "GPU is lost"
                                    : "Error";
}
int nvmlSystemGetDriverVersion(char* text, unsigned size) {
  snprintf(text, size, "550.54.15");
  return kSuccess;
}
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = Is("empty") ? 0 : 3;
  return kSuccess;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  if (index >= 3) return kInvalidArgument;
  *device = &gpus[index];
  return kSuccess;
}
int nvmlDeviceGetName(void* device, char* text, unsigned size) {
  snprintf(text, size, "%s", Of(device)->name);
  return kSuccess;
}
int nvmlDeviceGetUUID(void* device, char* text, unsigned size) {
  snprintf(text, size, "%s", Of(device)->uuid);
  return kSuccess;
}
int nvmlDeviceGetPciInfo_v3(void* device, nvmlPciInfo_t* pci) {
  *pci = {};
  pci->bus = Of(device)->bus;
  snprintf(pci->busId, sizeof pci->busId, "00000000:%02X:00.0", pci->bus);
  return kSuccess;
}
int nvmlDeviceGetMemoryInfo(void* device, nvmlMemory_t* memory) {
  if (Of(device)->lost) return kGpuIsLost;
  *memory = {Of(device)->memory, Of(device)->memory - 1000, 1000};
  return kSuccess;
}
struct nvmlMemory_v2_t {
  unsigned version;
  unsigned long long total, reserved, free, used;
};
int nvmlDeviceGetMemoryInfo_v2(void* device, nvmlMemory_v2_t* memory) {
  if (Of(device)->lost) return kGpuIsLost;
  if (memory->version != (sizeof(nvmlMemory_v2_t) | 2u << 24)) return kInvalidArgument;
  *memory = {memory->version, Of(device)->memory, 600, Of(device)->memory - 1000, 400};
  return kSuccess;
}
int nvmlDeviceGetCudaComputeCapability(void* device, int* major, int* minor) {
  *major = Of(device)->major;
  *minor = Of(device)->minor;
  return kSuccess;
}
int nvmlDeviceGetMigMode(void* device, unsigned* current, unsigned* pending) {
  *current = *pending = Of(device)->mig;
  return kSuccess;
}
int nvmlDeviceGetMinorNumber(void* device, unsigned* number) {
  *number = static_cast<unsigned>(Of(device) - gpus);
  return kSuccess;
}
int nvmlDeviceGetPowerUsage(void* device, unsigned* milliwatts) {
  if (Of(device)->lost) return kGpuIsLost;
  *milliwatts = 123456;
  return kSuccess;
}
int nvmlDeviceGetTemperature(void* device, int, unsigned* celsius) {
  if (Of(device)->lost) return kGpuIsLost;
  *celsius = 41;
  return kSuccess;
}
int nvmlDeviceGetUtilizationRates(void* device, nvmlUtilization_t* utilization) {
  if (Of(device)->mig != 0) return kNotSupported;
  if (Of(device)->lost) return kGpuIsLost;
  *utilization = {37, 12};
  return kSuccess;
}
int nvmlDeviceGetTotalEnergyConsumption(void* device, unsigned long long* millijoules) {
  if (Of(device)->lost) return kGpuIsLost;
  *millijoules = 5'000'500;
  return kSuccess;
}

int nvmlDeviceGetPowerManagementLimit(void* device, unsigned* milliwatts) {
  if (Of(device)->lost) return kGpuIsLost;
  *milliwatts = 700000;
  return kSuccess;
}
int nvmlDeviceGetTemperatureThreshold(void* device, int threshold, unsigned* celsius) {
  if (Of(device)->lost) return kGpuIsLost;
  if (threshold != 1) return kInvalidArgument;  // NVML_TEMPERATURE_THRESHOLD_SLOWDOWN
  *celsius = Of(device) == gpus && Is("sick") ? 40 : 92;
  return kSuccess;
}
int nvmlDeviceGetTotalEccErrors(void* device, int type, int counter, unsigned long long* count) {
  if (Of(device)->lost) return kGpuIsLost;
  if (counter != 0) return kInvalidArgument;  // NVML_VOLATILE_ECC
  *count = Of(device) == gpus && Is("sick") ? (type == 1 ? 2 : 5000) : 0;
  return kSuccess;
}
int nvmlDeviceGetRemappedRows(void* device, unsigned* corrected, unsigned* uncorrected,
                              unsigned* pending, unsigned* failed) {
  if (Of(device)->lost) return kGpuIsLost;
  *corrected = *uncorrected = 1;
  *pending = *failed = Of(device) == gpus && Is("sick") ? 1 : 0;
  return kSuccess;
}
int nvmlDeviceGetRetiredPagesPendingStatus(void*, int*) { return kNotSupported; }
int nvmlDeviceGetCurrentClocksThrottleReasons(void* device, unsigned long long* reasons) {
  if (Of(device)->lost) return kGpuIsLost;
  // SW power cap, which is ordinary; HW slowdown with its thermal and power-brake bits.
  *reasons = Of(device) == gpus && Is("sick") ? 0x4 | 0x8 | 0x40 | 0x80 : 0x4;
  return kSuccess;
}

union nvmlValue_t {
  double dVal;
  int siVal;
  unsigned uiVal;
  unsigned long ulVal;
  unsigned long long ullVal;
  long long sllVal;
  unsigned short usVal;
};
struct nvmlFieldValue_t {
  unsigned fieldId, scopeId;
  long long timestamp, latencyUsec;
  unsigned valueType;
  int nvmlReturn;
  nvmlValue_t value;
};
int nvmlDeviceGetFieldValues(void* device, int count, nvmlFieldValue_t* values) {
  for (int i = 0; i < count; ++i) {
    const bool memory_temperature = values[i].fieldId == 82 && Of(device) == gpus;
    values[i].nvmlReturn = memory_temperature ? kSuccess : kNotSupported;
    values[i].valueType = 1;  // unsigned int
    values[i].value.uiVal = memory_temperature ? 57 : 0;
  }
  return kSuccess;
}

struct nvmlEventData_t {
  void* device;
  unsigned long long eventType, eventData;
  unsigned gpuInstanceId, computeInstanceId;
};
int nvmlEventSetCreate(void** set) {
  *set = &h100_listened_to;
  return kSuccess;
}
int nvmlEventSetFree(void*) {
  h100_listened_to = false;
  return kSuccess;
}
int nvmlDeviceRegisterEvents(void* device, unsigned long long types, void*) {
  if (Of(device)->lost) return kGpuIsLost;
  if (types == 0x8 && Of(device) == gpus) h100_listened_to = true;
  return kSuccess;
}
int nvmlEventSetWait_v2(void*, nvmlEventData_t* event, unsigned milliseconds) {
  const char* xid = getenv("FAKE_NVML_XID");
  if (xid == nullptr || !h100_listened_to || milliseconds != 0) return kTimeout;
  *event = {gpus, 0x8, static_cast<unsigned long long>(atoi(xid)), 0xffffffff, 0xffffffff};
  unsetenv("FAKE_NVML_XID");
  return kSuccess;
}

}  // extern "C"
