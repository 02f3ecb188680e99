#include "agent/devices/registry.h"

#include "agent/devices/cpu/cpu_vendor.h"
#include "agent/devices/emulated/emulated_vendor.h"
#include "agent/devices/nvidia/nvidia_vendor.h"

namespace allot::agent {

StatusOr<std::vector<std::unique_ptr<Vendor>>> MakeVendors(const config::AgentDevices& devices,
                                                           const Catalogue& catalogue) {
  std::vector<std::unique_ptr<Vendor>> vendors;
  const auto wanted = [](bool has, bool value) { return !has || value; };
  if (wanted(devices.has_cpu(), devices.cpu()))
    vendors.push_back(std::make_unique<CpuVendor>(CpuSources{}));
  if (wanted(devices.has_nvidia(), devices.nvidia()))
    vendors.push_back(std::make_unique<NvidiaVendor>(NvidiaSources{}));
  ASSIGN_OR_RETURN(std::unique_ptr<Vendor> emulated,
                   MakeEmulatedVendor(devices.emulated(), catalogue));
  vendors.push_back(std::move(emulated));
  return vendors;
}

std::vector<std::string> HidingVariables() { return {"CUDA_VISIBLE_DEVICES"}; }

}  // namespace allot::agent
