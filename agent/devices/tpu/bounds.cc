#include "agent/devices/tpu/bounds.h"

#include <algorithm>
#include <array>

namespace allot::agent {
namespace {

using Sides = std::array<size_t, 3>;

// Two chips are 1,2,1 wherever they lie: the runtime numbers a pair that way.
std::optional<Sides> UsualSides(size_t count) {
  switch (count) {
    case 1:
      return Sides{1, 1, 1};
    case 2:
      return Sides{1, 2, 1};
    case 4:
      return Sides{2, 2, 1};
    case 8:
      return Sides{2, 4, 1};
    default:
      return std::nullopt;
  }
}

std::optional<Sides> ParseShape(const std::string& shape) {
  const std::vector<std::string_view> parts = Split(shape, ',');
  Sides sides{1, 1, 1};
  if (parts.empty() || parts.size() > sides.size()) return std::nullopt;
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto side = ParseUnsigned(parts[i]);
    if (!side || *side == 0 || *side > 64) return std::nullopt;
    sides[i] = *side;
  }
  return sides;
}

// The box that these positions fill, if they fill one.
std::optional<Sides> BoxOf(const std::vector<size_t>& positions, const Sides& shape) {
  Sides low{64, 64, 64}, high{0, 0, 0};
  for (const size_t position : positions) {
    const Sides at{position % shape[0], position / shape[0] % shape[1],
                   position / shape[0] / shape[1]};
    if (at[2] >= shape[2]) return std::nullopt;
    for (size_t i = 0; i < at.size(); ++i) {
      low[i] = std::min(low[i], at[i]);
      high[i] = std::max(high[i], at[i]);
    }
  }
  Sides box{};
  for (size_t i = 0; i < box.size(); ++i) box[i] = high[i] - low[i] + 1;
  return box[0] * box[1] * box[2] == positions.size() ? std::optional<Sides>(box) : std::nullopt;
}

Sides Sorted(Sides sides) {
  std::sort(sides.begin(), sides.end());
  return sides;
}

}  // namespace

std::string TpuBounds(const std::vector<size_t>& positions, const std::string& shape) {
  const std::optional<Sides> slice = ParseShape(shape);
  std::optional<Sides> sides = UsualSides(positions.size());
  if (slice && positions.size() == (*slice)[0] * (*slice)[1] * (*slice)[2]) {
    sides = slice;
  } else if (slice && sides) {
    // A row of four is no square.
    const std::optional<Sides> box = BoxOf(positions, *slice);
    if (box && Sorted(*box) != Sorted(*sides)) sides = box;
  }
  return sides ? fmt::format("{},{},{}", (*sides)[0], (*sides)[1], (*sides)[2]) : "";
}

SetAccess JoinTpu(const Leased& leased, const std::vector<DeviceGroup>& groups) {
  SetAccess access;
  std::vector<size_t> positions;
  std::string shape;
  bool whole = false;
  for (const DeviceGroup& group : groups) {
    if (group.kind != "tpu-slice") continue;
    positions.clear();
    for (const Device* device : leased) {
      const auto at = std::find(group.members.begin(), group.members.end(), device->id);
      if (at != group.members.end())
        positions.push_back(static_cast<size_t>(at - group.members.begin()));
    }
    if (positions.size() != leased.size()) continue;
    shape = group.shape;
    whole = positions.size() == group.members.size();
    break;
  }
  if (positions.size() != leased.size()) {  // In no slice: bounds by their count.
    positions.resize(leased.size());
    for (size_t i = 0; i < positions.size(); ++i) positions[i] = i;
  }
  for (const Device* device : leased) {
    if (device->visible_variable.empty()) return {};  // Not one a process could be shown.
    if (whole && std::find(device->features.begin(), device->features.end(), kTpuManyHosts) !=
                     device->features.end())
      return {};
  }
  if (const std::string bounds = TpuBounds(positions, shape); !bounds.empty()) {
    // The later names and the earlier ones: which of them a libtpu reads depends on its age, and
    // one that finds none takes the whole host.
    for (const char* name : {"TPU_CHIPS_PER_PROCESS_BOUNDS", "TPU_CHIPS_PER_HOST_BOUNDS"})
      access.environment[name] = bounds;
    for (const char* name : {"TPU_PROCESS_BOUNDS", "TPU_HOST_BOUNDS"})
      access.environment[name] = "1,1,1";
  }
  return access;
}

}  // namespace allot::agent
