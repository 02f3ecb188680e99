#include "agent/devices/tenstorrent/parts.h"

namespace allot::agent {

StatusOr<std::vector<FoundDevice>> SplitTenstorrent(const FoundDevice& whole) {
  FoundDevice chip = whole;
  chip.device.isolation = Isolation::kNone;
  chip.warnings.emplace_back("sees_whole_card");
  return std::vector<FoundDevice>(whole.units, chip);
}

}  // namespace allot::agent
