// The machine's own processors: hwloc for the topology, /proc and /sys for the rest.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "agent/devices/cpu/cpu_facts.h"
#include "agent/devices/vendor.h"

namespace allot::agent {

// Where to look. A recorded machine is read from its files; the live one by hwloc, which knows what
// this process may use; tests give a synthetic topology: "pack:2 numa:1 core:4 pu:2".
struct CpuSources {
  std::shared_ptr<const Host> host;
  std::string synthetic;
};

CpuFacts ReadCpuFacts(const CpuSources& sources);

class CpuVendor : public Vendor {
 public:
  explicit CpuVendor(CpuSources sources) : sources_(std::move(sources)) {}
  std::string_view name() const override { return "cpu"; }
  Discovery Discover(const Snapshot& machine) override;
  // Utilization and power are means since the call before; the first call has neither.
  std::vector<DeviceTelemetry> Sample() override;

 private:
  struct Before {
    uint64_t busy = 0, total = 0;
    double joules = 0;
    std::chrono::steady_clock::time_point at;
    bool valid = false, energy_valid = false;
  };
  const CpuSources sources_;
  std::vector<CpuPackage> packages_;
  std::vector<Before> before_;
};

}  // namespace allot::agent
