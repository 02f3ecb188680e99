// Intel data-centre and Arc GPUs by the i915 and xe drivers: DRM nodes, local memory, hwmon.
// Graphics inside a processor has the same vendor id, class and drivers, so only functions of the
// id table count. level-zero, opened at run time, adds utilisation, memory in use and what hwmon
// lacks; without it, or while it hangs, all else stays.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/devices/sysfs/sysfs_vendor.h"

namespace allot::agent {

namespace zes {
class Library;
}

class IntelVendor : public SysfsVendor {
 public:
  // level-zero's loader by its names, the first there is; none: never opened.
  explicit IntelVendor(std::vector<std::string> library = {});
  ~IntelVendor() override;
  static std::vector<std::string> Library() { return {"libze_loader.so.1"}; }
  std::string_view name() const override { return "intel"; }
  bool enriches() const override { return !files_.empty(); }
  void Enrich(Discovery* discovery) override;
  std::vector<DeviceTelemetry> Sample() override;

 private:
  struct Gpu;
  void Find(const Snapshot& machine, Discovery* discovery) override;
  std::optional<double> Utilization(const Gpu& gpu);

  const std::vector<std::string> files_;
  std::unique_ptr<zes::Library> library_;
  std::vector<Gpu> gpus_;
  // Of the last sample, by engine: microseconds active, and when.
  std::map<void*, std::pair<uint64_t, uint64_t>> before_;
};

}  // namespace allot::agent
