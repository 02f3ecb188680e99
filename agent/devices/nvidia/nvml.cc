#include "agent/devices/nvidia/nvml.h"

namespace allot::agent::nvml {

std::string Api::Describe(Result result) const {
  return ErrorString != nullptr ? ErrorString(result) : fmt::format("NVML error {}", result);
}

StatusOr<std::unique_ptr<Library>> Open(const std::string& file) {
  ASSIGN_OR_RETURN(SharedLibrary opened, SharedLibrary::Open({file}));
  auto library = std::make_unique<Library>(std::move(opened));
  const SharedLibrary& nvml = library->file;
  Api& api = library->api;
  const bool complete = nvml.Find("nvmlInit_v2", &api.Init) &&
                        nvml.Find("nvmlShutdown", &api.Shutdown) &&
                        nvml.Find("nvmlDeviceGetCount_v2", &api.DeviceGetCount) &&
                        nvml.Find("nvmlDeviceGetHandleByIndex_v2", &api.DeviceGetHandleByIndex) &&
                        nvml.Find("nvmlDeviceGetName", &api.DeviceGetName) &&
                        nvml.Find("nvmlDeviceGetUUID", &api.DeviceGetUuid) &&
                        nvml.Find("nvmlDeviceGetPciInfo_v3", &api.DeviceGetPciInfo) &&
                        nvml.Find("nvmlDeviceGetMemoryInfo", &api.DeviceGetMemoryInfo);
  if (!complete) return FailedPrecondition("{} lacks functions every driver since 2018 has", file);
  nvml.Find("nvmlDeviceGetMemoryInfo_v2", &api.DeviceGetMemoryInfoV2);
  nvml.Find("nvmlErrorString", &api.ErrorString);
  nvml.Find("nvmlSystemGetDriverVersion", &api.SystemGetDriverVersion);
  nvml.Find("nvmlDeviceGetCudaComputeCapability", &api.DeviceGetCudaComputeCapability);
  nvml.Find("nvmlDeviceGetMigMode", &api.DeviceGetMigMode);
  nvml.Find("nvmlDeviceGetMaxMigDeviceCount", &api.DeviceGetMaxMigDeviceCount);
  nvml.Find("nvmlDeviceGetMigDeviceHandleByIndex", &api.DeviceGetMigDeviceHandleByIndex);
  nvml.Find("nvmlDeviceGetGpuInstanceId", &api.DeviceGetGpuInstanceId);
  nvml.Find("nvmlDeviceGetComputeInstanceId", &api.DeviceGetComputeInstanceId);
  nvml.Find("nvmlDeviceGetMinorNumber", &api.DeviceGetMinorNumber);
  nvml.Find("nvmlDeviceGetPowerUsage", &api.DeviceGetPowerUsage);
  nvml.Find("nvmlDeviceGetTemperature", &api.DeviceGetTemperature);
  nvml.Find("nvmlDeviceGetUtilizationRates", &api.DeviceGetUtilizationRates);
  nvml.Find("nvmlDeviceGetTotalEnergyConsumption", &api.DeviceGetTotalEnergyConsumption);
  nvml.Find("nvmlDeviceGetPowerManagementLimit", &api.DeviceGetPowerManagementLimit);
  nvml.Find("nvmlDeviceGetTemperatureThreshold", &api.DeviceGetTemperatureThreshold);
  nvml.Find("nvmlDeviceGetTotalEccErrors", &api.DeviceGetTotalEccErrors);
  nvml.Find("nvmlDeviceGetRemappedRows", &api.DeviceGetRemappedRows);
  nvml.Find("nvmlDeviceGetRetiredPagesPendingStatus", &api.DeviceGetRetiredPagesPendingStatus);
  nvml.Find("nvmlDeviceGetCurrentClocksThrottleReasons",
            &api.DeviceGetCurrentClocksThrottleReasons);
  nvml.Find("nvmlDeviceGetFieldValues", &api.DeviceGetFieldValues);
  nvml.Find("nvmlEventSetCreate", &api.EventSetCreate);
  nvml.Find("nvmlEventSetFree", &api.EventSetFree);
  nvml.Find("nvmlEventSetWait_v2", &api.EventSetWait);
  nvml.Find("nvmlDeviceRegisterEvents", &api.DeviceRegisterEvents);
  const Result result = api.Init();
  if (result != kSuccess) return Unavailable("{} does not start: {}", file, api.Describe(result));
  library->shut_down = api.Shutdown;
  return library;
}

}  // namespace allot::agent::nvml
