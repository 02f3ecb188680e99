// What may go wrong, how often in this run, and how often it did.
//
// Each seed draws its own mix: some kinds on, some off, each with its own rate. So rare pairs
// of faults meet in some seeds, and others stay calm enough to get far.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/rng.h"
#include "common/base/status.h"
#include "common/base/units.h"

namespace allot::simulator {

enum class Fault : uint8_t {
  kMessageLoss,
  kMessageDelay,
  kMessageDuplicate,
  kMessageReorder,
  kPartition,        // scheduler and node: silence both ways for a while
  kLinkBreak,        // a connection is reset; both ends may hear of it
  kSchedulerCrash,   // and restart
  kUnsyncedLoss,     // at the crash, the batch being written is lost (else it turns out durable)
  kSnapshotRestart,  // the restart reads a snapshot and the records after it, not all records
  kSlowDisk,
  kAgentCrash,  // its tasks live on
  kNodeCrash,   // its tasks die, its state folder survives
  kNodeWipe,    // … and its state folder does not
  kTaskFailure,
  kTaskIgnoresTerm,
  kSpawnFailure,
  kReplicaCrash,
  kReplicaSick,
  kDeviceChange,  // a device fails or comes back
  kClockSkew,     // a node's clock is wrong
  kTickJitter,    // timers fire late
  kGatewayCrash,
  kGatewayLinkBreak,
  kClientGone,
  kSchedulerPause,  // it stands still for a while: its messages wait unread, its timers are late
  kBlackHole,       // a device, or a node, fails each task within a second, for a while
  kStoreRestored,   // at a crash the store is put back to what it was a while ago
  kAgentPause,      // it stands still for a while, and its messages wait unread; its tasks do not
};
inline constexpr size_t kFaultKinds = 28;
std::string_view ToString(Fault fault);

class FaultSet {
 public:
  static FaultSet All();
  static FaultSet None() { return {}; }
  // "all", "none", or names with commas between: "message_loss,node_crash".
  static StatusOr<FaultSet> Parse(std::string_view text);
  bool Has(Fault fault) const { return (bits_ >> static_cast<unsigned>(fault)) & 1; }
  void Add(Fault fault) { bits_ |= uint64_t{1} << static_cast<unsigned>(fault); }

 private:
  uint64_t bits_ = 0;
};

using FaultCounts = std::array<uint64_t, kFaultKinds>;

// The faults of one run. Owned by the world; draws from the world's generator.
class Faults {
 public:
  Faults(FaultSet allowed, Rng& rng);
  // Does it strike now? `permille` at the seed's full strength; counted when it does.
  bool Strikes(Fault fault, uint32_t permille);
  bool Enabled(Fault fault) const { return !healed_ && strength_[Index(fault)] > 0; }
  void Count(Fault fault) { ++counts_[Index(fault)]; }
  void Heal() { healed_ = true; }
  bool healed() const { return healed_; }
  const FaultCounts& counts() const { return counts_; }

 private:
  static size_t Index(Fault fault) { return static_cast<size_t>(fault); }
  Rng& rng_;
  std::array<uint32_t, kFaultKinds> strength_{};  // percent
  FaultCounts counts_{};
  bool healed_ = false;
};

}  // namespace allot::simulator
