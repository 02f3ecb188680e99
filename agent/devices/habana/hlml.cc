#include "agent/devices/habana/hlml.h"

namespace allot::agent::hlml {

StatusOr<std::unique_ptr<Library>> Open(const std::vector<std::string>& files) {
  ASSIGN_OR_RETURN(SharedLibrary opened, SharedLibrary::Open(files));
  auto library = std::make_unique<Library>(std::move(opened));
  const SharedLibrary& hlml = library->file;
  Api& api = library->api;
  const bool complete = hlml.Find("hlml_init", &api.Init) &&
                        hlml.Find("hlml_shutdown", &api.Shutdown) &&
                        hlml.Find("hlml_device_get_count", &api.DeviceGetCount) &&
                        hlml.Find("hlml_device_get_handle_by_index", &api.DeviceGetHandleByIndex) &&
                        hlml.Find("hlml_device_get_pci_info", &api.DeviceGetPciInfo);
  if (!complete) return FailedPrecondition("HLML lacks functions it always had");
  hlml.Find("hlml_get_hlml_version", &api.GetVersion);
  hlml.Find("hlml_device_get_uuid", &api.DeviceGetUuid);
  hlml.Find("hlml_device_get_memory_info", &api.DeviceGetMemoryInfo);
  hlml.Find("hlml_device_get_power_usage", &api.DeviceGetPowerUsage);
  hlml.Find("hlml_device_get_temperature", &api.DeviceGetTemperature);
  hlml.Find("hlml_device_get_utilization_rates", &api.DeviceGetUtilizationRates);
  hlml.Find("hlml_device_get_total_energy_consumption", &api.DeviceGetTotalEnergyConsumption);
  if (const Result result = api.Init(); result != kSuccess)
    return Unavailable("HLML does not start: error {}", result);
  library->shut_down = api.Shutdown;
  return library;
}

}  // namespace allot::agent::hlml
