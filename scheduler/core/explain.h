// Why a job waits, and what would change that: data from closed lists.
#pragma once

#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/model/job.h"

namespace allot::scheduler {

enum class WaitReason : uint8_t {
  kNoNodes,           // no node is alive
  kNoMatchingDevice,  // nodes have no device of the model or kind asked for
  kDevicesBusy,       // they have, but leased
  kDevicesUnhealthy,
  kDevicesQuarantined,  // out of service for failing jobs, or by an operator's word
  kDevicesNotJoined,    // enough of them, but not in one fabric or not side by side
  kIsolation,           // nodes have devices that would do if they isolated more
  kTooLittleMemory,
  kTooFewCpus,
  kNodesDraining,
  kNodesUnfit,          // they say that they can start nothing: NodeInfo::unfit
  kNodesQuarantined,    // the same, or on probation with the one job it may have
  kNodesWithoutLeases,  // NodeInfo::task_leases
  kTooLittleScratch,    // NodeInfo::scratch_max
  kNodesLost,
  kGangTooWide,      // some tasks fit, not all at once
  kGangMixed,        // they would, over devices of several vendors or several alternatives
  kPaused,           // after a failed attempt; `detail` says until when
  kRollsInPlace,     // a new replica has no room beside the old ones, so one of those ends first
  kBehindInQueue,    // jobs ahead in its queue or tenant
  kHeldForOlderJob,  // QueueKnobs::head_hold_after
  kPriceCap,
  kPowerCap,  // of a node, its rack or the cluster: PowerCaps
};
std::string_view ToString(WaitReason reason);  // "devices_busy", …

struct Reason {
  WaitReason reason;
  uint32_t count = 0;  // nodes (or jobs ahead) it is true of
  std::string detail;  // "3 nodes have nvidia/h100* but fewer than 4 free"
};

struct JobExplanation {
  JobId job;
  JobPhase phase = JobPhase::kPending;
  bool never = false;  // no node that was ever registered could run it, even when empty
  std::vector<Reason> reasons;
  std::vector<std::string>
      remedies;  // what would change the answer: "1 more node with 2 free GPU devices"
  Duration waited{};
  // What may go wrong with it as things are: a copy of it that nobody can stop.
  std::vector<std::string> warnings;
  struct Candidate {  // best nodes, cheapest first; for a running job the ones it has
    std::string node;
    std::string device_model;
    bool emulated = false;
    Isolation isolation = Isolation::kHard;  // the least of its devices
    PriceRate price;
    Cost score;
    std::string verdict;  // "fits", "2 of 4 devices free", …
  };
  std::vector<Candidate> candidates;
};

enum class RolloutState : uint8_t {
  kReady,     // as many as wanted, all of this generation, and no others are left
  kStarting,  // too few of this generation are ready
  kUpdating,  // some of an earlier one, or more than are wanted, are still there
  kStopping,  // it was undeployed
};
std::string_view ToString(RolloutState state);  // "ready", …

struct Rollout {
  RolloutState state = RolloutState::kStarting;
  uint32_t wanted = 0;
  uint32_t placed = 0, ready = 0;       // of this generation, and to stay
  uint32_t older = 0, older_ready = 0;  // of earlier ones, also those that end
  uint32_t ending = 0;                  // of whatever generation
  std::string message;                  // why one of this generation is not ready; may be empty
};

enum class WaitDetail : uint8_t { kCounts, kReasons };

// Replicas of one group that are wanted and have no place.
struct ReplicaWait {
  uint32_t group = 0;
  uint32_t count = 0;
  std::vector<Reason> reasons;
};

}  // namespace allot::scheduler
