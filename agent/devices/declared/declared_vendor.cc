#include "agent/devices/declared/declared_vendor.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>

#include "agent/devices/sysfs/sysfs_vendor.h"
#include "common/config/convert.h"
#include "fmt/ranges.h"

namespace allot::agent {
namespace {

void Replace(std::string_view what, std::string_view with, std::string* in) {
  for (size_t at = 0; (at = in->find(what, at)) != in->npos; at += with.size())
    in->replace(at, what.size(), with);
}

std::string Filled(std::string text, size_t number, const std::string& address) {
  Replace("{n}", std::to_string(number), &text);
  Replace("{pci}", address, &text);
  return text;
}

std::string Lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// By address, in the order of the bus.
std::vector<const pci::Function*> Matching(const pci::Bus& bus, const std::string& pci) {
  std::vector<const pci::Function*> functions;
  for (const pci::Function& function : bus.functions())
    if (function.address == pci || function.pci_id() == pci) functions.push_back(&function);
  return functions;
}

constexpr const char* kFiles = "dev_nodes";  // the fact; only where the row names files

// The files with those that are not there reported: without one of its files a device is not used.
struct Files {
  std::vector<std::string> there, missing;
};
Files Sort(const google::protobuf::RepeatedPtrField<std::string>& templates, const DevNodes& nodes,
           size_t number, const std::string& address) {
  Files files;
  for (const std::string& each : templates) {
    std::string path = Filled(each, number, address);
    (nodes.Has(path) ? files.there : files.missing).push_back(std::move(path));
  }
  return files;
}

}  // namespace

FoundDevice DeclaredVendor::Make(const config::StaticDevice& row, const Snapshot& machine,
                                 const pci::Function* function, size_t number,
                                 Discovery* discovery) const {
  const CatalogueRow* known = catalogue_.Find(row.model());
  FoundDevice found;
  std::string address;
  if (function != nullptr) {
    found = FromFunction(machine, *function, "", {});
    address = function->address;
  }
  Device& device = found.device;
  device.id = address.empty() ? row.name() : address;
  device.kind = *ParseDeviceKind(row.kind());
  device.model = row.model();
  device.vendor = known != nullptr ? known->vendor : row.model().substr(0, row.model().find('/'));
  device.configured = true;
  found.name = row.model();
  found.family.clear();
  found.units = 1;
  device.memory.reset();
  found.memory_source.clear();
  if (Bytes memory = 0;
      !row.memory().empty() && config::TakeBytes("memory", row.memory(), &memory).ok()) {
    device.memory = memory;
  } else if (known != nullptr) {
    device.memory = known->memory;
  }
  if (device.memory) found.memory_source = "config";
  if (row.has_watts()) device.power_max = std::llround(row.watts() * 1000);
  if (!row.visible_variable().empty()) {
    device.visible_variable = row.visible_variable();
    device.visible_value =
        Filled(row.visible_value().empty() ? "{n}" : row.visible_value(), number, address);
  }
  const Files own = Sort(row.nodes(), machine.nodes, number, address);
  const Files shared = Sort(row.shared_nodes(), machine.nodes, number, address);
  device.nodes = own.there;
  device.shared_nodes = shared.there;
  std::vector<std::string> missing = own.missing;
  missing.insert(missing.end(), shared.missing.begin(), shared.missing.end());
  if (!missing.empty()) {
    // A driver that is bound and has not made them is not the one that was meant.
    device.state = found.driver.empty() ? DeviceState::kNoDriver : DeviceState::kUnsupported;
    discovery->warnings.push_back(
        fmt::format("devices.static {}: {} cannot be used, there is no {}", row.name(), device.id,
                    fmt::join(missing, ", ")));
  } else if (!own.there.empty() || function == nullptr) {
    device.state = DeviceState::kReady;  // Its files are there, whoever made them.
  }
  found.facts.clear();
  found.source = fmt::format("config static {}", row.name());
  found.Tell("model", found.source);
  if (row.nodes_size() + row.shared_nodes_size() > 0) found.Tell(kFiles, found.source);
  return found;
}

Discovery DeclaredVendor::Discover(const Snapshot& machine) {
  Discovery discovery;
  std::set<std::string> taken;
  for (const config::StaticDevice& row : rows_) {
    if (row.pci().empty()) {
      discovery.devices.push_back(Make(row, machine, nullptr, 0, &discovery));
      continue;
    }
    const std::vector<const pci::Function*> functions = Matching(machine.bus, Lower(row.pci()));
    if (functions.empty())
      discovery.warnings.push_back(fmt::format(
          "devices.static {}: no PCI function of this machine is {}", row.name(), row.pci()));
    for (size_t number = 0; number < functions.size(); ++number) {
      const pci::Function& function = *functions[number];
      if (!taken.insert(function.address).second) {
        discovery.warnings.push_back(fmt::format(
            "devices.static {}: {} is declared by a row before it", row.name(), function.address));
        continue;
      }
      discovery.devices.push_back(Make(row, machine, &function, number, &discovery));
    }
  }
  return discovery;
}

void TakeDeclared(FoundDevice declared, Discovery* all) {
  const std::string id = declared.device.id;
  const auto partition = [&](const FoundDevice& found) {
    return found.partition && found.partition->parent == id;
  };
  const size_t partitions =
      static_cast<size_t>(std::count_if(all->devices.begin(), all->devices.end(), partition));
  const auto found = std::find_if(all->devices.begin(), all->devices.end(),
                                  [&](const FoundDevice& f) { return f.device.id == id; });
  if (partitions > 0 && found == all->devices.end()) {
    all->warnings.push_back(
        fmt::format("devices.static: {} is declared as a whole, so its {} partitions are not used",
                    id, partitions));
    std::erase_if(all->devices, partition);
    all->devices.push_back(std::move(declared));
    return;
  }
  if (found == all->devices.end()) {
    if (std::find(all->claimed.begin(), all->claimed.end(), id) != all->claimed.end()) {
      // A Neuron chip: its driver tells no address, so which of them this is nobody knows.
      all->warnings.push_back(fmt::format(
          "devices.static: {} is left out, its vendor names its devices otherwise", id));
    } else {
      all->devices.push_back(std::move(declared));
    }
    return;
  }
  if (!pci::IsAddress(id)) {  // By its name it stands for no other.
    all->warnings.push_back(
        fmt::format("devices.static: {} is left out, another device has this id", id));
    return;
  }
  // What the config does not say stays as found.
  Device& to = declared.device;
  const Device& from = found->device;
  if (std::none_of(declared.facts.begin(), declared.facts.end(),
                   [](const Fact& fact) { return fact.what == kFiles; })) {
    to.nodes = from.nodes;
    to.shared_nodes = from.shared_nodes;
    to.state = from.state;
  }
  if (to.visible_variable.empty()) {
    to.visible_variable = from.visible_variable;
    to.visible_value = from.visible_value;
  }
  if (!to.memory) {
    to.memory = from.memory;
    declared.memory_source = found->memory_source;
  }
  if (!to.power_max) to.power_max = from.power_max;
  // Health is the vendor's to tell, and its sensors have been read.
  if (to.state == DeviceState::kReady && from.state == DeviceState::kUnhealthy)
    to.state = from.state;
  to.features = from.features;
  to.health = from.health;
  to.numa_node = from.numa_node;
  to.uuid = declared.uuid = found->uuid;
  declared.warnings = found->warnings;
  declared.readings = found->readings;
  declared.family = found->family;
  declared.units = found->units;
  declared.facts.insert(declared.facts.end(), found->facts.begin(), found->facts.end());
  *found = std::move(declared);
}

}  // namespace allot::agent
