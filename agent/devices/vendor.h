// The seam for device vendors: a folder here and one line in registry.cc.
//
// A vendor finds its devices and samples them. Its library is opened at run time, never linked.
// Both calls may block or hang with the library, so the inventory makes them on a thread of the
// vendor's own and stops waiting at a deadline; a vendor itself needs no locks.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/model/device.h"

namespace allot::agent {

struct FoundDevice {
  Device device;
  std::string name;    // what the source calls it: "NVIDIA H100 80GB HBM3"
  std::string source;  // where the facts come from: "NVML 550.54", "hwloc, /proc/cpuinfo"
};

struct Discovery {
  std::vector<FoundDevice> devices;
  std::vector<std::string> warnings;  // for the log: what was seen and cannot be used, and why
};

class Vendor {
 public:
  virtual ~Vendor() = default;
  virtual std::string_view name() const = 0;
  virtual Discovery Discover() = 0;
  // Of the devices of the last Discover; only what is really measured.
  virtual std::vector<DeviceTelemetry> Sample() = 0;
  // Calls a library that is not ours, so it may hang.
  virtual bool may_hang() const { return false; }
};

}  // namespace allot::agent
