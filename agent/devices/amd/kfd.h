// The compute topology of AMD's kernel driver: /sys/class/kfd/kfd/topology. One node per socket and
// one per GPU or GPU partition.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/devices/host/host.h"
#include "common/base/units.h"

namespace allot::agent::amd {

struct KfdNode {
  uint32_t number = 0;  // of the topology node
  uint32_t rank = 0;    // among GPU nodes: the number ROCr calls it by
  uint32_t domain = 0;
  uint32_t location = 0;           // bus << 8 | device << 3 | function or partition
  std::optional<uint32_t> render;  // minor of its render node
  std::optional<Bytes> memory;     // of its frame-buffer banks
  uint64_t hive = 0;               // XGMI hive; 0 is none
  std::optional<uint64_t> unique;  // of the physical GPU
  std::optional<uint32_t> gfx;     // 90402 is gfx942
};

// GPU nodes that tell where they are, by number. Nodes nobody may read are left out, as ROCr does.
std::vector<KfdNode> ReadKfd(const Host& host);

// "gfx942" for 90402.
std::string GfxName(uint32_t version);

}  // namespace allot::agent::amd
