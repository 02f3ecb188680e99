#include "agent/devices/neuron/parts.h"

#include <algorithm>

namespace allot::agent {
namespace {

constexpr std::string_view kCoresVariable = "NEURON_RT_VISIBLE_CORES";

size_t MemoryStacks(std::string_view model) {
  if (model == "aws/inferentia2" || model == "aws/trainium1") return 2;
  if (model == "aws/trainium2") return 4;
  return 1;
}

}  // namespace

StatusOr<std::vector<FoundDevice>> SplitNeuron(const FoundDevice& whole) {
  const Device& chip = whole.device;
  const auto cores =
      chip.visible_variable == kCoresVariable ? ParseCpuList(chip.visible_value) : std::nullopt;
  if (!cores || cores->empty()) return NotFound("the numbers of its cores are not known");
  std::vector<FoundDevice> parts;
  for (const uint32_t core : *cores) {
    FoundDevice part = whole;
    part.device.visible_value = std::to_string(core);
    part.device.isolation =
        cores->size() <= MemoryStacks(chip.model) ? Isolation::kMemory : Isolation::kNone;
    parts.push_back(std::move(part));
  }
  return parts;
}

SetAccess JoinNeuron(const Leased& leased, const std::vector<DeviceGroup>&) {
  std::string words;
  for (const Device* device : leased)
    if (device->visible_variable == kCoresVariable)
      words += (words.empty() ? "" : ",") + device->visible_value;
  const auto cores = ParseCpuList(words);
  if (!cores || cores->empty()) return {};  // Each device's own words, then.
  std::string ranges;
  for (size_t i = 0; i < cores->size();) {
    size_t end = i + 1;
    while (end < cores->size() && (*cores)[end] == (*cores)[end - 1] + 1) ++end;
    if (!ranges.empty()) ranges += ",";
    ranges += std::to_string((*cores)[i]);
    if (end - i > 1) ranges += fmt::format("-{}", (*cores)[end - 1]);
    i = end;
  }
  SetAccess access;
  access.environment[std::string(kCoresVariable)] = ranges;
  return access;
}

}  // namespace allot::agent
