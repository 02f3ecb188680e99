// AWS Inferentia and Trainium by the Neuron driver. Its class device has no link to PCI, so devices
// are called neuronN; which function and NUMA node each is, only neuron-ls knows.
//
// core_count and connected_devices want root; without it the PCI id table gives the cores and
// there are no groups.
#pragma once

#include "agent/devices/sysfs/sysfs_vendor.h"

namespace allot::agent {

class NeuronVendor : public SysfsVendor {
 public:
  bool enriches() const override { return true; }
  void Enrich(Discovery* discovery) override;
  std::string_view name() const override { return "aws"; }

 private:
  void Find(const Snapshot& machine, Discovery* discovery) override;
  std::shared_ptr<const Host> host_;
};

}  // namespace allot::agent
