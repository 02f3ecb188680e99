// Devices: what a node has, and what work asks for.
//
// `kind` is the only closed list. Vendor and model are catalogue strings
// ("nvidia/h100-sxm-80g"); a new vendor needs no new code here.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/units.h"

namespace allot {

enum class DeviceKind : uint8_t { kGpu, kCpu, kAsic };
std::string_view ToString(DeviceKind kind);  // "GPU", "CPU", "ASIC"
std::optional<DeviceKind> ParseDeviceKind(std::string_view text);

// Only a ready device takes new work. kDraining and kQuarantined are verdicts of health rules:
// the first ends with its cause, the second when an operator or a restart of the agent ends it.
enum class DeviceState : uint8_t {
  kReady, kUnhealthy, kNoDriver, kReserved, kUnsupported, kDraining, kQuarantined,
};
std::string_view ToString(DeviceState state);  // "ready", "unhealthy", …

// How far the work on a device is kept apart from other work on its node, from least to most. A
// request may demand at least one of them.
enum class Isolation : uint8_t {
  kShared,  // other processes of the node can open it: the host or the vendor cannot keep them out
  kNone,    // engines and memory are shared with other leases of the same chip: time slices, MPS
  kMemory,  // memory of its own, engines shared
  kHard,    // engines and memory of its own
};
std::string_view ToString(Isolation isolation);  // "shared", "none", "memory", "hard"
std::optional<Isolation> ParseIsolation(std::string_view text);

// One device as its agent describes it. Unknown stays absent, never 0.
struct Device {
  std::string id;      // stable on its node: PCI address, "cpu0", "emu3"
  DeviceKind kind = DeviceKind::kGpu;
  std::string vendor;  // key of the folder that handles it: "nvidia"
  std::string model;   // catalogue name: "nvidia/h100-sxm-80g"
  std::optional<Bytes> memory;
  int64_t cores = 0;   // CPU kind: physical or hardware threads offered as processor share
  int32_t numa_node = -1;
  DeviceState state = DeviceState::kReady;
  bool emulated = false;  // Work runs on the host's CPU. Shown wherever the device is.
  // The vendor's variable that shows a process this device only, and this device's word in it.
  std::string visible_variable;  // "CUDA_VISIBLE_DEVICES"; empty where none is known
  std::string visible_value;     // "0", "GPU-…"
  std::vector<std::string> nodes;     // device files of it alone: /dev/nvidia0 …
  std::vector<std::string> shared_nodes;  // those it needs and others too: /dev/nvidiactl, /dev/kfd
  std::vector<std::string> features;  // instruction sets, compute capability: "amx_bf16"

  Isolation isolation = Isolation::kHard;
  bool configured = false;  // declared in the agent's config, not found on the machine
  std::string parent;       // the physical device that this is a part or a share of; empty: whole
  int32_t part_millis = 1000;  // how much of it: thousandths of its price in the price book
  std::string uuid;         // the vendor's own identity, as its exporters label it; may be empty
  std::optional<MilliWatt> power_max;  // what it draws at most: its power limit, or the catalogue's
  std::optional<PriceRate> price;      // a contract's, from the agent's config; else the price book's
  std::string endpoint;     // where it answers, if it is not in this machine: "https://…"
  std::map<std::string, std::string> environment;  // further variables a process on it needs
  std::vector<std::string> health;     // why health rules look at it: "xid_79", "ecc_uncorrected"
  bool operator==(const Device&) const = default;
};

// Devices that a fast fabric joins, or the chips of one card. Part of NodeInfo.
//
// `kind` says which sets of members a task may get (scheduler/core/topology.h): of a
// "neuronlink-ring", a "neuronlink-torus" and a "tpu-slice" only those the runtime can use; the
// others are islands, which are left whole where that is possible.
struct DeviceGroup {
  std::string kind;                  // "nvswitch-fabric", "nvlink", "xgmi-hive", "tpu-slice", …
  std::vector<std::string> members;  // device ids, in the fabric's order
  std::string shape;  // "2,4,1" where the fabric has one; "line": a ring that does not close
  bool operator==(const DeviceGroup&) const = default;
};

// What an agent samples; base units; absent where the source gives none.
struct DeviceTelemetry {
  std::string id;
  std::optional<double> power_watts, temperature_celsius, utilization_ratio, energy_joules;
  std::optional<Bytes> memory_used;
  std::optional<double> memory_temperature_celsius;  // for the agent's own metrics; does not travel
};

// A wish for devices. Empty fields match anything; `model` may hold * and ?.
struct DeviceRequest {
  std::optional<DeviceKind> kind;
  std::string vendor;
  std::string model;
  uint32_t count = 1;   // accelerators per task; for kind CPU the task's cpus are what counts
  std::optional<Bytes> min_memory;
  double worth = 1.0;   // speed on this alternative relative to the others; > 0
  std::optional<Isolation> isolation;  // at least
  bool joined = false;  // all devices of a task in one DeviceGroup
  bool operator==(const DeviceRequest&) const = default;
};

bool GlobMatch(std::string_view pattern, std::string_view text);
// Does `device` (in whatever state) satisfy every field but count?
bool Matches(const DeviceRequest& request, const Device& device);

// A set of accelerators of one node, by position in NodeInfo::devices.
class DeviceSet {
 public:
  static constexpr uint32_t kMax = 128;
  void Add(uint32_t i) { words_[i >> 6] |= uint64_t{1} << (i & 63); }
  void Remove(uint32_t i) { words_[i >> 6] &= ~(uint64_t{1} << (i & 63)); }
  bool Has(uint32_t i) const { return (words_[i >> 6] >> (i & 63)) & 1; }
  uint32_t Count() const {
    return static_cast<uint32_t>(std::popcount(words_[0]) + std::popcount(words_[1]));
  }
  bool Empty() const { return (words_[0] | words_[1]) == 0; }
  bool Intersects(const DeviceSet& o) const {
    return (words_[0] & o.words_[0]) != 0 || (words_[1] & o.words_[1]) != 0;
  }
  DeviceSet operator|(const DeviceSet& o) const { return Make(words_[0] | o.words_[0], words_[1] | o.words_[1]); }
  DeviceSet operator&(const DeviceSet& o) const { return Make(words_[0] & o.words_[0], words_[1] & o.words_[1]); }
  DeviceSet Minus(const DeviceSet& o) const { return Make(words_[0] & ~o.words_[0], words_[1] & ~o.words_[1]); }
  bool operator==(const DeviceSet&) const = default;
  std::array<uint64_t, 2> words() const { return words_; }
  static DeviceSet Make(uint64_t low, uint64_t high) { DeviceSet s; s.words_ = {low, high}; return s; }
  // Calls f(index) in rising order.
  template <class F>
  void ForEach(F f) const {
    for (uint32_t w = 0; w < 2; ++w)
      for (uint64_t bits = words_[w]; bits != 0; bits &= bits - 1)
        f(w * 64 + static_cast<uint32_t>(std::countr_zero(bits)));
  }

 private:
  std::array<uint64_t, 2> words_{};
};

}  // namespace allot
