// Processing elements of a Furiosa NPU as devices.
//
// "npu:0:2" is element 2 of NPU 0, "npu:0:0-3" four of them as one, "npu:0" all (furiosa-llm,
// `--devices`). An element has a file of its own (npu0pe2), and a fused one is opened by
// its own too (npu0pe0-3), which must not be given to a lease of less. The management file and
// those of DMA channels, remapping and BARs serve the whole card, and every element needs them
// (libfuriosa-kubernetes, pkg/cdi_spec, gives them to each partition). So elements are not kept
// apart by files alone, and nothing documented says that their memory is: `none`.
#pragma once

#include "agent/devices/parts.h"

namespace allot::agent {

StatusOr<std::vector<FoundDevice>> SplitFuriosa(const FoundDevice& whole);
SetAccess JoinFuriosa(const Leased& leased, const std::vector<DeviceGroup>& groups);

}  // namespace allot::agent
