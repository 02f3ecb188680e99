#include "agent/devices/amd/rocm_smi.h"

namespace allot::agent::rsmi {

std::string AddressOf(uint64_t bdfid) {
  return fmt::format("{:04x}:{:02x}:{:02x}.{}", bdfid >> 32, bdfid >> 8 & 0xff, bdfid >> 3 & 0x1f,
                     bdfid & 7);
}

StatusOr<std::unique_ptr<Library>> Open(const std::vector<std::string>& files) {
  ASSIGN_OR_RETURN(SharedLibrary opened, SharedLibrary::Open(files));
  auto library = std::make_unique<Library>(std::move(opened));
  const SharedLibrary& rsmi = library->file;
  Api& api = library->api;
  const bool complete = rsmi.Find("rsmi_init", &api.Init) &&
                        rsmi.Find("rsmi_shut_down", &api.ShutDown) &&
                        rsmi.Find("rsmi_num_monitor_devices", &api.NumMonitorDevices) &&
                        rsmi.Find("rsmi_dev_pci_id_get", &api.DevPciIdGet);
  if (!complete) return FailedPrecondition("ROCm SMI lacks functions it always had");
  rsmi.Find("rsmi_dev_unique_id_get", &api.DevUniqueIdGet);
  rsmi.Find("rsmi_dev_energy_count_get", &api.DevEnergyCountGet);
  if (const Result result = api.Init(0); result != kSuccess)
    return Unavailable("ROCm SMI does not start: error {}", result);
  library->shut_down = api.ShutDown;
  return library;
}

}  // namespace allot::agent::rsmi
