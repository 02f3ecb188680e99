#include "agent/devices/emulated/emulated_vendor.h"

#include <map>

namespace allot::agent {
namespace {

// What the vendor's own runtime reads, so that a program written for it finds its device count: the
// same variable as its real devices have (tests/conformance/emulated_test.cc).
std::string VisibleVariable(const CatalogueRow& row) {
  if (row.vendor == "nvidia") return "CUDA_VISIBLE_DEVICES";
  if (row.vendor == "amd" && row.kind == DeviceKind::kGpu) return "ROCR_VISIBLE_DEVICES";
  if (row.vendor == "intel" && row.kind == DeviceKind::kGpu) return "ZE_AFFINITY_MASK";
  if (row.vendor == "intel" && row.kind == DeviceKind::kAsic) return "HABANA_VISIBLE_MODULES";
  if (row.vendor == "aws") return "NEURON_RT_VISIBLE_CORES";
  if (row.vendor == "google") return "TPU_VISIBLE_CHIPS";
  if (row.vendor == "tenstorrent") return "TT_VISIBLE_DEVICES";
  if (row.vendor == "rebellions") return "RBLN_DEVICES";
  if (row.vendor == "furiosa") return "FURIOSA_DEVICES";
  return "";
}

class EmulatedVendor : public Vendor {
 public:
  explicit EmulatedVendor(std::vector<FoundDevice> devices) : devices_(std::move(devices)) {}
  std::string_view name() const override { return "emulated"; }
  Discovery Discover(const Snapshot&) override {
    Discovery discovery;
    discovery.devices = devices_;
    return discovery;
  }
  std::vector<DeviceTelemetry> Sample() override { return {}; }

 private:
  const std::vector<FoundDevice> devices_;
};

}  // namespace

StatusOr<std::unique_ptr<Vendor>> MakeEmulatedVendor(
    const google::protobuf::RepeatedPtrField<config::EmulatedDevices>& declared,
    const Catalogue& catalogue) {
  std::vector<FoundDevice> devices;
  std::map<std::string, int> next_value;
  for (const config::EmulatedDevices& wish : declared) {
    const CatalogueRow* row = catalogue.Find(wish.model());
    if (row == nullptr)
      return InvalidArgument(
          "devices.emulated: model \"{}\" is not in the catalogue; see "
          "common/catalogue/devices.csv or add a row by catalogue_files",
          wish.model());
    for (uint32_t i = 0; i < std::max(wish.count(), 1u); ++i) {
      FoundDevice found;
      found.name = wish.model();
      found.source = "config; catalogue";
      if (row->memory) found.memory_source = "config";
      Device& device = found.device;
      device.id = fmt::format("emu{}", devices.size());
      device.kind = row->kind;
      device.vendor = row->vendor;
      device.model = row->model;
      device.memory = row->memory;
      device.emulated = true;
      device.configured = true;
      device.visible_variable = VisibleVariable(*row);
      if (!device.visible_variable.empty())
        device.visible_value = std::to_string(next_value[device.visible_variable]++);
      devices.push_back(std::move(found));
    }
    if (devices.size() > DeviceSet::kMax)
      return InvalidArgument("devices.emulated: {} devices are declared; a node has at most {}",
                             devices.size(), DeviceSet::kMax);
  }
  return std::unique_ptr<Vendor>(new EmulatedVendor(std::move(devices)));
}

}  // namespace allot::agent
