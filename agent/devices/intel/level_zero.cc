#include "agent/devices/intel/level_zero.h"

#include <algorithm>

namespace allot::agent::zes {
namespace {

constexpr uint32_t kMost = 1024;  // A number from outside, before room is made for it.

}  // namespace

StatusOr<std::unique_ptr<Library>> Open(const std::vector<std::string>& files) {
  ASSIGN_OR_RETURN(SharedLibrary opened, SharedLibrary::Open(files));
  auto library = std::make_unique<Library>(std::move(opened));
  const SharedLibrary& ze = library->file;
  Api& api = library->api;
  const bool complete = ze.Find("zesInit", &api.Init) && ze.Find("zesDriverGet", &api.DriverGet) &&
                        ze.Find("zesDeviceGet", &api.DeviceGet) &&
                        ze.Find("zesDevicePciGetProperties", &api.DevicePciGetProperties);
  if (!complete) return FailedPrecondition("level-zero lacks functions it has since 1.5");
  ze.Find("zesDeviceEnumEngineGroups", &api.DeviceEnumEngineGroups);
  ze.Find("zesEngineGetProperties", &api.EngineGetProperties);
  ze.Find("zesEngineGetActivity", &api.EngineGetActivity);
  ze.Find("zesDeviceEnumMemoryModules", &api.DeviceEnumMemoryModules);
  ze.Find("zesMemoryGetProperties", &api.MemoryGetProperties);
  ze.Find("zesMemoryGetState", &api.MemoryGetState);
  ze.Find("zesDeviceEnumTemperatureSensors", &api.DeviceEnumTemperatureSensors);
  ze.Find("zesTemperatureGetProperties", &api.TemperatureGetProperties);
  ze.Find("zesTemperatureGetState", &api.TemperatureGetState);
  ze.Find("zesDeviceGetCardPowerDomain", &api.DeviceGetCardPowerDomain);
  ze.Find("zesPowerGetEnergyCounter", &api.PowerGetEnergyCounter);
  if (const Result result = api.Init(0); result != kSuccess)
    return Unavailable("level-zero does not start: error {:#x}", static_cast<unsigned>(result));
  return library;
}

StatusOr<std::vector<Handle>> Devices(const Api& api) {
  uint32_t count = 0;
  Result result = api.DriverGet(&count, nullptr);
  std::vector<Handle> drivers(std::min(count, kMost)), devices;
  count = static_cast<uint32_t>(drivers.size());
  if (result == kSuccess) result = api.DriverGet(&count, drivers.data());
  if (result != kSuccess)
    return Unavailable("level-zero does not tell its drivers: error {:#x}",
                       static_cast<unsigned>(result));
  drivers.resize(std::min<size_t>(count, drivers.size()));
  for (const Handle driver : drivers) {
    const std::vector<Handle> of_driver = List(api.DeviceGet, driver);
    devices.insert(devices.end(), of_driver.begin(), of_driver.end());
  }
  return devices;
}

std::vector<Handle> List(Enumerate enumerate, Handle of) {
  uint32_t count = 0;
  if (enumerate == nullptr || enumerate(of, &count, nullptr) != kSuccess) return {};
  std::vector<Handle> handles(std::min(count, kMost));
  count = static_cast<uint32_t>(handles.size());
  if (count == 0 || enumerate(of, &count, handles.data()) != kSuccess) return {};
  handles.resize(std::min<size_t>(count, handles.size()));
  std::erase(handles, nullptr);
  return handles;
}

}  // namespace allot::agent::zes
