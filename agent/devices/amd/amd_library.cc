// What ROCm SMI adds to what the kernel driver shows: amdgpu's files have no energy counter.
#include <algorithm>

#include "agent/devices/amd/amd_vendor.h"
#include "agent/devices/amd/rocm_smi.h"

namespace allot::agent {

AmdVendor::AmdVendor(std::vector<std::string> library) : files_(std::move(library)) {}

AmdVendor::~AmdVendor() = default;

void AmdVendor::Enrich(Discovery* discovery) {
  gpus_.clear();
  if (discovery->devices.empty()) return;
  if (!library_) {
    StatusOr<std::unique_ptr<rsmi::Library>> opened = rsmi::Open(files_);
    if (!opened.ok()) {
      // Without ROCm the kernel's files tell all but energy, and that is no news.
      if (!absl::IsNotFound(opened.status()))
        discovery->warnings.push_back(
            fmt::format("AMD GPUs have no energy counter: {}", MessageOf(opened.status())));
      return;
    }
    library_ = *std::move(opened);
  }
  const rsmi::Api& api = library_->api;
  uint32_t count = 0;
  if (const rsmi::Result result = api.NumMonitorDevices(&count); result != rsmi::kSuccess) {
    discovery->warnings.push_back(fmt::format("ROCm SMI does not tell its GPUs: error {}", result));
    library_.reset();  // A driver that was replaced wants a new start.
    return;
  }
  for (uint32_t i = 0; i < count; ++i) {
    uint64_t bdfid = 0;
    if (api.DevPciIdGet(i, &bdfid) != rsmi::kSuccess) continue;
    const std::string address = rsmi::AddressOf(bdfid);
    // Whole GPUs only: the counter is of the package, so it is of none of its partitions.
    const auto it = std::find_if(
        discovery->devices.begin(), discovery->devices.end(),
        [&](const FoundDevice& found) { return found.device.id == address && !found.partition; });
    if (it == discovery->devices.end()) continue;
    gpus_.push_back({i, address});
    it->source += "; ROCm SMI";
    uint64_t unique = 0;
    if (it->uuid.empty() && api.DevUniqueIdGet != nullptr &&
        api.DevUniqueIdGet(i, &unique) == rsmi::kSuccess && unique != 0) {
      it->uuid = fmt::format("{:016x}", unique);  // As the driver's unique_id has it.
      it->Tell("uuid", "ROCm SMI");
    }
  }
}

std::vector<DeviceTelemetry> AmdVendor::Sample() {
  std::vector<DeviceTelemetry> samples = SysfsVendor::Sample();
  if (!library_ || library_->api.DevEnergyCountGet == nullptr) return samples;
  for (const Gpu& gpu : gpus_) {
    DeviceTelemetry& sample = SampleOf(gpu.id, &samples);
    uint64_t counts = 0, nanoseconds = 0;
    float microjoules = 0;
    // The second die of a card counts nothing: its energy is in the first one's.
    if (!sample.energy_joules &&
        library_->api.DevEnergyCountGet(gpu.index, &counts, &microjoules, &nanoseconds) ==
            rsmi::kSuccess &&
        counts != 0 && microjoules > 0)
      sample.energy_joules =
          Plausible(static_cast<double>(counts) * static_cast<double>(microjoules) / 1e6, 0, 1e13);
  }
  return samples;
}

}  // namespace allot::agent
