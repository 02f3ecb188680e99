// What HLML adds to what the kernel driver shows, and telemetry.
#include <algorithm>

#include "agent/devices/habana/habana_vendor.h"
#include "agent/devices/habana/hlml.h"

namespace allot::agent {
namespace {

// The library writes into a field of fixed size; a name that fills it has no end.
std::string AddressOf(const hlml::PciInfo& pci) {
  return {pci.bus_id, std::find(std::begin(pci.bus_id), std::end(pci.bus_id), '\0')};
}

std::string SourceOf(const hlml::Api& api) {
  char version[128] = "";
  if (api.GetVersion == nullptr || api.GetVersion(version, sizeof version - 1) != hlml::kSuccess ||
      version[0] == '\0')
    return "HLML";
  return fmt::format("HLML {}", version);
}

void Learn(const hlml::Api& api, hlml::Handle card, const std::string& source, FoundDevice* found) {
  found->source += "; " + source;
  char uuid[256] = "";
  if (api.DeviceGetUuid != nullptr &&
      api.DeviceGetUuid(card, uuid, sizeof uuid - 1) == hlml::kSuccess && uuid[0] != '\0') {
    found->uuid = uuid;
    found->Tell("uuid", source);
  }
  hlml::Memory memory{};
  if (api.DeviceGetMemoryInfo != nullptr &&
      api.DeviceGetMemoryInfo(card, &memory) == hlml::kSuccess)
    LearnMemory(memory.total, "hlml", source, found);
}

}  // namespace

HabanaVendor::HabanaVendor(std::vector<std::string> library) : files_(std::move(library)) {}

HabanaVendor::~HabanaVendor() = default;

bool HabanaVendor::EnrichByLibrary(Discovery* discovery) {
  cards_.clear();
  if (files_.empty()) return false;
  if (!library_) {
    StatusOr<std::unique_ptr<hlml::Library>> opened = hlml::Open(files_);
    if (!opened.ok()) {
      // No library is no news: hl-smi may do, and the kernel's files do without either.
      if (!absl::IsNotFound(opened.status()))
        discovery->warnings.push_back(
            fmt::format("Gaudi cards have no utilisation and no energy counter: {}",
                        MessageOf(opened.status())));
      return false;
    }
    library_ = *std::move(opened);
  }
  const hlml::Api& api = library_->api;
  unsigned count = 0;
  if (const hlml::Result result = api.DeviceGetCount(&count); result != hlml::kSuccess) {
    discovery->warnings.push_back(fmt::format("HLML does not tell its cards: error {}", result));
    library_.reset();  // A driver that was replaced wants a new start.
    return false;
  }
  const std::string source = SourceOf(api);
  for (unsigned i = 0; i < count; ++i) {
    hlml::Handle handle = nullptr;
    hlml::PciInfo pci{};
    if (api.DeviceGetHandleByIndex(i, &handle) != hlml::kSuccess ||
        api.DeviceGetPciInfo(handle, &pci) != hlml::kSuccess)
      continue;
    const std::string address = AddressOf(pci);
    // Only cards the kernel shows: one it hides has no node, so no process could use it.
    for (FoundDevice& found : discovery->devices)
      if (found.device.id == address) {
        cards_.push_back({handle, address});
        Learn(api, handle, source, &found);
      }
  }
  for (const FoundDevice& found : discovery->devices)
    if (found.device.state == DeviceState::kReady &&
        std::none_of(cards_.begin(), cards_.end(),
                     [&](const Card& card) { return card.id == found.device.id; }))
      discovery->warnings.push_back(
          fmt::format("HLML does not know {}, so its utilisation and energy are not told; it is "
                      "used as the kernel shows it",
                      found.device.id));
  return !cards_.empty();
}

std::vector<DeviceTelemetry> HabanaVendor::Sample() {
  std::vector<DeviceTelemetry> samples = SysfsVendor::Sample();
  if (!library_) return samples;
  const hlml::Api& api = library_->api;
  for (const Card& card : cards_) {
    DeviceTelemetry& sample = SampleOf(card.id, &samples);
    unsigned value = 0;
    unsigned long long millijoules = 0;
    hlml::Utilization utilization{};
    hlml::Memory memory{};
    // What hwmon has measured stays: it is what power limits and health rules go by.
    if (!sample.power_watts && api.DeviceGetPowerUsage != nullptr &&
        api.DeviceGetPowerUsage(card.handle, &value) == hlml::kSuccess)
      sample.power_watts = Plausible(value / 1e3, 0, 1e5);
    if (!sample.temperature_celsius && api.DeviceGetTemperature != nullptr &&
        api.DeviceGetTemperature(card.handle, hlml::kTemperatureOnChip, &value) == hlml::kSuccess)
      sample.temperature_celsius = Plausible(value, 0, 250);
    if (api.DeviceGetUtilizationRates != nullptr &&
        api.DeviceGetUtilizationRates(card.handle, &utilization) == hlml::kSuccess)
      sample.utilization_ratio = Plausible(utilization.aip / 100.0, 0, 1);
    if (!sample.energy_joules && api.DeviceGetTotalEnergyConsumption != nullptr &&
        api.DeviceGetTotalEnergyConsumption(card.handle, &millijoules) == hlml::kSuccess)
      sample.energy_joules = Plausible(static_cast<double>(millijoules) / 1e3, 0, 1e13);
    if (!sample.memory_used && api.DeviceGetMemoryInfo != nullptr &&
        api.DeviceGetMemoryInfo(card.handle, &memory) == hlml::kSuccess &&
        memory.used <= memory.total)
      sample.memory_used = static_cast<Bytes>(memory.used);
  }
  return samples;
}

}  // namespace allot::agent
