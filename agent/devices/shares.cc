#include "agent/devices/shares.h"

#include <algorithm>
#include <map>

#include "agent/devices/nvidia/mps.h"
#include "agent/devices/parts.h"
#include "fmt/ranges.h"

namespace allot::agent {
namespace {

bool IsShareable(const Device& device) {
  return device.kind != DeviceKind::kCpu && device.endpoint.empty();
}

bool RowMatches(const config::DeviceShares& row, const Device& device) {
  return GlobMatch(row.match(), device.model) || GlobMatch(row.match(), device.id);
}

// The shares with what is special about the mode; or why there can be none.
StatusOr<std::vector<FoundDevice>> Cut(const config::DeviceShares& row, const FoundDevice& whole) {
  if (row.mode() == "units") {
    const VendorParts* parts = FindVendorParts(whole.device.vendor);
    if (parts == nullptr || parts->split == nullptr || whole.device.emulated || whole.partition)
      return NotFound("it has no parts that a process could be given");
    ASSIGN_OR_RETURN(std::vector<FoundDevice> units, parts->split(whole));
    if (units.size() < 2) return NotFound("it has one part only");
    return units;
  }
  if (row.mode() == "mps" && (whole.device.vendor != "nvidia" || whole.device.emulated))
    return NotFound("MPS is for NVIDIA GPUs");
  std::vector<FoundDevice> shares(std::max<uint32_t>(row.shares(), 1), whole);
  for (FoundDevice& share : shares) share.device.isolation = Isolation::kNone;
  return shares;
}

// Rounded up, so that all together are never less than the whole draws.
int64_t PartOf(int64_t whole, size_t count) {
  const auto n = static_cast<int64_t>(count);
  return (whole + n - 1) / n;
}

void Finish(const config::DeviceShares& row, const SharingHost& host, const FoundDevice& whole,
            std::vector<FoundDevice>* shares) {
  for (size_t i = 0; i < shares->size(); ++i) {
    FoundDevice& share = (*shares)[i];
    Device& device = share.device;
    device.id = fmt::format("{}/s{}", whole.device.id, i);
    device.parent = whole.device.id;
    if (whole.device.memory)
      device.memory = *whole.device.memory / static_cast<Bytes>(shares->size());
    if (whole.device.power_max) device.power_max = PartOf(*whole.device.power_max, shares->size());
    device.part_millis = static_cast<int32_t>(PartOf(whole.device.part_millis, shares->size()));
    if (whole.device.price)
      device.price = PriceRate{PartOf(whole.device.price->micros_per_hour, shares->size())};
    if (row.mode() == "mps")
      MakeMpsShare(static_cast<uint32_t>(shares->size()), host.mps_pipe_directory, &device);
    share.units = 1;
    share.Tell("share",
               fmt::format("config sharing: {} of {}, {}", i + 1, shares->size(), row.mode()));
  }
}

// In place of a device that was cut: its parts in order, or nobody.
void ReplaceMembers(const std::map<std::string, std::vector<std::string>>& cut,
                    std::vector<DeviceGroup>* groups) {
  for (DeviceGroup& group : *groups) {
    std::vector<std::string> members;
    bool changed = false;
    for (const std::string& member : group.members) {
      const auto parts = cut.find(member);
      if (parts == cut.end()) {
        members.push_back(member);
        continue;
      }
      changed = true;
      members.insert(members.end(), parts->second.begin(), parts->second.end());
    }
    if (!changed) continue;
    group.members = std::move(members);
    group.shape.clear();  // Of other members.
  }
  std::erase_if(*groups, [](const DeviceGroup& group) { return group.members.size() < 2; });
}

}  // namespace

void ApplyShares(const std::vector<config::DeviceShares>& rows, const SharingHost& host,
                 Discovery* discovery) {
  if (rows.empty()) return;
  std::vector<bool> used(rows.size(), false);
  std::map<std::string, std::vector<std::string>> cut;
  std::vector<std::string> under_mps;
  std::vector<FoundDevice> devices;
  for (FoundDevice& whole : discovery->devices) {
    const auto row = IsShareable(whole.device)
                         ? std::find_if(rows.begin(), rows.end(),
                                        [&](const auto& r) { return RowMatches(r, whole.device); })
                         : rows.end();
    if (row == rows.end()) {
      devices.push_back(std::move(whole));
      continue;
    }
    used[static_cast<size_t>(row - rows.begin())] = true;
    StatusOr<std::vector<FoundDevice>> shares = Cut(*row, whole);
    if (!shares.ok()) {
      discovery->warnings.push_back(
          fmt::format("devices.sharing: {} stays whole, mode {} cannot share it: {}",
                      whole.device.id, row->mode(), MessageOf(shares.status())));
      devices.push_back(std::move(whole));
      continue;
    }
    Finish(*row, host, whole, &*shares);
    std::vector<std::string>& members = cut[whole.device.id];
    if (row->mode() == "units")
      for (const FoundDevice& share : *shares) members.push_back(share.device.id);
    if (row->mode() == "mps") under_mps.push_back(whole.device.id);
    discovery->claimed.push_back(whole.device.id);
    for (FoundDevice& share : *shares) devices.push_back(std::move(share));
  }
  discovery->devices = std::move(devices);
  ReplaceMembers(cut, &discovery->groups);
  for (size_t i = 0; i < rows.size(); ++i)
    if (!used[i])
      discovery->warnings.push_back(fmt::format(
          "devices.sharing[{}]: no device of this node matches \"{}\"", i, rows[i].match()));
  if (!under_mps.empty() && !host.mps_daemon)
    discovery->warnings.push_back(fmt::format(
        "devices.sharing: no MPS daemon has its control pipe in {}, so work on {} takes turns and "
        "no limit holds; start `nvidia-cuda-mps-control -d`, or give the agent its {}",
        host.mps_pipe_directory, fmt::join(under_mps, ", "), kMpsPipeVariable));
}

}  // namespace allot::agent
