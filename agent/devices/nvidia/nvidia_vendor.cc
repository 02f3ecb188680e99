#include "agent/devices/nvidia/nvidia_vendor.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "agent/devices/nvidia/nvml.h"

namespace allot::agent {
namespace {

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower;
}

// NVML writes eight digits of domain, sysfs four: "00000000:17:00.0" → "0000:17:00.0".
std::string PciAddress(const nvml::PciInfo& pci) {
  return fmt::format("{:04x}:{:02x}:{:02x}.0", pci.domain, pci.bus, pci.device);
}

int32_t NumaNode(const std::string& root, const std::string& address) {
  std::ifstream in(fmt::format("{}/sys/bus/pci/devices/{}/numa_node", root, address));
  int32_t node = -1;
  in >> node;
  return in ? node : -1;
}

bool HasPciGpu(const std::string& root) {
  std::error_code error;
  for (std::filesystem::directory_iterator it(root + "/sys/bus/pci/devices", error), end;
       !error && it != end; it.increment(error)) {
    std::string vendor, kind;
    std::ifstream(it->path() / "vendor") >> vendor;
    std::ifstream(it->path() / "class") >> kind;
    if (vendor == "0x10de" && (kind.starts_with("0x0302") || kind.starts_with("0x0300")))
      return true;
  }
  return false;
}

}  // namespace

struct NvidiaVendor::Gpu {
  nvml::Handle handle;
  std::string id;
};

NvidiaVendor::NvidiaVendor(NvidiaSources sources) : sources_(std::move(sources)) {}
NvidiaVendor::~NvidiaVendor() = default;

std::string NvidiaCatalogueName(std::string_view product, Bytes memory) {
  std::string name = Lower(product);
  for (const std::string_view prefix : {"nvidia ", "tesla "})
    if (name.starts_with(prefix)) name.erase(0, prefix.size());
  std::replace(name.begin(), name.end(), ' ', '-');
  const std::string first = name.substr(0, name.find('-'));
  const bool pcie = name.find("pcie") != name.npos || name.find("nvl") != name.npos;
  // Sizes on the box, not what is left of them after the driver's reserve.
  const int64_t gib = (memory + kGiB / 2) / kGiB;
  if (first == "h100" || first == "a100" || first == "a800" || first == "h800") {
    const int64_t box = gib > 85 ? 94 : gib > 60 ? 80 : 40;
    return fmt::format("nvidia/{}-{}-{}g", first, pcie ? "pcie" : "sxm", box);
  }
  if (first == "h200") return pcie ? "nvidia/h200-nvl-141g" : "nvidia/h200-sxm-141g";
  for (const std::string_view plain : {"b200", "gb200", "gh200", "l4", "l40s", "a10g"})
    if (first == plain) return fmt::format("nvidia/{}", plain);
  std::string words;
  for (const char c : name)
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-') words += c;
  return "nvidia/" + (words.empty() ? "gpu" : words);
}

Discovery NvidiaVendor::Discover() {
  Discovery discovery;
  gpus_.clear();
  if (!library_) {
    StatusOr<std::unique_ptr<nvml::Library>> opened = nvml::Library::Open(sources_.library);
    if (!opened.ok()) {
      // No library and no GPU is the ordinary case and no news.
      if (HasPciGpu(sources_.root) || !absl::IsNotFound(opened.status()))
        discovery.warnings.push_back(fmt::format(
            "NVIDIA GPUs cannot be used: {}; install the driver or set devices.nvidia: false",
            MessageOf(opened.status())));
      return discovery;
    }
    library_ = *std::move(opened);
  }
  const nvml::Api& api = library_->api();
  char text[256] = "";
  const bool versioned = api.SystemGetDriverVersion != nullptr &&
                         api.SystemGetDriverVersion(text, sizeof text) == nvml::kSuccess;
  const std::string source = versioned ? fmt::format("NVML, driver {}", text) : "NVML";

  unsigned count = 0;
  if (const nvml::Result result = api.DeviceGetCount(&count); result != nvml::kSuccess) {
    discovery.warnings.push_back(
        fmt::format("NVML does not tell its GPUs: {}", api.Describe(result)));
    library_.reset();  // A driver that was replaced wants a new start.
    return discovery;
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
      discovery.warnings.push_back(fmt::format("GPU {} is left out: {}", i, api.Describe(result)));
      continue;
    }
    FoundDevice found;
    found.source = source;
    Device& device = found.device;
    device.id = PciAddress(pci);
    device.kind = DeviceKind::kGpu;
    device.vendor = "nvidia";
    device.visible_variable = "CUDA_VISIBLE_DEVICES";
    device.visible_value = uuid;
    device.numa_node = NumaNode(sources_.root, device.id);
    if (api.DeviceGetName(handle, text, sizeof text) == nvml::kSuccess) found.name = text;
    nvml::Memory memory{};
    if (result = api.DeviceGetMemoryInfo(handle, &memory); result == nvml::kSuccess) {
      device.memory = static_cast<Bytes>(memory.total);
    } else if (result == nvml::kGpuIsLost) {
      device.state = DeviceState::kUnhealthy;
      discovery.warnings.push_back(
          fmt::format("GPU {} is unhealthy: {}", device.id, api.Describe(result)));
    }
    device.model = NvidiaCatalogueName(found.name, device.memory.value_or(0));
    int major = 0, minor = 0;
    if (api.DeviceGetCudaComputeCapability != nullptr &&
        api.DeviceGetCudaComputeCapability(handle, &major, &minor) == nvml::kSuccess)
      device.features.push_back(fmt::format("sm_{}{}", major, minor));
    unsigned number = 0;
    if (api.DeviceGetMinorNumber != nullptr &&
        api.DeviceGetMinorNumber(handle, &number) == nvml::kSuccess)
      device.nodes.push_back(fmt::format("/dev/nvidia{}", number));
    unsigned mig = 0, mig_pending = 0;
    if (api.DeviceGetMigMode != nullptr &&
        api.DeviceGetMigMode(handle, &mig, &mig_pending) == nvml::kSuccess && mig == 1) {
      device.state = DeviceState::kUnsupported;
      device.features.push_back("mig");
      discovery.warnings.push_back(
          fmt::format("GPU {} is in MIG mode, which is not supported yet, so it is not used; "
                      "`nvidia-smi -i {} -mig 0` gives it back as a whole",
                      device.id, device.id));
    }
    gpus_.push_back({handle, device.id});
    discovery.devices.push_back(std::move(found));
  }
  std::sort(discovery.devices.begin(), discovery.devices.end(),
            [](const FoundDevice& a, const FoundDevice& b) { return a.device.id < b.device.id; });
  return discovery;
}

std::vector<DeviceTelemetry> NvidiaVendor::Sample() {
  std::vector<DeviceTelemetry> samples;
  if (!library_) return samples;
  const nvml::Api& api = library_->api();
  for (const Gpu& gpu : gpus_) {
    DeviceTelemetry sample;
    sample.id = gpu.id;
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
    if (api.DeviceGetMemoryInfo(gpu.handle, &memory) == nvml::kSuccess)
      sample.memory_used = static_cast<Bytes>(memory.used);
    samples.push_back(std::move(sample));
  }
  return samples;
}

}  // namespace allot::agent
