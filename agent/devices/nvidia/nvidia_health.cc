// What NVML tells of a GPU's health, read as often as its telemetry.
#include <map>

#include "agent/devices/nvidia/nvidia_gpu.h"
#include "agent/devices/nvidia/nvidia_vendor.h"

namespace allot::agent {
namespace {

constexpr int kEventsMax = 256;  // of one look; the rest waits in the driver

// Reads all of one GPU. One that is lost is asked no more: each call would wait for it.
class Reader {
 public:
  Reader(const nvml::Api& api, nvml::Handle gpu, const std::string& id,
         std::vector<HealthSignal>* out)
      : api_(api), gpu_(gpu), id_(id), out_(out) {}

  void Read() {
    Ecc("ecc_uncorrected", nvml::kEccUncorrected);
    Ecc("ecc_corrected", nvml::kEccCorrected);
    unsigned corrected = 0, uncorrected = 0, pending = 0, failed = 0;
    if (Ask(api_.DeviceGetRemappedRows, &corrected, &uncorrected, &pending, &failed)) {
      Tell("row_remap_pending", pending != 0 ? 1 : 0);
      Tell("row_remap_failure", failed != 0 ? 1 : 0);
    }
    if (int retiring = 0; Ask(api_.DeviceGetRetiredPagesPendingStatus, &retiring))
      Tell("retired_pages_pending", retiring != 0 ? 1 : 0);
    if (unsigned long long why = 0; Ask(api_.DeviceGetCurrentClocksThrottleReasons, &why)) {
      Tell("throttle_thermal", (why & nvml::kThrottleThermal) != 0 ? 1 : 0);
      Tell("throttle_power_brake", (why & nvml::kThrottlePowerBrake) != 0 ? 1 : 0);
    }
    unsigned celsius = 0, limit = 0;
    if (Ask(api_.DeviceGetTemperature, nvml::kTemperatureGpu, &celsius) &&
        Ask(api_.DeviceGetTemperatureThreshold, nvml::kThresholdSlowdown, &limit) && limit >= 30 &&
        limit <= 200)
      Tell("temperature_over_limit", static_cast<double>(celsius) - limit);
    Tell("gpu_lost", lost_ ? 1 : 0);
  }

 private:
  void Ecc(const char* name, int type) {
    if (unsigned long long count = 0;
        Ask(api_.DeviceGetTotalEccErrors, type, nvml::kEccVolatile, &count))
      Tell(name, static_cast<double>(count));
  }
  template <class F, class... Args>
  bool Ask(F* function, Args... args) {
    if (function == nullptr || lost_) return false;
    const nvml::Result result = function(gpu_, args...);
    lost_ = result == nvml::kGpuIsLost;
    return result == nvml::kSuccess;
  }
  void Tell(const char* name, double value) {
    out_->push_back({.device = id_, .name = name, .value = value});
  }

  const nvml::Api& api_;
  const nvml::Handle gpu_;
  const std::string& id_;
  std::vector<HealthSignal>* const out_;
  bool lost_ = false;
};

}  // namespace

struct NvidiaVendor::Events {
  nvml::EventSet set = nullptr;
  std::map<nvml::Handle, std::string> listened;  // to the GPU's id
};

NvidiaVendor::NvidiaVendor(NvidiaSources sources) : sources_(std::move(sources)) {}
NvidiaVendor::~NvidiaVendor() { ForgetEvents(); }

void NvidiaVendor::ListenForEvents(const Gpu& gpu) {
  const nvml::Api& api = library_->api;
  if (api.EventSetCreate == nullptr || api.EventSetFree == nullptr || api.EventSetWait == nullptr ||
      api.DeviceRegisterEvents == nullptr)
    return;
  if (events_ == nullptr) {
    auto events = std::make_unique<Events>();
    if (api.EventSetCreate(&events->set) != nvml::kSuccess) return;
    events_ = std::move(events);
  }
  // Once for each: discovery comes here every minute, and events between must not be lost.
  if (events_->listened.contains(gpu.handle)) return;
  if (api.DeviceRegisterEvents(gpu.handle, nvml::kEventXid, events_->set) == nvml::kSuccess)
    events_->listened[gpu.handle] = gpu.id;
}

void NvidiaVendor::ForgetEvents() {
  if (events_ != nullptr && library_ != nullptr) library_->api.EventSetFree(events_->set);
  events_.reset();
}

void NvidiaVendor::ReadEvents(std::vector<HealthSignal>* signals) {
  if (events_ == nullptr || events_->listened.empty()) return;
  for (int i = 0; i < kEventsMax; ++i) {
    nvml::EventData event{};
    if (library_->api.EventSetWait(events_->set, &event, 0) != nvml::kSuccess) return;
    const auto gpu = events_->listened.find(event.device);
    if (event.type == nvml::kEventXid && gpu != events_->listened.end())
      signals->push_back({.device = gpu->second,
                          .name = "xid",
                          .value = static_cast<double>(event.data),
                          .event = true});
  }
}

std::vector<HealthSignal> NvidiaVendor::Signals() {
  std::vector<HealthSignal> signals = SysfsVendor::Signals();
  if (library_ == nullptr) return signals;
  for (const Gpu& gpu : gpus_) Reader(library_->api, gpu.handle, gpu.id, &signals).Read();
  ReadEvents(&signals);
  return signals;
}

}  // namespace allot::agent
