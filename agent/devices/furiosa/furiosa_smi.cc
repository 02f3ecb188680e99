#include "agent/devices/furiosa/furiosa_smi.h"

namespace allot::agent::furiosa_smi {
namespace {

bool HasCore(const SharedLibrary& smi) {
  void (*function)() = nullptr;
  return smi.Find("furiosa_smi_init", &function) &&
         smi.Find("furiosa_smi_get_core_frequency", &function) &&
         !smi.Find("furiosa_smi_create_observer", &function);
}

}  // namespace

StatusOr<std::unique_ptr<Library>> Open(const std::vector<std::string>& files) {
  ASSIGN_OR_RETURN(SharedLibrary opened, SharedLibrary::Open(files));
  auto library = std::make_unique<Library>(std::move(opened));
  const SharedLibrary& smi = library->file;
  Api& api = library->api;
  const bool complete = smi.Find("furiosa_smi_get_device_handle_by_bdf", &api.GetHandleByBdf) &&
                        smi.Find("furiosa_smi_get_device_power_consumption", &api.GetPower) &&
                        smi.Find("furiosa_smi_get_device_temperature", &api.GetTemperature);
  if (!complete) return FailedPrecondition("furiosa_smi lacks functions it always had");
  smi.Find("furiosa_smi_init", &api.Init);
  smi.Find("furiosa_smi_shutdown", &api.Shutdown);
  if (HasCore(smi))
    smi.Find("furiosa_smi_get_device_performance_counter", &api.GetPerformanceCounter);
  if (api.Init != nullptr)
    if (const Result result = api.Init(); result != kOk)
      return Unavailable("furiosa_smi does not start: error {}", result);
  library->shut_down = api.Shutdown;
  return library;
}

}  // namespace allot::agent::furiosa_smi
