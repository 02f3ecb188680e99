#include "simulator/checkers/together.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>

#include "fmt/format.h"
#include "fmt/ranges.h"

namespace allot::simulator {
namespace {

// Where the devices stand in the group; those it does not have are left out.
std::vector<size_t> PlacesIn(const DeviceGroup& group, const std::vector<std::string>& devices) {
  std::vector<size_t> places;
  for (size_t i = 0; i < group.members.size(); ++i)
    if (std::find(devices.begin(), devices.end(), group.members[i]) != devices.end())
      places.push_back(i);
  return places;
}

bool IsArc(const std::vector<size_t>& places, size_t size, bool closed) {
  size_t gaps = 0;  // between neighbours of the set, round the ring
  for (size_t i = 0; i < places.size(); ++i) {
    const size_t next = places[(i + 1) % places.size()];
    gaps += (places[i] + 1) % size != next;
  }
  if (!closed) return places.back() - places.front() + 1 == places.size();
  return gaps <= 1;
}

bool IsBox(const std::vector<size_t>& places, const DeviceGroup& group) {
  std::array<unsigned, 3> sides = {1, 1, 1};
  if (std::sscanf(group.shape.c_str(), "%u,%u,%u", &sides[0], &sides[1], &sides[2]) < 1)
    return false;
  const size_t count = places.size();
  if (count != 2 && count != 4 && count != 8 && count != group.members.size()) return false;
  std::array<std::set<size_t>, 3> along;
  for (const size_t at : places) {
    along[0].insert(at % sides[0]);
    along[1].insert(at / sides[0] % sides[1]);
    along[2].insert(at / (size_t{sides[0]} * sides[1]));
  }
  size_t volume = 1;
  for (const std::set<size_t>& values : along) {
    if (*values.rbegin() - *values.begin() + 1 != values.size()) return false;
    volume *= values.size();
  }
  return volume == count;
}

bool IsRows(const std::vector<size_t>& places, const DeviceGroup& group) {
  const size_t count = places.size();
  if (count != 4 && count != 8 && count != group.members.size()) return false;
  return places.front() % count == 0 && places.back() == places.front() + count - 1;
}

}  // namespace

std::string WhyNotTogether(const NodeInfo& node, const std::vector<std::string>& devices,
                           const DeviceRequest& request) {
  if (devices.size() != request.count)
    return fmt::format("{} devices were asked for, not {}", request.count, devices.size());
  const Device* first = nullptr;
  for (const Device& device : node.devices) {
    if (std::find(devices.begin(), devices.end(), device.id) == devices.end()) continue;
    if (first == nullptr) first = &device;
    if (!Matches(request, device)) return fmt::format("{} is not what was asked for", device.id);
    if (device.model != first->model)
      return fmt::format("{} and {} are of two models", first->id, device.id);
  }
  if (devices.size() == 1) return "";
  bool joined = false;
  for (const DeviceGroup& group : node.groups) {
    const std::vector<size_t> places = PlacesIn(group, devices);
    joined |= places.size() == devices.size();
    const bool slice = group.kind == "tpu-slice", ring = group.kind == "neuronlink-ring",
               torus = group.kind == "neuronlink-torus";
    if (places.empty() || !(slice || ring || torus)) continue;
    const bool usable = places.size() == devices.size() &&
                        (slice  ? IsBox(places, group)
                         : ring ? IsArc(places, group.members.size(), group.shape != "line")
                                : IsRows(places, group));
    if (!usable)
      return fmt::format("{} are no set that a {} of shape \"{}\" takes", fmt::join(devices, ", "),
                         group.kind, group.shape);
  }
  return request.joined && !joined ? fmt::format("{} are in no one group", fmt::join(devices, ", "))
                                   : "";
}

}  // namespace allot::simulator
