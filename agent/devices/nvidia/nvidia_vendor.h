// NVIDIA GPUs. The kernel driver's own files (/proc/driver/nvidia, MIG capability tree, device
// nodes) say what is there; NVML, opened at run time, adds memory as the driver counts it, compute
// capability, identities of MIG instances, and telemetry. Without NVML, or while it hangs, the GPUs
// stay, with nominal memory from the PCI id table and no telemetry.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/devices/sysfs/sysfs_vendor.h"

namespace allot::agent {

namespace nvml {
class Library;
}

struct NvidiaSources {
  std::string library = "libnvidia-ml.so.1";  // empty: never opened
};

// "NVIDIA H100 80GB HBM3" → "nvidia/h100-sxm-80g"; a name we have no rule for becomes its words.
// For GPUs whose PCI id the table does not have.
std::string NvidiaCatalogueName(std::string_view product, Bytes memory);

class NvidiaVendor : public SysfsVendor {
 public:
  explicit NvidiaVendor(NvidiaSources sources);
  ~NvidiaVendor() override;
  std::string_view name() const override { return "nvidia"; }
  bool enriches() const override { return !sources_.library.empty(); }
  void Enrich(Discovery* discovery) override;
  std::vector<DeviceTelemetry> Sample() override;
  std::vector<HealthSignal> Signals() override;

 private:
  void Find(const Snapshot& machine, Discovery* discovery) override;
  struct Gpu;
  void ListenForEvents(const Gpu& gpu);
  void ForgetEvents();
  void ReadEvents(std::vector<HealthSignal>* signals);

  const NvidiaSources sources_;
  std::unique_ptr<nvml::Library> library_;
  std::vector<Gpu> gpus_;
  // Xids, of the GPUs named here; without it only the kernel log tells of them.
  struct Events;
  std::unique_ptr<Events> events_;
};

}  // namespace allot::agent
