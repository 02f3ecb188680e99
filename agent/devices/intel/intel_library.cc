// What level-zero adds to what the kernel drivers show: how busy a GPU is, and its memory in use.
#include <algorithm>

#include "agent/devices/intel/intel_vendor.h"
#include "agent/devices/intel/level_zero.h"

namespace allot::agent {

// Of one GPU; what is not there is empty.
struct IntelVendor::Gpu {
  std::string id;
  std::vector<zes::Handle> engines, memories, gpu_sensors, memory_sensors;
  zes::Handle card_power = nullptr;
};

namespace {

std::string AddressOf(const zes::PciProperties& pci) {
  return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", pci.domain, pci.bus, pci.device, pci.function);
}

// All engines together, of each tile; a driver that does not sum them up tells of the compute ones.
std::vector<zes::Handle> EnginesOf(const zes::Api& api, zes::Handle device) {
  std::vector<zes::Handle> all, compute;
  if (api.EngineGetProperties == nullptr || api.EngineGetActivity == nullptr) return all;
  for (const zes::Handle engine : zes::List(api.DeviceEnumEngineGroups, device)) {
    zes::EngineProperties properties{};
    if (api.EngineGetProperties(engine, &properties) != zes::kSuccess) continue;
    if (properties.group == zes::kEnginesAll) all.push_back(engine);
    if (properties.group == zes::kEnginesCompute) compute.push_back(engine);
  }
  return all.empty() ? compute : all;
}

std::vector<zes::Handle> MemoriesOf(const zes::Api& api, zes::Handle device) {
  std::vector<zes::Handle> memories;
  if (api.MemoryGetProperties == nullptr || api.MemoryGetState == nullptr) return memories;
  for (const zes::Handle memory : zes::List(api.DeviceEnumMemoryModules, device)) {
    zes::MemoryProperties properties{};
    if (api.MemoryGetProperties(memory, &properties) == zes::kSuccess &&
        properties.location == zes::kOnDevice)
      memories.push_back(memory);
  }
  return memories;
}

std::vector<zes::Handle> SensorsOf(const zes::Api& api, zes::Handle device, int kind) {
  std::vector<zes::Handle> sensors;
  if (api.TemperatureGetProperties == nullptr || api.TemperatureGetState == nullptr) return sensors;
  for (const zes::Handle sensor : zes::List(api.DeviceEnumTemperatureSensors, device)) {
    zes::TemperatureProperties properties{};
    if (api.TemperatureGetProperties(sensor, &properties) == zes::kSuccess &&
        properties.sensor == kind)
      sensors.push_back(sensor);
  }
  return sensors;
}

struct Memory {
  uint64_t size = 0, used = 0;
};

// The sum of the modules; unknown if one of them does not tell.
std::optional<Memory> ReadMemory(const zes::Api& api, const std::vector<zes::Handle>& modules) {
  if (modules.empty()) return std::nullopt;
  Memory sum;
  for (const zes::Handle module : modules) {
    zes::MemoryState state{};
    if (api.MemoryGetState(module, &state) != zes::kSuccess || state.free > state.size)
      return std::nullopt;
    sum.size += state.size;
    sum.used += state.size - state.free;
  }
  return sum;
}

std::optional<double> Hottest(const zes::Api& api, const std::vector<zes::Handle>& sensors) {
  std::optional<double> hottest;
  for (const zes::Handle sensor : sensors) {
    double celsius = 0;
    if (api.TemperatureGetState(sensor, &celsius) != zes::kSuccess) continue;
    if (const auto value = Plausible(celsius, -100, 250))
      hottest = std::max(hottest.value_or(*value), *value);
  }
  return hottest;
}

}  // namespace

IntelVendor::IntelVendor(std::vector<std::string> library) : files_(std::move(library)) {}

IntelVendor::~IntelVendor() = default;

void IntelVendor::Enrich(Discovery* discovery) {
  gpus_.clear();
  if (discovery->devices.empty()) return;
  if (!library_) {
    StatusOr<std::unique_ptr<zes::Library>> opened = zes::Open(files_);
    if (!opened.ok()) {
      // Without the compute runtime the kernel's files tell the rest, and that is no news.
      if (!absl::IsNotFound(opened.status()))
        discovery->warnings.push_back(
            fmt::format("Intel GPUs have no utilisation: {}", MessageOf(opened.status())));
      return;
    }
    library_ = *std::move(opened);
  }
  const zes::Api& api = library_->api;
  const StatusOr<std::vector<zes::Handle>> devices = zes::Devices(library_->api);
  if (!devices.ok()) {
    discovery->warnings.push_back(MessageOf(devices.status()));
    return;
  }
  for (const zes::Handle device : *devices) {
    zes::PciProperties pci{};
    if (api.DevicePciGetProperties(device, &pci) != zes::kSuccess) continue;
    const std::string address = AddressOf(pci);
    // The processor's own graphics is among them, and is no device here.
    const auto it =
        std::find_if(discovery->devices.begin(), discovery->devices.end(),
                     [&](const FoundDevice& found) { return found.device.id == address; });
    if (it == discovery->devices.end()) continue;
    Gpu gpu{.id = address,
            .engines = EnginesOf(api, device),
            .memories = MemoriesOf(api, device),
            .gpu_sensors = SensorsOf(api, device, zes::kSensorGpu),
            .memory_sensors = SensorsOf(api, device, zes::kSensorMemory)};
    if (api.DeviceGetCardPowerDomain == nullptr || api.PowerGetEnergyCounter == nullptr ||
        api.DeviceGetCardPowerDomain(device, &gpu.card_power) != zes::kSuccess)
      gpu.card_power = nullptr;
    it->source += "; level-zero";
    if (const auto memory = ReadMemory(api, gpu.memories); memory && !it->partition)
      LearnMemory(memory->size, "level-zero", "level-zero", &*it);
    gpus_.push_back(std::move(gpu));
  }
}

// The mean over the tiles of what they did since the last sample.
std::optional<double> IntelVendor::Utilization(const Gpu& gpu) {
  double sum = 0;
  size_t counted = 0;
  for (const zes::Handle engine : gpu.engines) {
    zes::EngineStats now{};
    if (library_->api.EngineGetActivity(engine, &now) != zes::kSuccess) {
      before_.erase(engine);
      continue;
    }
    const auto [it, is_first] = before_.try_emplace(engine, now.active, now.timestamp);
    const auto [active, timestamp] = std::exchange(it->second, {now.active, now.timestamp});
    if (is_first || now.timestamp <= timestamp || now.active < active) continue;
    sum +=
        static_cast<double>(now.active - active) / static_cast<double>(now.timestamp - timestamp);
    ++counted;
  }
  if (counted == 0 || counted != gpu.engines.size()) return std::nullopt;
  // The clocks of the two counters are read one after the other.
  const double mean = sum / static_cast<double>(counted);
  return Plausible(mean > 1 && mean < 1.01 ? 1 : mean, 0, 1);
}

std::vector<DeviceTelemetry> IntelVendor::Sample() {
  std::vector<DeviceTelemetry> samples = SysfsVendor::Sample();
  if (!library_) return samples;
  const zes::Api& api = library_->api;
  for (const Gpu& gpu : gpus_) {
    DeviceTelemetry& sample = SampleOf(gpu.id, &samples);
    sample.utilization_ratio = Utilization(gpu);
    if (!sample.memory_used)
      if (const auto memory = ReadMemory(api, gpu.memories))
        sample.memory_used = static_cast<Bytes>(memory->used);
    if (!sample.temperature_celsius) sample.temperature_celsius = Hottest(api, gpu.gpu_sensors);
    if (!sample.memory_temperature_celsius)
      sample.memory_temperature_celsius = Hottest(api, gpu.memory_sensors);
    zes::EnergyCounter energy{};
    if (!sample.energy_joules && gpu.card_power != nullptr &&
        api.PowerGetEnergyCounter(gpu.card_power, &energy) == zes::kSuccess)
      sample.energy_joules = Plausible(static_cast<double>(energy.microjoules) / 1e6, 0, 1e13);
  }
  return samples;
}

}  // namespace allot::agent
