// What the kernel log says about devices. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/devices/health/signal.h"

namespace allot::agent {

struct KernelEvent {
  std::string vendor;  // key of the folder whose rules apply
  HealthSignal signal;
};

// NVIDIA: "NVRM: Xid (PCI:0000:17:00): 79, …", also with an instance ("PCI:0000:17:00 GPU-I:03").
// Anything else, cut or foreign, is nothing.
std::optional<KernelEvent> ReadKernelMessage(std::string_view message);

}  // namespace allot::agent
