// The processors of a whole machine as sysfs and procfs describe them, live or recorded: what
// `--discover` prints, and on a recorded machine also what there is to offer.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/devices/cpu/cpu_facts.h"
#include "agent/devices/host/host.h"

namespace allot::agent {

struct NumaNode {
  uint32_t id = 0;
  std::string cpulist;  // "0-55,112-167"; empty for a node of memory alone
  std::optional<Bytes> memory;
};

struct CpuMachine {
  std::string arch;                     // "x86_64", "aarch64"; empty if /proc/cpuinfo does not tell
  std::string vendor_id;                // "GenuineIntel", "ARM"
  std::string model_name;               // "Intel(R) Xeon(R) Platinum 8480+", "Neoverse-V2"
  std::string name;                     // catalogue name
  std::vector<std::string> flags, isa;  // all; those for vectors and matrices
  std::optional<uint32_t> sockets, cores, threads;
  std::vector<NumaNode> numa_nodes;          // without those of devices
  std::optional<Bytes> memory;               // of the machine, without that of devices
  std::optional<std::string> energy_source;  // "powercap"
  std::string platform;                      // "bare-metal", "aws", "gcp", "azure", "oci", "vm"
  std::vector<CpuPackage> packages;
};

// NUMA nodes that are the memory of a device: on Grace with Hopper or Blackwell the driver makes a
// GPU's memory part of the kernel's. It is the GPU's all the same, and none of the host's. A node
// without processors alone is no sign: CXL memory has one too.
std::set<uint32_t> NumaNodesOfDevices(const Host& host);

// A tree may show the topology of the first processor of each socket only; a machine shows all.
CpuMachine ReadCpuMachine(const Host& host);

}  // namespace allot::agent
