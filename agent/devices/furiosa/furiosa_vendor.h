// FuriosaAI NPUs by their management class, which names the PCI function: rngd_mgmt (RNGD) and
// npu_mgmt (Warboy). All nodes of one NPU, of its processing elements and their fusions included,
// belong to it alone. furiosa_smi, opened at run time, measures power, temperature and how busy the
// elements are; without it, or while it hangs, the NPUs stay without telemetry.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/devices/sysfs/sysfs_vendor.h"

namespace allot::agent {

namespace furiosa_smi {
class Library;
}

class FuriosaVendor : public SysfsVendor {
 public:
  // furiosa_smi by its names, the first there is; none: never opened.
  explicit FuriosaVendor(std::vector<std::string> library = {});
  ~FuriosaVendor() override;
  static std::vector<std::string> Library() { return {"libfuriosa_smi.so"}; }
  std::string_view name() const override { return "furiosa"; }
  bool enriches() const override { return !files_.empty(); }
  void Enrich(Discovery* discovery) override;
  std::vector<DeviceTelemetry> Sample() override;

 private:
  struct Npu {
    uint32_t handle;
    std::string id;
  };
  void Find(const Snapshot& machine, Discovery* discovery) override;

  const std::vector<std::string> files_;
  std::unique_ptr<furiosa_smi::Library> library_;
  std::vector<Npu> npus_;
  // Of the last sample, by device: core → cycles, cycles of tasks.
  std::map<std::string, std::map<uint32_t, std::pair<uint64_t, uint64_t>>> before_;
};

}  // namespace allot::agent
