#include "agent/devices/parts.h"

#include <algorithm>

#include "agent/devices/furiosa/parts.h"
#include "agent/devices/neuron/parts.h"
#include "agent/devices/nvidia/mps.h"
#include "agent/devices/tenstorrent/parts.h"
#include "agent/devices/tpu/bounds.h"

namespace allot::agent {
namespace {

struct Row {
  std::string_view vendor;
  VendorParts parts;
};
constexpr Row kRows[] = {
    {"aws", {.split = SplitNeuron, .join = JoinNeuron}},
    {"furiosa", {.split = SplitFuriosa, .join = JoinFuriosa}},
    {"google", {.join = JoinTpu}},
    {"nvidia", {.join = JoinMps}},
    {"tenstorrent", {.split = SplitTenstorrent}},
};

void AddNew(const std::vector<std::string>& from, std::vector<std::string>* to) {
  for (const std::string& path : from)
    if (std::find(to->begin(), to->end(), path) == to->end()) to->push_back(path);
}

}  // namespace

const VendorParts* FindVendorParts(std::string_view vendor) {
  for (const Row& row : kRows)
    if (row.vendor == vendor) return &row.parts;
  return nullptr;
}

SetAccess JoinSet(const Leased& leased, const std::vector<DeviceGroup>& groups) {
  SetAccess all;
  std::map<std::string_view, Leased> by_vendor;
  for (const Device* device : leased)
    if (!device->emulated) by_vendor[device->vendor].push_back(device);
  for (const auto& [vendor, devices] : by_vendor) {
    const VendorParts* parts = FindVendorParts(vendor);
    if (parts == nullptr || parts->join == nullptr) continue;
    SetAccess access = parts->join(devices, groups);
    all.environment.merge(access.environment);
    AddNew(access.nodes, &all.nodes);
  }
  return all;
}

LeasedFiles FilesOf(const std::vector<Device>& node, const std::vector<std::string>& leased) {
  Leased devices;
  for (const std::string& id : leased)
    for (const Device& device : node)
      if (device.id == id && !device.emulated) devices.push_back(&device);
  LeasedFiles files;
  for (const Device* device : devices) AddNew(device->nodes, &files.own);
  for (const Device* device : devices) AddNew(device->shared_nodes, &files.shared);
  AddNew(JoinSet(devices, {}).nodes, &files.shared);
  return files;
}

}  // namespace allot::agent
