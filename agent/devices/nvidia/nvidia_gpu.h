// Internal to this folder: a GPU that NVML knows.
#pragma once

#include <string>

#include "agent/devices/nvidia/nvidia_vendor.h"
#include "agent/devices/nvidia/nvml.h"

namespace allot::agent {

struct NvidiaVendor::Gpu {
  nvml::Handle handle;
  std::string id;  // its PCI address
};

}  // namespace allot::agent
