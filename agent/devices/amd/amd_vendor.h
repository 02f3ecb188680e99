// AMD Instinct and Radeon GPUs by the amdgpu driver: PCI functions, KFD topology, compute
// partitions, hwmon, RAS counters.
//
// The driver registers render nodes for partitions that do not exist, so only those a KFD node
// names are devices. Partitions share one PCI function, unique id and power sensor. ROCm SMI,
// opened at run time, adds an energy counter; without it, or while it hangs, all else stays.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/devices/amd/kfd.h"
#include "agent/devices/sysfs/sysfs_vendor.h"

namespace allot::agent {

namespace rsmi {
class Library;
}

class AmdVendor : public SysfsVendor {
 public:
  // ROCm SMI by its names, the first there is; none: never opened.
  explicit AmdVendor(std::vector<std::string> library = {});
  ~AmdVendor() override;
  // By version: of a later one we do not know that it is the same.
  static std::vector<std::string> Library() {
    return {"librocm_smi64.so.7", "librocm_smi64.so.6", "librocm_smi64.so.5",
            "/opt/rocm/lib/librocm_smi64.so"};
  }
  std::string_view name() const override { return "amd"; }
  bool enriches() const override { return !files_.empty(); }
  void Enrich(Discovery* discovery) override;
  std::vector<DeviceTelemetry> Sample() override;

 private:
  struct Gpu {
    uint32_t index;
    std::string id;
  };
  void Find(const Snapshot& machine, Discovery* discovery) override;

  const std::vector<std::string> files_;
  std::unique_ptr<rsmi::Library> library_;
  std::vector<Gpu> gpus_;
};

// Memory of a whole GPU from its three sources. Any two that agree win, since a file may have been
// cut; else what the driver says. `source` is "sysfs", "kfd" or "table".
struct AmdMemory {
  std::optional<Bytes> bytes;
  std::string source;
};
AmdMemory ChooseMemory(std::optional<Bytes> sysfs, std::optional<Bytes> kfd,
                       std::optional<Bytes> nominal);

}  // namespace allot::agent
