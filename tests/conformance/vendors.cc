#include "vendors.h"

#include <algorithm>
#include <set>

#include "agent/devices/amd/amd_vendor.h"
#include "agent/devices/furiosa/furiosa_vendor.h"
#include "agent/devices/habana/habana_vendor.h"
#include "agent/devices/intel/intel_vendor.h"
#include "agent/devices/inventory.h"
#include "agent/devices/nvidia/nvidia_vendor.h"
#include "agent/devices/registry.h"

namespace allot::agent::kit {

std::vector<std::string> VendorKeys() {
  std::set<std::string> keys = {"cpu"};
  for (const pci::IdRow& row : pci::IdTable::BuiltIn().rows()) keys.insert(row.key);
  return {keys.begin(), keys.end()};
}

std::vector<Machine> MachinesOf(const std::string& key) {
  std::vector<Machine> machines;
  for (const Machine& machine : RecordedMachines()) {
    bool has = key == "cpu";
    const json::object expected = Expected(machine);
    for (const json::value& device : expected.at("devices").as_array())
      has |= std::string_view(device.at("vendor").as_string()) == key;
    if (has) machines.push_back(machine);
  }
  return machines;
}

bool IsOf(const std::string& key, const Device& device) {
  return key == "cpu" ? device.kind == DeviceKind::kCpu : device.vendor == key;
}

std::vector<FoundDevice> Found::devices() const {
  std::vector<FoundDevice> of_vendor;
  for (const FoundDevice& found : discovery.devices)
    if (IsOf(key, found.device)) of_vendor.push_back(found);
  return of_vendor;
}

std::unique_ptr<Vendor> VendorWithLibrary(const std::string& key) {
  using Files = std::vector<std::string>;
  if (key == "nvidia") return std::make_unique<NvidiaVendor>(NvidiaSources{ALLOT_FAKE_NVML});
  if (key == "amd") return std::make_unique<AmdVendor>(Files{ALLOT_FAKE_ROCM_SMI});
  if (key == "intel") return std::make_unique<IntelVendor>(Files{ALLOT_FAKE_ZE_LOADER});
  if (key == "habana") return std::make_unique<HabanaVendor>(Files{ALLOT_FAKE_HLML});
  if (key == "furiosa") return std::make_unique<FuriosaVendor>(Files{ALLOT_FAKE_FURIOSA_SMI});
  return FindAlone(key, *Host::Recorded(ALLOT_SOURCE_DIR "/tests/machines/nvidia-4xl4")).vendor;
}

Found FindAlone(const std::string& key, const std::shared_ptr<const Host>& host) {
  Found found{.key = key};
  auto vendors = MakeVendors({}, Catalogue::BuiltIn(), host);
  for (std::unique_ptr<Vendor>& vendor : *vendors)
    if (vendor->name() == key) found.vendor = std::move(vendor);
  if (found.vendor == nullptr) return found;
  found.discovery = found.vendor->Discover(*Snapshot::Take(host));
  if (found.vendor->enriches()) found.vendor->Enrich(&found.discovery);
  return found;
}

Discovery FindAll(const std::shared_ptr<const Host>& host) {
  Inventory inventory(*MakeVendors({}, Catalogue::BuiltIn(), host), host);
  return inventory.DiscoverAll();
}

std::string TestName(const std::string& key) {
  std::string name = key;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

}  // namespace allot::agent::kit
