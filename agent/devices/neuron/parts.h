// NeuronCores as devices, and how the runtime wants several of them: NEURON_RT_VISIBLE_CORES takes
// single cores and ranges, "0-3,8" (AWS, "Neuron Runtime configuration").
//
// The runtime reserves a core for one process, through the driver. Each process still opens the
// chip's one device file, and no document says that the hardware keeps a core out of its
// neighbour's memory, so a core is at best `memory`: where it has an HBM stack of its own (two
// stacks for the two cores of Inferentia2 and Trainium, four for the four logical cores of
// Trainium2; AWS, "NKI architecture guides"). Where cores share a stack it is `none`.
#pragma once

#include "agent/devices/parts.h"

namespace allot::agent {

StatusOr<std::vector<FoundDevice>> SplitNeuron(const FoundDevice& whole);
SetAccess JoinNeuron(const Leased& leased, const std::vector<DeviceGroup>& groups);

}  // namespace allot::agent
