// Intel Gaudi by the habanalabs driver: the accel class (two nodes each, of two majors), module
// ids, status words, hwmon. The module id, not the minor, goes into the visible variable. HLML,
// opened at run time, adds identity, the memory it measures and telemetry; where it is not, hl-smi
// adds the memory. Without both, or while one hangs, the cards stay as the kernel shows them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/devices/sysfs/sysfs_vendor.h"

namespace allot::agent {

namespace hlml {
class Library;
}

class HabanaVendor : public SysfsVendor {
 public:
  // HLML by its names, the first there is; none: never opened.
  explicit HabanaVendor(std::vector<std::string> library = {});
  ~HabanaVendor() override;
  // Its packages put it where the loader may not look.
  static std::vector<std::string> Library() {
    return {"libhlml.so", "/usr/lib/habanalabs/libhlml.so"};
  }
  bool enriches() const override { return true; }
  void Enrich(Discovery* discovery) override;
  std::vector<DeviceTelemetry> Sample() override;
  std::string_view name() const override { return "habana"; }

 private:
  struct Card {
    void* handle;
    std::string id;
  };
  void Find(const Snapshot& machine, Discovery* discovery) override;
  bool EnrichByLibrary(Discovery* discovery);  // false: it knows none of these cards
  void EnrichByTool(Discovery* discovery);

  const std::vector<std::string> files_;
  std::unique_ptr<hlml::Library> library_;
  std::vector<Card> cards_;
  std::shared_ptr<const Host> host_;
};

}  // namespace allot::agent
