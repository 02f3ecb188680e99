// GPUs by the kernel driver's files alone.
#include "agent/devices/nvidia/nvidia_vendor.h"

#include <algorithm>

namespace allot::agent {
namespace {

constexpr uint16_t kNvidia = 0x10de;
constexpr const char* kProc = "/proc/driver/nvidia";

// "GPU-" and 8-4-4-4-12 hexadecimal digits. A GPU that never started shows question marks.
bool IsUuid(std::string_view text) {
  if (!text.starts_with("GPU-") || text.size() != 40) return false;
  for (size_t i = 4; i < text.size(); ++i) {
    const bool dash = i == 12 || i == 17 || i == 22 || i == 27;
    if (dash != (text[i] == '-') || (!dash && !std::isxdigit(static_cast<unsigned char>(text[i]))))
      return false;
  }
  return true;
}

struct Information {
  std::string model, uuid;
  std::optional<uint32_t> minor;
  bool excluded = false;
};

std::optional<Information> ReadInformation(const Host& host, const std::string& address) {
  const auto text = host.Read(fmt::format("{}/gpus/{}/information", kProc, address));
  if (!text) return std::nullopt;
  Information information;
  information.model = FindField(*text, "Model", ':').value_or("");
  const std::string_view uuid = FindField(*text, "GPU UUID", ':').value_or("");
  if (IsUuid(uuid)) information.uuid = uuid;
  if (const auto minor = FindField(*text, "Device Minor", ':'))
    information.minor = NumberAfter(*minor, "");
  information.excluded = FindField(*text, "GPU Excluded", ':') == "Yes";
  return information;
}

// /dev/nvidia-caps/nvidia-capN for the N an `access` file names.
std::string CapabilityNode(const Snapshot& machine, const std::string& folder) {
  const std::string text = machine.host->Read(folder + "/access").value_or("");
  const auto minor = FindField(text, "DeviceFileMinor", ':');
  if (!minor || !ParseUnsigned(*minor)) return "";
  const std::string node = fmt::format("/dev/nvidia-caps/nvidia-cap{}", *minor);
  return machine.nodes.Has(node) ? node : "";
}

// The instances that exist, whatever mig-minors lists: that file names every possible one.
std::vector<FoundDevice> FindInstances(const Snapshot& machine, const FoundDevice& whole,
                                       uint32_t minor) {
  std::vector<FoundDevice> instances;
  const std::string mig = fmt::format("{}/capabilities/gpu{}/mig", kProc, minor);
  for (const std::string& gi_name : machine.host->List(mig)) {
    const auto gi = NumberAfter(gi_name, "gi");
    if (!gi) continue;
    const size_t first = instances.size();
    const std::string gi_folder = mig + "/" + gi_name;
    std::vector<std::string> ci_names = machine.host->List(gi_folder);
    std::erase_if(ci_names, [](const std::string& name) { return !NumberAfter(name, "ci"); });
    for (const std::string& ci_name : ci_names) {
      const auto ci = NumberAfter(ci_name, "ci");
      FoundDevice found = whole;
      Device& device = found.device;
      device.id = fmt::format("{}/gi{}/ci{}", whole.device.id, *gi, *ci);
      found.partition = Partition{.scheme = "mig",
                                  .parent = whole.device.id,
                                  .gi = static_cast<int>(*gi),
                                  .ci = static_cast<int>(*ci)};
      // Neither the profile nor the instance's own UUID is in any file: NVML knows them.
      device.memory.reset();
      found.memory_source.clear();
      found.uuid.clear();
      device.visible_variable.clear();
      device.visible_value.clear();
      device.shared_nodes.insert(device.shared_nodes.begin(), device.nodes.begin(),
                                 device.nodes.end());
      device.nodes.clear();
      // The compute instances of one GPU instance all need its capability.
      if (std::string node = CapabilityNode(machine, gi_folder); !node.empty())
        (ci_names.size() > 1 ? device.shared_nodes : device.nodes).push_back(std::move(node));
      if (std::string node = CapabilityNode(machine, gi_folder + "/" + ci_name); !node.empty())
        device.nodes.push_back(std::move(node));
      std::erase_if(found.facts, [](const Fact& fact) {
        return fact.what == "memory_bytes" || fact.what == "uuid" || fact.what == "visible_env";
      });
      found.Tell("partition", "procfs capabilities");
      instances.push_back(std::move(found));
    }
    // Compute instances of one GPU instance have its memory together.
    if (instances.size() > first + 1)
      for (size_t i = first; i < instances.size(); ++i)
        instances[i].device.isolation = Isolation::kNone;
  }
  return instances;
}

// The function that this one is a virtual function of, should its links be unreadable: a GPU stands
// alone behind its port, so one with the same id at another place on the bus is none.
std::optional<std::string> WholeOnSameBus(const Snapshot& machine, const pci::Function& function) {
  const std::string first = function.address.substr(0, function.address.rfind(':')) + ":00.0";
  const pci::Function* whole = machine.bus.Find(first);
  if (first == function.address || whole == nullptr || whole->pci_id().empty() ||
      whole->pci_id() != function.pci_id())
    return std::nullopt;
  return first;
}

void Describe(const Snapshot& machine, const Information& information, FoundDevice* found) {
  Device& device = found->device;
  if (found->driver.empty()) {  // Only this driver lists a GPU there.
    found->driver = "nvidia";
    device.state = DeviceState::kReady;
  }
  if (found->pci_id.empty() || found->name == found->pci_id) {
    found->name = information.model;
    device.model = NvidiaCatalogueName(information.model, 0);
  }
  if (information.excluded) device.state = DeviceState::kUnhealthy;
  found->uuid = information.uuid;
  if (!information.uuid.empty()) {
    device.visible_variable = "CUDA_VISIBLE_DEVICES";
    device.visible_value = information.uuid;
    found->Tell("uuid", "procfs");
    found->Tell("visible_env", "procfs");
  }
  if (information.minor)
    device.nodes = machine.nodes.Existing({fmt::format("/dev/nvidia{}", *information.minor)});
  device.shared_nodes =
      machine.nodes.Existing({"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"});
  found->Tell("dev_nodes", "procfs, /dev");
  found->Tell("shared_dev_nodes", "/dev");
}

}  // namespace

void NvidiaVendor::Find(const Snapshot& machine, Discovery* discovery) {
  std::vector<pci::Function> functions;
  bool switched = false;
  for (const pci::Function* function : machine.bus.OfVendor(kNvidia)) {
    switched |= function->IsClass(0x0680);
    if (function->row != nullptr || function->IsClass(0x0302) || function->IsClass(0x0300))
      functions.push_back(*function);
  }
  // A GPU the driver knows and whose PCI files tell nothing.
  const std::vector<std::string> told = machine.host->List(fmt::format("{}/gpus", kProc));
  for (const std::string& address : told)
    if (pci::IsAddress(address) &&
        std::none_of(functions.begin(), functions.end(),
                     [&](const pci::Function& f) { return f.address == address; }))
      functions.push_back({.address = address});

  std::vector<std::string> joined;
  for (const pci::Function& function : functions) {
    FoundDevice found = FromFunction(machine, function, "nvidia", {"nvidia"});
    found.device.kind = DeviceKind::kGpu;
    found.family = "gpu";
    if (const auto whole = WholeOnSameBus(machine, function); whole && !found.partition)
      MakePart({.scheme = "sriov", .parent = *whole}, "PCI address", &found);
    const auto information = ReadInformation(*machine.host, function.address);
    const bool bound = found.driver.empty() || found.driver == "nvidia";
    if (information && bound) Describe(machine, *information, &found);
    // The driver tells of its GPUs, and no longer of this one: it fell off the bus. It never tells
    // of virtual functions, which exist to be given to guests.
    if (!information && !told.empty() && found.driver == "nvidia")
      found.device.state = found.partition ? DeviceState::kReserved : DeviceState::kUnhealthy;
    std::vector<FoundDevice> instances;
    if (information && bound && information->minor)
      instances = FindInstances(machine, found, *information->minor);
    if (!instances.empty()) {
      discovery->claimed.push_back(function.address);
      for (FoundDevice& instance : instances) discovery->devices.push_back(std::move(instance));
      continue;
    }
    if (found.driver == "nvidia" && !found.partition) joined.push_back(found.device.id);
    discovery->devices.push_back(std::move(found));
  }
  if (switched) AddGroup("nvswitch-fabric", std::move(joined), discovery);
}

}  // namespace allot::agent
