#include "agent/devices/amd/kfd.h"

#include <algorithm>
#include <limits>

namespace allot::agent::amd {
namespace {

constexpr const char* kNodes = "/sys/class/kfd/kfd/topology/nodes";

std::optional<uint64_t> Property(const std::string& text, std::string_view key) {
  const auto value = FindField(text, key, ' ');
  return value ? ParseUnsigned(*value) : std::nullopt;
}

std::optional<uint32_t> Small(std::optional<uint64_t> value) {
  if (!value || *value > std::numeric_limits<uint32_t>::max()) return std::nullopt;
  return static_cast<uint32_t>(*value);
}

// Heap types 1 and 2 are the frame buffer, public and private; 0 is system memory. One bank that
// cannot be read makes the sum unknown.
std::optional<Bytes> ReadBanks(const Host& host, const std::string& node) {
  Bytes sum = 0;
  for (const std::string& bank : host.List(node + "/mem_banks")) {
    const auto text = host.Read(fmt::format("{}/mem_banks/{}/properties", node, bank));
    if (!text) return std::nullopt;
    const auto heap = Property(*text, "heap_type");
    const auto size = Property(*text, "size_in_bytes");
    if (!heap || !size || *size > (uint64_t{1} << 50)) return std::nullopt;
    if (*heap == 1 || *heap == 2) sum += static_cast<Bytes>(*size);
  }
  return sum > 0 ? std::optional<Bytes>(sum) : std::nullopt;
}

}  // namespace

std::vector<KfdNode> ReadKfd(const Host& host) {
  std::vector<uint32_t> numbers;
  for (const std::string& name : host.List(kNodes))
    if (const auto number = NumberAfter(name, "")) numbers.push_back(*number);
  std::sort(numbers.begin(), numbers.end());

  std::vector<KfdNode> nodes;
  uint32_t rank = 0;
  for (const uint32_t number : numbers) {
    const std::string folder = fmt::format("{}/{}", kNodes, number);
    const std::string text = host.Read(folder + "/properties").value_or("");
    const Reading<int64_t> gpu_id = host.Int(folder + "/gpu_id");
    // A node taken for the other kind would shift the ranks of those behind it, so the richer file
    // decides, and gpu_id only where that one cannot be read.
    const auto simds = Property(text, "simd_count");
    const bool is_gpu = simds ? *simds > 0 : gpu_id && *gpu_id != 0;
    if (!is_gpu) continue;
    KfdNode node;
    node.number = number;
    node.rank = rank++;  // Even if we cannot place it: those behind it keep their numbers.
    const auto location = Small(Property(text, "location_id"));
    if (!location) continue;
    node.location = *location;
    node.domain = Small(Property(text, "domain")).value_or(0);
    node.render = Small(Property(text, "drm_render_minor"));
    node.hive = Property(text, "hive_id").value_or(0);
    node.unique = Property(text, "unique_id");
    node.gfx = Small(Property(text, "gfx_target_version"));
    node.memory = ReadBanks(host, folder);
    nodes.push_back(node);
  }
  return nodes;
}

std::string GfxName(uint32_t version) {
  // Major in tens of thousands, minor in hundreds, stepping as a hexadecimal digit.
  return fmt::format("gfx{}{:x}{:x}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace allot::agent::amd
