// Telemetry by furiosa_smi: the kernel driver has no hwmon.
#include <cmath>

#include "agent/devices/furiosa/furiosa_smi.h"
#include "agent/devices/furiosa/furiosa_vendor.h"

namespace allot::agent {
namespace {

constexpr double kWattsMost = 2000;  // Of a card; more is another unit.

using Counters = std::map<uint32_t, std::pair<uint64_t, uint64_t>>;  // core → cycles, task cycles

std::optional<Counters> ReadCounters(const furiosa_smi::Api& api, furiosa_smi::Handle npu) {
  furiosa_smi::PerformanceCounter raw{};
  if (api.GetPerformanceCounter == nullptr ||
      api.GetPerformanceCounter(npu, &raw) != furiosa_smi::kOk || raw.pe_count == 0 ||
      raw.pe_count > furiosa_smi::kPeMax)
    return std::nullopt;
  Counters counters;
  for (uint32_t i = 0; i < raw.pe_count; ++i) {
    const furiosa_smi::PeCounter& pe = raw.pe[i];
    // A core that cannot be, or twice, is a layout we do not know.
    if (pe.core >= furiosa_smi::kPeMax ||
        !counters.emplace(pe.core, std::pair(pe.cycles, pe.task_cycles)).second)
      return std::nullopt;
  }
  return counters;
}

// The mean over the elements. One whose cycles stand still has done nothing; if all do, nothing was
// measured. Counters that went back were reset in between.
std::optional<double> Utilization(const Counters& before, const Counters& now) {
  double sum = 0;
  bool counted = false;
  for (const auto& [core, counts] : now) {
    const auto it = before.find(core);
    if (it == before.end()) return std::nullopt;
    const auto& [cycles, tasks] = counts;
    if (cycles < it->second.first || tasks < it->second.second) return std::nullopt;
    const uint64_t elapsed = cycles - it->second.first;
    if (elapsed == 0) continue;
    counted = true;
    sum += static_cast<double>(tasks - it->second.second) / static_cast<double>(elapsed);
  }
  if (!counted) return std::nullopt;
  return Plausible(sum / static_cast<double>(now.size()), 0, 1);
}

}  // namespace

FuriosaVendor::FuriosaVendor(std::vector<std::string> library) : files_(std::move(library)) {}

FuriosaVendor::~FuriosaVendor() = default;

void FuriosaVendor::Enrich(Discovery* discovery) {
  npus_.clear();
  if (discovery->devices.empty()) return;
  if (!library_) {
    StatusOr<std::unique_ptr<furiosa_smi::Library>> opened = furiosa_smi::Open(files_);
    if (!opened.ok()) {
      discovery->warnings.push_back(
          fmt::format("FuriosaAI NPUs have no telemetry: {}; install furiosa-libsmi",
                      MessageOf(opened.status())));
      return;
    }
    library_ = *std::move(opened);
  }
  for (FoundDevice& found : discovery->devices) {
    furiosa_smi::Handle handle = 0;
    const std::string& id = found.device.id;
    const furiosa_smi::Result result = library_->api.GetHandleByBdf(id.c_str(), &handle);
    if (result == furiosa_smi::kOk) {
      npus_.push_back({handle, id});
      found.source += "; furiosa_smi";
    } else if (found.device.state == DeviceState::kReady) {
      discovery->warnings.push_back(
          fmt::format("furiosa_smi does not know {} (error {}), so there is no telemetry of it; it "
                      "is used as the kernel shows it",
                      id, result));
    }
  }
  // A library that knows none of them may have been opened before its driver was there.
  if (npus_.empty()) library_.reset();
}

std::vector<DeviceTelemetry> FuriosaVendor::Sample() {
  std::vector<DeviceTelemetry> samples = SysfsVendor::Sample();
  if (!library_) return samples;
  const furiosa_smi::Api& api = library_->api;
  for (const Npu& npu : npus_) {
    DeviceTelemetry& sample = SampleOf(npu.id, &samples);
    furiosa_smi::Power power{};
    furiosa_smi::Temperature temperature{};
    if (!sample.power_watts && api.GetPower(npu.handle, &power) == furiosa_smi::kOk)
      sample.power_watts = Plausible(power.watts, 0, kWattsMost);
    if (!sample.temperature_celsius &&
        api.GetTemperature(npu.handle, &temperature) == furiosa_smi::kOk &&
        std::isnormal(temperature.soc_peak))
      sample.temperature_celsius = Plausible(temperature.soc_peak, -100, 250);
    const std::optional<Counters> now = ReadCounters(api, npu.handle);
    if (const auto before = before_.find(npu.id); now && before != before_.end())
      sample.utilization_ratio = Utilization(before->second, *now);
    if (now) {
      before_[npu.id] = *now;
    } else {
      before_.erase(npu.id);
    }
  }
  return samples;
}

}  // namespace allot::agent
