// What NVML adds to what the kernel driver shows, and telemetry.
#include <algorithm>

#include "agent/devices/nvidia/nvidia_gpu.h"
#include "agent/devices/nvidia/nvml.h"

namespace allot::agent {
namespace {

// NVML writes eight digits of domain, sysfs four: "00000000:17:00.0" → "0000:17:00.0".
std::string PciAddress(const nvml::PciInfo& pci) {
  return fmt::format("{:04x}:{:02x}:{:02x}.0", pci.domain, pci.bus, pci.device);
}

FoundDevice* FindById(const std::string& id, Discovery* discovery) {
  for (FoundDevice& found : discovery->devices)
    if (found.device.id == id) return &found;
  return nullptr;
}

// A GPU that the kernel's files do not show: a container without them.
FoundDevice* AddUnseen(const std::string& address, Discovery* discovery) {
  FoundDevice found;
  found.device.id = address;
  found.device.kind = DeviceKind::kGpu;
  found.device.vendor = "nvidia";
  found.device.visible_variable = "CUDA_VISIBLE_DEVICES";
  found.family = "gpu";
  found.driver = "nvidia";
  discovery->devices.push_back(std::move(found));
  return &discovery->devices.back();
}

void SetMemory(const nvml::Memory& memory, const std::string& source, FoundDevice* found) {
  found->device.memory = static_cast<Bytes>(memory.total);
  found->memory_source = "nvml";
  found->Tell("memory_bytes", source);
}

// The instances the capability tree named get their memory and identity.
void EnrichInstances(const nvml::Api& api, nvml::Handle gpu, const std::string& parent,
                     const std::string& source, Discovery* discovery) {
  unsigned count = 0;
  if (api.DeviceGetMaxMigDeviceCount == nullptr || api.DeviceGetMigDeviceHandleByIndex == nullptr ||
      api.DeviceGetGpuInstanceId == nullptr || api.DeviceGetComputeInstanceId == nullptr ||
      api.DeviceGetMaxMigDeviceCount(gpu, &count) != nvml::kSuccess)
    return;
  for (unsigned i = 0; i < count; ++i) {
    nvml::Handle instance = nullptr;
    unsigned gi = 0, ci = 0;
    if (api.DeviceGetMigDeviceHandleByIndex(gpu, i, &instance) != nvml::kSuccess ||
        api.DeviceGetGpuInstanceId(instance, &gi) != nvml::kSuccess ||
        api.DeviceGetComputeInstanceId(instance, &ci) != nvml::kSuccess)
      continue;
    FoundDevice* found = FindById(fmt::format("{}/gi{}/ci{}", parent, gi, ci), discovery);
    if (found == nullptr) continue;
    nvml::Memory memory{};
    if (api.DeviceGetMemoryInfo(instance, &memory) == nvml::kSuccess)
      SetMemory(memory, source, found);
    char uuid[96] = "";
    if (api.DeviceGetUuid(instance, uuid, sizeof uuid) == nvml::kSuccess) {
      found->uuid = uuid;
      found->device.visible_variable = "CUDA_VISIBLE_DEVICES";
      found->device.visible_value = uuid;
      found->Tell("uuid", source);
      found->Tell("visible_env", source);
    }
  }
}

// Only boards with HBM have a sensor there; NVML marks a number it does not have.
std::optional<double> MemoryTemperature(const nvml::Api& api, nvml::Handle gpu) {
  nvml::FieldValue field{};
  field.field_id = nvml::kFieldMemoryTemperature;
  if (api.DeviceGetFieldValues == nullptr ||
      api.DeviceGetFieldValues(gpu, 1, &field) != nvml::kSuccess || field.result != nvml::kSuccess)
    return std::nullopt;
  const unsigned celsius = field.value.u;
  if (celsius == 0 || celsius > 250) return std::nullopt;
  return celsius;
}

bool HasInstances(const std::string& parent, const Discovery& discovery) {
  return std::any_of(discovery.devices.begin(), discovery.devices.end(),
                     [&](const FoundDevice& found) {
                       return found.partition && found.partition->parent == parent;
                     });
}

}  // namespace

void NvidiaVendor::Enrich(Discovery* discovery) {
  gpus_.clear();
  if (!library_) {
    StatusOr<std::unique_ptr<nvml::Library>> opened = nvml::Open(sources_.library);
    if (!opened.ok()) {
      // No library and no GPU is the ordinary case and no news.
      if (!discovery->devices.empty() || !absl::IsNotFound(opened.status()))
        discovery->warnings.push_back(fmt::format(
            "NVIDIA GPUs are known by the kernel's files only, without telemetry and with nominal "
            "memory: {}; install the driver's libnvidia-ml or set devices.nvidia: false",
            MessageOf(opened.status())));
      return;
    }
    library_ = *std::move(opened);
  }
  const nvml::Api& api = library_->api;
  char text[256] = "";
  const bool versioned = api.SystemGetDriverVersion != nullptr &&
                         api.SystemGetDriverVersion(text, sizeof text) == nvml::kSuccess;
  const std::string source = versioned ? fmt::format("NVML, driver {}", text) : "NVML";

  unsigned count = 0;
  if (const nvml::Result result = api.DeviceGetCount(&count); result != nvml::kSuccess) {
    discovery->warnings.push_back(
        fmt::format("NVML does not tell its GPUs: {}", api.Describe(result)));
    ForgetEvents();
    library_.reset();  // A driver that was replaced wants a new start.
    return;
  }
  for (unsigned i = 0; i < count; ++i) {
    nvml::Handle handle = nullptr;
    nvml::PciInfo pci{};
    char uuid[96] = "";
    nvml::Result result = api.DeviceGetHandleByIndex(i, &handle);
    if (result == nvml::kSuccess) result = api.DeviceGetPciInfo(handle, &pci);
    if (result == nvml::kSuccess) result = api.DeviceGetUuid(handle, uuid, sizeof uuid);
    if (result != nvml::kSuccess) {
      // Without an address there is nothing to name it by; the others are fine.
      discovery->warnings.push_back(
          fmt::format("NVML tells nothing of its GPU {}: {}", i, api.Describe(result)));
      continue;
    }
    const std::string address = PciAddress(pci);
    gpus_.push_back({handle, address});
    ListenForEvents(gpus_.back());
    unsigned mig = 0, mig_pending = 0;
    const bool is_mig = api.DeviceGetMigMode != nullptr &&
                        api.DeviceGetMigMode(handle, &mig, &mig_pending) == nvml::kSuccess &&
                        mig == 1;
    if (is_mig && HasInstances(address, *discovery)) {
      EnrichInstances(api, handle, address, source, discovery);
      continue;
    }
    FoundDevice* known = FindById(address, discovery);
    FoundDevice& found = known != nullptr ? *known : *AddUnseen(address, discovery);
    Device& device = found.device;
    found.source = found.source.empty() ? source : found.source + "; " + source;
    found.uuid = device.visible_value = uuid;
    found.Tell("uuid", source);
    nvml::Memory memory{};
    if (result = api.DeviceGetMemoryInfo(handle, &memory); result == nvml::kSuccess) {
      SetMemory(memory, source, &found);
    } else if (result == nvml::kGpuIsLost) {
      device.state = DeviceState::kUnhealthy;
      discovery->warnings.push_back(
          fmt::format("GPU {} is unhealthy: {}", device.id, api.Describe(result)));
    }
    if (api.DeviceGetName(handle, text, sizeof text) == nvml::kSuccess && found.pci_id.empty()) {
      // NVML packs the id of the function as device << 16 | vendor.
      const pci::IdRow* row =
          pci::IdTable::BuiltIn().Find(static_cast<uint16_t>(pci.pci_device_id & 0xffff),
                                       static_cast<uint16_t>(pci.pci_device_id >> 16));
      found.name = text;
      device.model =
          row != nullptr ? row->name : NvidiaCatalogueName(text, device.memory.value_or(0));
    }
    if (device.model.empty()) device.model = "nvidia/gpu";
    int major = 0, minor = 0;
    if (api.DeviceGetCudaComputeCapability != nullptr &&
        api.DeviceGetCudaComputeCapability(handle, &major, &minor) == nvml::kSuccess)
      device.features.push_back(fmt::format("sm_{}{}", major, minor));
    // What an administrator allows; the limit in force may move below it all the time, and each
    // move would be another device.
    unsigned milliwatts = 0;
    if (api.DeviceGetPowerManagementLimit != nullptr &&
        api.DeviceGetPowerManagementLimit(handle, &milliwatts) == nvml::kSuccess &&
        milliwatts > 0) {
      device.power_max = milliwatts;
      found.Tell("power_max", source);
    }
    unsigned number = 0;
    if (device.nodes.empty() && api.DeviceGetMinorNumber != nullptr &&
        api.DeviceGetMinorNumber(handle, &number) == nvml::kSuccess)
      device.nodes.push_back(fmt::format("/dev/nvidia{}", number));
    if (is_mig) {
      device.state = DeviceState::kUnsupported;
      device.features.push_back("mig");
      discovery->warnings.push_back(
          fmt::format("GPU {} is in MIG mode without an instance, so it is not used; create "
                      "instances with `nvidia-smi mig -i {} -cgi …`, or `nvidia-smi -i {} -mig 0` "
                      "gives it back as a whole",
                      device.id, device.id, device.id));
    }
  }
  std::sort(discovery->devices.begin(), discovery->devices.end(),
            [](const FoundDevice& a, const FoundDevice& b) { return a.device.id < b.device.id; });
}

std::vector<DeviceTelemetry> NvidiaVendor::Sample() {
  std::vector<DeviceTelemetry> samples;
  if (!library_) return samples;
  const nvml::Api& api = library_->api;
  for (const Gpu& gpu : gpus_) {
    DeviceTelemetry sample;
    sample.id = gpu.id;
    sample.memory_temperature_celsius = MemoryTemperature(api, gpu.handle);
    unsigned value = 0;
    unsigned long long energy = 0;
    nvml::Utilization utilization{};
    nvml::Memory memory{};
    if (api.DeviceGetPowerUsage != nullptr &&
        api.DeviceGetPowerUsage(gpu.handle, &value) == nvml::kSuccess)
      sample.power_watts = value / 1e3;
    if (api.DeviceGetTemperature != nullptr &&
        api.DeviceGetTemperature(gpu.handle, nvml::kTemperatureGpu, &value) == nvml::kSuccess)
      sample.temperature_celsius = value;
    if (api.DeviceGetUtilizationRates != nullptr &&
        api.DeviceGetUtilizationRates(gpu.handle, &utilization) == nvml::kSuccess)
      sample.utilization_ratio = utilization.gpu / 100.0;
    if (api.DeviceGetTotalEnergyConsumption != nullptr &&
        api.DeviceGetTotalEnergyConsumption(gpu.handle, &energy) == nvml::kSuccess)
      sample.energy_joules = static_cast<double>(energy) / 1e3;
    // The first version counts what the driver reserves as used; nvidia-smi does not.
    nvml::MemoryV2 exact{.version = nvml::kMemoryV2};
    if (api.DeviceGetMemoryInfoV2 != nullptr &&
        api.DeviceGetMemoryInfoV2(gpu.handle, &exact) == nvml::kSuccess) {
      sample.memory_used = static_cast<Bytes>(exact.used);
    } else if (api.DeviceGetMemoryInfo(gpu.handle, &memory) == nvml::kSuccess) {
      sample.memory_used = static_cast<Bytes>(memory.used);
    }
    samples.push_back(std::move(sample));
  }
  return samples;
}

}  // namespace allot::agent
