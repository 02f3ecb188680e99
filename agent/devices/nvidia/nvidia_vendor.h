// NVIDIA GPUs through NVML, opened at run time. MIG is noticed and not used yet: a GPU in MIG mode
// is listed as unsupported, with a warning that says how to change it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/devices/vendor.h"

namespace allot::agent {

namespace nvml {
class Library;
}

struct NvidiaSources {
  std::string library = "libnvidia-ml.so.1";
  std::string root;  // put before /sys and /proc
};

// "NVIDIA H100 80GB HBM3" → "nvidia/h100-sxm-80g"; a name we have no rule for becomes its words.
std::string NvidiaCatalogueName(std::string_view product, Bytes memory);

class NvidiaVendor : public Vendor {
 public:
  explicit NvidiaVendor(NvidiaSources sources);
  ~NvidiaVendor() override;
  std::string_view name() const override { return "nvidia"; }
  Discovery Discover() override;
  std::vector<DeviceTelemetry> Sample() override;
  bool may_hang() const override { return true; }

 private:
  struct Gpu;
  const NvidiaSources sources_;
  std::unique_ptr<nvml::Library> library_;
  std::vector<Gpu> gpus_;
};

}  // namespace allot::agent
