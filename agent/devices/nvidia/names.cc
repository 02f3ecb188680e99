#include <algorithm>

#include "agent/devices/host/parse.h"
#include "agent/devices/nvidia/nvidia_vendor.h"

namespace allot::agent {
std::string NvidiaCatalogueName(std::string_view product, Bytes memory) {
  std::string name = Lower(product);
  for (const std::string_view prefix : {"nvidia ", "tesla "})
    if (name.starts_with(prefix)) name.erase(0, prefix.size());
  std::replace(name.begin(), name.end(), ' ', '-');
  const std::string first = name.substr(0, name.find('-'));
  const bool pcie = name.find("pcie") != name.npos || name.find("nvl") != name.npos;
  // Sizes on the box, not what is left of them after the driver's reserve.
  const int64_t gib = (memory + kGiB / 2) / kGiB;
  if (first == "h100" || first == "a100" || first == "a800" || first == "h800") {
    const int64_t box = gib > 85 ? 94 : gib > 60 ? 80 : 40;
    return fmt::format("nvidia/{}-{}-{}g", first, pcie ? "pcie" : "sxm", box);
  }
  if (first == "h200") return pcie ? "nvidia/h200-nvl" : "nvidia/h200-sxm-141g";
  for (const std::string_view plain : {"b200", "gb200", "gh200", "l4", "l40s", "a10g"})
    if (first == plain) return fmt::format("nvidia/{}", plain);
  std::string words;
  for (const char c : name)
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-') words += c;
  return "nvidia/" + (words.empty() ? "gpu" : words);
}

}  // namespace allot::agent
