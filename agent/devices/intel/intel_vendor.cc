#include "agent/devices/intel/intel_vendor.h"

#include <algorithm>

namespace allot::agent {
namespace {

constexpr uint16_t kIntel = 0x8086;

std::optional<Bytes> Size(const Host& host, const std::string& path) {
  const Reading<int64_t> size = host.Int(path);
  if (!size || *size < kMiB || *size > (int64_t{1} << 50) || *size % 4096 != 0) return std::nullopt;
  return *size;
}

// xe: a size for each tile; one that cannot be read makes the sum unknown. i915: one for the card.
std::optional<Bytes> LocalMemory(const Host& host, const std::string& path) {
  Bytes sum = 0;
  for (const std::string& name : host.List(path)) {
    if (!NumberAfter(name, "tile")) continue;
    const auto tile = Size(host, fmt::format("{}/{}/physical_vram_size_bytes", path, name));
    if (!tile) return std::nullopt;
    sum += *tile;
  }
  if (sum > 0) return sum;
  for (const std::string& name : host.List(path + "/drm"))
    if (name.starts_with("card"))
      if (const auto size = Size(host, fmt::format("{}/drm/{}/lmem_total_bytes", path, name)))
        return size;
  return std::nullopt;
}

// One file for each graphics tile that says whether heat slows it down: of i915 below its DRM card,
// of xe below its tile.
std::vector<std::string> ThrottleFiles(const Host& host, const std::string& path) {
  std::vector<std::string> files;
  for (const std::string& card : host.List(path + "/drm"))
    if (card.starts_with("card"))
      for (const std::string& gt : host.List(fmt::format("{}/drm/{}/gt", path, card)))
        files.push_back(fmt::format("{}/drm/{}/gt/{}/throttle_reason_thermal", path, card, gt));
  for (const std::string& tile : host.List(path))
    if (NumberAfter(tile, "tile"))
      for (const std::string& gt : host.List(fmt::format("{}/{}", path, tile)))
        if (NumberAfter(gt, "gt"))
          files.push_back(fmt::format("{}/{}/{}/freq0/throttle/reason_thermal", path, tile, gt));
  return files;
}

std::optional<double> AnySet(const Host& host, const std::vector<std::string>& files) {
  std::optional<double> any;
  for (const std::string& file : files)
    if (const Reading<int64_t> set = host.Int(file))
      any = std::max(any.value_or(0), *set != 0 ? 1.0 : 0.0);
  return any;
}

// Does level-zero open this function? It goes by render nodes, of the processor's own graphics too.
// One whose files cannot be read still counts, or those behind it would get its number.
bool IsOpened(const Snapshot& machine, const pci::Function& function) {
  if (function.vendor && *function.vendor != kIntel) return false;
  if (function.class_code && *function.class_code >> 16 != 0x03) return false;
  const std::string driver = machine.host->LinkName(function.path() + "/driver").value_or("");
  if (driver.empty() ? !function.vendor : driver != "xe" && driver != "i915") return false;
  for (const ClassEntry& entry : ClassEntries(machine, function, "drm"))
    if (entry.name.starts_with("renderD")) return true;
  return false;
}

size_t Tiles(const Host& host, const std::string& path) {
  size_t tiles = 0;
  for (const std::string& name : host.List(path)) tiles += NumberAfter(name, "tile") ? 1 : 0;
  return tiles;
}

}  // namespace

void IntelVendor::Find(const Snapshot& machine, Discovery* discovery) {
  uint32_t number = 0;
  for (const pci::Function& opened : machine.bus.functions()) {
    const uint32_t place = number;
    const bool counts = IsOpened(machine, opened);
    number += counts ? 1 : 0;
    const pci::Function* function = &opened;
    if (function->row == nullptr || function->row->key != "intel") continue;
    FoundDevice found = FromFunction(machine, *function, "intel", {"xe", "i915"});
    Device& device = found.device;
    if (device.state == DeviceState::kReady) {
      for (const ClassEntry& entry : ClassEntries(machine, *function, "drm"))
        if (entry.name.starts_with("renderD") && !entry.node.empty())
          device.nodes.push_back(entry.node);
      found.Tell("dev_nodes", "sysfs drm class, /dev");
      if (counts) {
        // level-zero's documented switches: by PCI address, and a card with two tiles as one.
        device.visible_variable = "ZE_AFFINITY_MASK";
        device.visible_value = std::to_string(place);
        device.environment["ZE_ENABLE_PCI_ID_DEVICE_ORDER"] = "1";
        if (Tiles(*machine.host, function->path()) > 1)
          device.environment["ZE_FLAT_DEVICE_HIERARCHY"] = "COMPOSITE";
        found.Tell("visible_env", "sysfs drm class, in PCI order");
      }
      if (const auto memory = LocalMemory(*machine.host, function->path())) {
        device.memory = memory;
        found.memory_source = "sysfs";
        found.Tell("memory_bytes", "sysfs");
      }
      WatchSignal(device.id, "throttle_thermal",
                  [files = ThrottleFiles(*machine.host, function->path())](const Host& host) {
                    return AnySet(host, files);
                  });
      Watch(machine, FindSensors(*machine.host, function->path()), &found);
    }
    discovery->devices.push_back(std::move(found));
  }
}

}  // namespace allot::agent
