// The seam for device vendors: a folder here and one line in registry.cc.
//
// A vendor finds its devices, samples them, and reads the signals of their health. Finding has two
// steps. `Discover` reads what the kernel shows and calls nothing of the vendor's. `Enrich` adds
// what only the vendor's library (opened at run time, never linked) or tool knows; it may hang, and
// then the result of the first step stands. Calls of vendors that may hang are made on a thread of
// the vendor's own, and the inventory stops waiting at a deadline; a vendor itself needs no locks.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/devices/health/signal.h"
#include "agent/devices/snapshot.h"
#include "common/model/device.h"

namespace allot::agent {

// A part of a physical device that is scheduled by itself.
struct Partition {
  std::string scheme;         // "mig", "amd-compute", "sriov"
  std::string parent;         // PCI address of the whole
  std::string mode;           // "CPX/NPS1"; empty where the scheme has none
  std::optional<int> gi, ci;  // MIG instances
  std::optional<int> index;   // of AMD partitions and virtual functions
  bool operator==(const Partition&) const = default;
};

// What was measured while discovering, absent where the machine tells nothing.
struct Readings {
  std::optional<double> power_w, temp_c, mem_temp_c, util_pct, energy_j, power_pct_of_max;
};

// Where one fact comes from: {"memory_bytes", "sysfs mem_info_vram_total"}.
struct Fact {
  std::string what, source;
};

struct FoundDevice {
  Device device;
  std::string name;    // the product in words: "H100 SXM5 80GB"
  std::string source;  // the sources in one line: "NVML 550.54", "hwloc, /proc/cpuinfo"

  std::string family;             // "gpu", "gaudi", "neuron", "tpu", "lpu", "rdu", "npu", "ipu"
  std::string pci_id, pci_class;  // "10de:2330", "030200"
  std::string driver;             // the kernel driver it is bound to
  std::string uuid;           // the vendor's own identity, which survives a move to another slot
  std::string memory_source;  // sysfs, kfd, table (nominal), cli, nvml, hlml, level-zero, config
  uint32_t units = 1;         // schedulable parts inside: NeuronCores, chips, elements
  std::optional<Partition> partition;
  std::vector<std::string> warnings;  // pcie_width_degraded, aer_fatal, ecc_uncorrected, resets
  Readings readings;
  std::vector<Fact> facts;

  // A better source takes the place of an earlier one.
  void Tell(std::string what, std::string fact_source) {
    std::erase_if(facts, [&](const Fact& fact) { return fact.what == what; });
    facts.push_back({std::move(what), std::move(fact_source)});
  }
};

struct IgnoredFunction {
  std::string id, why;
  std::string driver = {};  // empty: none is bound to it
};

struct Discovery {
  std::vector<FoundDevice> devices;
  std::vector<std::string> warnings;  // for the log: what was seen and cannot be used, and why
  std::vector<DeviceGroup> groups;
  std::vector<std::string> claimed;      // PCI functions behind devices that are named otherwise
  std::vector<IgnoredFunction> ignored;  // of the whole machine; the inventory fills it
};

class Vendor {
 public:
  virtual ~Vendor() = default;
  virtual std::string_view name() const = 0;
  virtual Discovery Discover(const Snapshot& machine) = 0;
  virtual bool enriches() const { return false; }
  virtual void Enrich(Discovery*) {}
  // Of the devices of the last Discover; only what is really measured.
  virtual std::vector<DeviceTelemetry> Sample() = 0;
  // Everything that health rules may ask of these devices, read now: as cheap as a sample, and
  // asked for as often.
  virtual std::vector<HealthSignal> Signals() { return {}; }
  // Asked after Sample: it has found that the devices are not as the last Discover told them, which
  // is then called again at once.
  virtual bool changed() const { return false; }
  // Reads drivers' files or calls a library that is not ours, so it may hang.
  virtual bool may_hang() const { return false; }
};

}  // namespace allot::agent
