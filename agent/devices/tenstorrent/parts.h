// The chips of a Tenstorrent card as devices.
//
// TT_VISIBLE_DEVICES names PCI functions, by number or address (tt-umd), and the second chip of an
// n300 has none: it is reached over Ethernet through the first. So a process that has one chip of a
// card sees the card, and sharing one is a matter of trust: `none`.
#pragma once

#include "agent/devices/parts.h"

namespace allot::agent {

StatusOr<std::vector<FoundDevice>> SplitTenstorrent(const FoundDevice& whole);

}  // namespace allot::agent
