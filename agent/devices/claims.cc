#include "agent/devices/claims.h"

#include <map>

#include "fmt/ranges.h"

namespace allot::agent {
namespace {

using Claims = std::map<std::string, std::vector<FoundDevice*>>;

void Warn(const std::string& what, const std::vector<FoundDevice*>& claimants,
          Discovery* discovery) {
  std::vector<std::string> ids;
  for (const FoundDevice* found : claimants) ids.push_back(found->device.id);
  discovery->warnings.push_back(fmt::format(
      "{} is claimed by {}: what the driver shows contradicts itself, so none of them has it", what,
      fmt::join(ids, " and ")));
}

}  // namespace

void SettleClaims(Discovery* discovery) {
  Claims values, nodes;
  for (FoundDevice& found : discovery->devices) {
    const Device& device = found.device;
    if (device.emulated) continue;
    if (!device.visible_variable.empty())
      values[device.visible_variable + "=" + device.visible_value].push_back(&found);
    for (const std::string& node : device.nodes) nodes[node].push_back(&found);
  }
  for (const auto& [value, claimants] : values) {
    if (claimants.size() < 2) continue;
    Warn(value, claimants, discovery);
    for (FoundDevice* found : claimants) {
      found->device.visible_variable.clear();
      found->device.visible_value.clear();
    }
  }
  for (const auto& [node, claimants] : nodes) {
    if (claimants.size() < 2) continue;
    Warn(node, claimants, discovery);
    for (FoundDevice* found : claimants) std::erase(found->device.nodes, node);
  }
}

}  // namespace allot::agent
