// What is known of the machine's processors, and what we make of it. Reading is apart from
// deciding, so that any machine can be tested by its facts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/devices/vendor.h"

namespace allot::agent {

struct CpuPackage {
  std::vector<uint32_t> threads;  // hardware threads (OS numbers) this process may use
  uint32_t cores = 0;
  Bytes memory = 0;        // of its NUMA nodes
  int32_t numa_node = -1;  // its first
};

struct CpuFacts {
  std::string vendor_id;   // "GenuineIntel"
  std::string model_name;  // "Intel(R) Xeon(R) Platinum 8480+"
  std::vector<std::string> flags;
  std::vector<CpuPackage> packages;
  std::string topology_source = "hwloc";
  // What all NUMA nodes have, used by us or not, and the machine as a whole (MemTotal).
  std::optional<Bytes> nodes_memory, machine_memory;
  std::optional<double> quota_threads;  // of our cgroup: 2.5 means two and a half
  std::optional<Bytes> memory_limit;    // of our cgroup
};

// "intel/xeon-8480+", "amd/epyc-9654"; "unknown/cpu" if there is nothing to go by.
std::string CpuCatalogueName(std::string_view vendor_id, std::string_view model_name);
// The part before the slash: "intel", "amd", "arm", "unknown".
std::string CpuVendorKey(std::string_view vendor_id);

// One device per package that we may run on; never none, if we run at all.
std::vector<FoundDevice> MakeCpuDevices(const CpuFacts& facts);

// Fills vendor_id, model_name and flags from the text of /proc/cpuinfo.
void ParseCpuInfo(std::string_view text, CpuFacts* facts);
// The share a cgroup leaves: "200000 100000" is 2.0; "max 100000" none.
std::optional<double> ParseCpuMax(std::string_view text);

}  // namespace allot::agent
