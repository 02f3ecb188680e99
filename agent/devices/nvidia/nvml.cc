#include "agent/devices/nvidia/nvml.h"

#include <dlfcn.h>

namespace allot::agent::nvml {
namespace {

template <class F>
bool Find(void* library, const char* name, F* function) {
  *function = reinterpret_cast<F>(dlsym(library, name));
  return *function != nullptr;
}

}  // namespace

std::string Api::Describe(Result result) const {
  return ErrorString != nullptr ? ErrorString(result) : fmt::format("NVML error {}", result);
}

StatusOr<std::unique_ptr<Library>> Library::Open(const std::string& file) {
  std::unique_ptr<Library> library(new Library());
  library->handle_ = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library->handle_ == nullptr) {
    const char* why = dlerror();
    return NotFound("{}", why != nullptr ? why : file);
  }
  void* handle = library->handle_;
  Api& api = library->api_;
  const bool complete =
      Find(handle, "nvmlInit_v2", &api.Init) && Find(handle, "nvmlShutdown", &api.Shutdown) &&
      Find(handle, "nvmlDeviceGetCount_v2", &api.DeviceGetCount) &&
      Find(handle, "nvmlDeviceGetHandleByIndex_v2", &api.DeviceGetHandleByIndex) &&
      Find(handle, "nvmlDeviceGetName", &api.DeviceGetName) &&
      Find(handle, "nvmlDeviceGetUUID", &api.DeviceGetUuid) &&
      Find(handle, "nvmlDeviceGetPciInfo_v3", &api.DeviceGetPciInfo) &&
      Find(handle, "nvmlDeviceGetMemoryInfo", &api.DeviceGetMemoryInfo);
  if (!complete) return FailedPrecondition("{} lacks functions every driver since 2018 has", file);
  Find(handle, "nvmlDeviceGetMemoryInfo_v2", &api.DeviceGetMemoryInfoV2);
  Find(handle, "nvmlErrorString", &api.ErrorString);
  Find(handle, "nvmlSystemGetDriverVersion", &api.SystemGetDriverVersion);
  Find(handle, "nvmlDeviceGetCudaComputeCapability", &api.DeviceGetCudaComputeCapability);
  Find(handle, "nvmlDeviceGetMigMode", &api.DeviceGetMigMode);
  Find(handle, "nvmlDeviceGetMaxMigDeviceCount", &api.DeviceGetMaxMigDeviceCount);
  Find(handle, "nvmlDeviceGetMigDeviceHandleByIndex", &api.DeviceGetMigDeviceHandleByIndex);
  Find(handle, "nvmlDeviceGetGpuInstanceId", &api.DeviceGetGpuInstanceId);
  Find(handle, "nvmlDeviceGetComputeInstanceId", &api.DeviceGetComputeInstanceId);
  Find(handle, "nvmlDeviceGetMinorNumber", &api.DeviceGetMinorNumber);
  Find(handle, "nvmlDeviceGetPowerUsage", &api.DeviceGetPowerUsage);
  Find(handle, "nvmlDeviceGetTemperature", &api.DeviceGetTemperature);
  Find(handle, "nvmlDeviceGetUtilizationRates", &api.DeviceGetUtilizationRates);
  Find(handle, "nvmlDeviceGetTotalEnergyConsumption", &api.DeviceGetTotalEnergyConsumption);
  Find(handle, "nvmlDeviceGetPowerManagementLimit", &api.DeviceGetPowerManagementLimit);
  Find(handle, "nvmlDeviceGetTemperatureThreshold", &api.DeviceGetTemperatureThreshold);
  Find(handle, "nvmlDeviceGetTotalEccErrors", &api.DeviceGetTotalEccErrors);
  Find(handle, "nvmlDeviceGetRemappedRows", &api.DeviceGetRemappedRows);
  Find(handle, "nvmlDeviceGetRetiredPagesPendingStatus", &api.DeviceGetRetiredPagesPendingStatus);
  Find(handle, "nvmlDeviceGetCurrentClocksThrottleReasons",
       &api.DeviceGetCurrentClocksThrottleReasons);
  Find(handle, "nvmlDeviceGetFieldValues", &api.DeviceGetFieldValues);
  Find(handle, "nvmlEventSetCreate", &api.EventSetCreate);
  Find(handle, "nvmlEventSetFree", &api.EventSetFree);
  Find(handle, "nvmlEventSetWait_v2", &api.EventSetWait);
  Find(handle, "nvmlDeviceRegisterEvents", &api.DeviceRegisterEvents);
  const Result result = api.Init();
  if (result != kSuccess) return Unavailable("{} does not start: {}", file, api.Describe(result));
  library->initialized_ = true;
  return library;
}

Library::~Library() {
  if (initialized_) api_.Shutdown();
  if (handle_ != nullptr) dlclose(handle_);
}

}  // namespace allot::agent::nvml
