// What `rbln-smi -j` says. Its fields as the vendor's own readers have them
// (RBLN-SW/rbln-k8s-dra-driver, pkg/rblnsmi), measurements as a driver 3.0.0 writes them
// (lablup/all-smi has a capture): "31C", "17521800uW", "0.0" percent, bytes as decimal text.
// Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace allot::agent::rbln {

struct Npu {
  std::string address;  // "0000:03:00.0"
  std::string uuid;
  std::string card;  // the serial of its board, which several NPUs may share
  std::optional<uint64_t> memory_total, memory_used;  // bytes
  std::optional<double> celsius, utilization;         // 0 to 1
  std::optional<double> card_watts;                   // of the whole board
};

// Only NPUs with an address; what is in another form than documented is absent. InvalidArgument:
// it is not what rbln-smi writes.
StatusOr<std::vector<Npu>> ParseSmi(std::string_view text);

}  // namespace allot::agent::rbln
