#include "agent/devices/compose.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "agent/devices/claims.h"
#include "agent/devices/declared/declared_vendor.h"
#include "agent/devices/nvidia/mps.h"
#include "agent/devices/shares.h"

namespace allot::agent {
namespace {

SharingHost LookForMps(const Host& host) {
  SharingHost sharing{.mps_pipe_directory =
                          host.Environment(kMpsPipeVariable).value_or(kMpsPipeDefault)};
  const std::vector<std::string> pipes = host.List(sharing.mps_pipe_directory);
  sharing.mps_daemon = std::find(pipes.begin(), pipes.end(), "control") != pipes.end();
  return sharing;
}

void KeepToTheLimit(Discovery* all) {
  if (all->devices.size() <= DeviceSet::kMax) return;
  all->warnings.push_back(
      fmt::format("{} devices are left out, from {} on: a node has at most {} devices",
                  all->devices.size() - DeviceSet::kMax, all->devices[DeviceSet::kMax].device.id,
                  DeviceSet::kMax));
  all->devices.resize(DeviceSet::kMax);
}

void ForgetGoneMembers(Discovery* all) {
  std::set<std::string_view> ids;
  for (const FoundDevice& found : all->devices) ids.insert(found.device.id);
  for (DeviceGroup& group : all->groups)
    if (std::erase_if(group.members, [&](const std::string& id) { return !ids.contains(id); }) > 0)
      group.shape.clear();
  std::erase_if(all->groups, [](const DeviceGroup& group) { return group.members.size() < 2; });
}

// MIG compute instances of one GPU instance have its memory together.
std::string MemoryOwner(const Partition& partition) {
  return partition.gi ? fmt::format("{}/gi{}", partition.parent, *partition.gi) : "";
}

}  // namespace

void TakeDevices(std::string_view vendor, const Discovery& of_vendor, Discovery* all) {
  for (const FoundDevice& found : of_vendor.devices) {
    FoundDevice device = found;
    device.device.uuid = found.uuid;
    if (found.device.configured && !found.device.emulated && found.device.endpoint.empty()) {
      TakeDeclared(std::move(device), all);
    } else if (std::any_of(all->devices.begin(), all->devices.end(),
                           [&](const FoundDevice& d) { return d.device.id == found.device.id; })) {
      all->warnings.push_back(fmt::format("device {} of {} is left out: another has the same id",
                                          found.device.id, vendor));
    } else {
      all->devices.push_back(std::move(device));
    }
  }
  all->groups.insert(all->groups.end(), of_vendor.groups.begin(), of_vendor.groups.end());
  all->claimed.insert(all->claimed.end(), of_vendor.claimed.begin(), of_vendor.claimed.end());
}

void NameParents(const Catalogue& catalogue, Discovery* all) {
  std::map<std::string, int32_t> siblings, sharers;
  for (const FoundDevice& found : all->devices)
    if (found.partition) {
      ++siblings[found.partition->parent];
      ++sharers[MemoryOwner(*found.partition)];
    }
  for (FoundDevice& found : all->devices) {
    if (!found.partition) continue;
    Device& device = found.device;
    device.parent = found.partition->parent;
    const CatalogueRow* row = catalogue.Find(device.model);
    if (row != nullptr && row->memory && *row->memory > 0 && device.memory && *device.memory > 0) {
      int64_t part = std::llround(1000.0 * static_cast<double>(*device.memory) /
                                  static_cast<double>(*row->memory));
      if (found.partition->gi) part /= sharers[MemoryOwner(*found.partition)];
      device.part_millis = static_cast<int32_t>(std::clamp<int64_t>(part, 1, 1000));
    } else if (found.partition->scheme != "sriov") {  // Its parent is listed beside it, too.
      device.part_millis = std::max(1, 1000 / siblings[found.partition->parent]);
    }
  }
}

void SetPower(const Catalogue& catalogue, Discovery* all) {
  for (FoundDevice& found : all->devices) {
    Device& device = found.device;
    const CatalogueRow* row = catalogue.Find(device.model);
    if (device.power_max || row == nullptr || !row->watts || *row->watts <= 0) continue;
    double watts = *row->watts * device.part_millis / 1000;
    // A virtual machine has some cores of a processor.
    if (device.kind == DeviceKind::kCpu && row->cores && device.cores > 0 &&
        device.cores < *row->cores)
      watts *= static_cast<double>(device.cores) / static_cast<double>(*row->cores);
    device.power_max = std::llround(watts * 1000);
    found.Tell("power_max_watts", "catalogue");
  }
}

void Compose(const Composition& how, const Host& host, Discovery* all) {
  SettleClaims(all);
  NameParents(how.catalogue, all);
  SetPower(how.catalogue, all);
  if (!how.sharing.empty()) ApplyShares(how.sharing, LookForMps(host), all);
  SetIsolation(how.isolation, all);
  KeepToTheLimit(all);
  ForgetGoneMembers(all);
}

}  // namespace allot::agent
