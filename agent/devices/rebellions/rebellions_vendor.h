// Rebellions NPUs: one PCI function for each NPU of a card, virtual functions included. Status 0 is
// ready, anything else is not. rbln-smi, where it answers, adds identity, memory and telemetry.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/devices/rebellions/rbln_smi.h"
#include "agent/devices/sysfs/sysfs_vendor.h"

namespace allot::agent {

class RebellionsVendor : public SysfsVendor {
 public:
  std::string_view name() const override { return "rebellions"; }
  bool enriches() const override { return true; }
  void Enrich(Discovery* discovery) override;
  std::vector<DeviceTelemetry> Sample() override;

 private:
  void Find(const Snapshot& machine, Discovery* discovery) override;
  StatusOr<std::vector<rbln::Npu>> Ask();

  std::shared_ptr<const Host> host_;
  std::vector<std::string> known_;  // devices that the tool knew at the last discovery
  bool answers_ = false;            // the last time it was asked
  static constexpr int kSamplesOfAnAnswer = 15;
  int samples_left_ = 0;         // for which `last_` stands
  std::vector<rbln::Npu> last_;  // what the tool said last
};

}  // namespace allot::agent
