// Finds the cheapest way to place a gang, all or none, over the index.
//
// For each class that would do, buckets are walked in the order the policy likes (fullest first or
// emptiest first) and a window of up to kWindow untouched nodes is scored; the least score wins and
// ties go to the smaller node id. What is suspected of failing jobs (quarantine.h) comes after
// everything else. A node that got a task is scored again for the next one.
// Complete: if it finds nothing, nothing fits.
// A gang that the cheapest nodes cannot hold within the caps on power is tried once more on those
// where it draws least (placement_power.cc).
#pragma once

#include <optional>
#include <vector>

#include "policies/api/placement_policy.h"
#include "scheduler/core/placement_index.h"

namespace allot::scheduler {

class PlacementSearch {
 public:
  static constexpr uint32_t kWindow = 8;

  struct Found {
    std::vector<TaskPlacement> tasks;  // by rank, grouped by node in order of id
    uint32_t alternative = 0;
    PriceRate price;  // of the whole gang
  };
  struct Limits {
    const std::vector<bool>* excluded = nullptr;  // classes not to be touched, by ClassId
    std::optional<PriceRate> price_cap;           // of one task
  };

  PlacementSearch(const DeviceClasses& classes, const PlacementIndex& index)
      : classes_(classes), index_(index), trial_(index.power()) {}

  void SetPolicy(const policies::PlacementPolicy* policy) { policy_ = policy; }

  // `work` grows by the nodes looked at. `demand` is resolved.
  std::optional<Found> Find(const Demand& demand, const Limits& limits, uint64_t& work);
  // Necessary for Find to succeed, from bucket sizes alone; costs next to nothing.
  bool MayFit(const Demand& demand, const Limits& limits) const;
  // Did a cap on power refuse anything in the last Find, MayFit or FitsOn?
  bool refused_power() const { return trial_.refused(); }
  // Is there room for one task of it on this node?
  bool FitsOn(const Demand& demand, const Limits& limits, uint32_t node) const;
  // The score and price of one task of the option on a node where it fits; for explanations.
  Cost ScoreOn(const Demand& demand, const DemandOption& option, ClassId c, uint32_t node,
               PriceRate* price) const;

 private:
  static bool Excluded(const Limits& limits, ClassId c) {
    return limits.excluded != nullptr && c < limits.excluded->size() && (*limits.excluded)[c];
  }
  static bool Affordable(const Limits& limits, PriceRate price) {
    return !limits.price_cap || price <= *limits.price_cap;
  }
  // Nodes of the buckets before it have too little free for one task.
  static uint32_t FirstBucket(const Demand& demand, const DemandOption& option);

  struct Candidate {
    uint32_t suspicion = 0;  // those with any are taken only if nothing else fits, the least first
    Cost score;
    uint32_t node = 0;
    uint32_t walk = 0;
    uint32_t taken = 0;
  };
  // Yields the nodes of one class in the policy's order.
  struct Walk {
    ClassId device_class = 0;
    const std::vector<NodeSet>* buckets = nullptr;
    uint32_t first_bucket = 0, bucket = 0, next = 0;
    uint32_t fresh = 0;  // untouched candidates of it in the window that are no suspects
    bool over = false;
  };

  bool PlaceOption(const Demand& demand, const DemandOption& option, const Limits& limits,
                   uint64_t& work, Cost best_so_far);
  void Refill(const Demand& demand, const DemandOption& option, const Limits& limits, uint32_t walk,
              uint64_t& work);
  uint32_t NextNode(Walk& walk) const;
  // With so many tasks of it on the node already, and on the class of it.
  struct Taken {
    uint32_t tasks = 0, of_class = 0;
  };
  bool Fits(const Demand& demand, const DemandOption& option, ClassId c, uint32_t node,
            Taken taken) const;
  // Of the tasks taken there already, at most: which classes they are of is not told apart.
  Bytes MemoryTaken(const Demand& demand, const DemandOption& option, ClassId c, uint32_t node,
                    Taken taken) const;
  // How much is said against the next task's place there: a device, or a node, that fails jobs.
  uint32_t Suspicion(const DemandOption& option, ClassId c, uint32_t node, Taken taken) const;
  PriceRate PriceOf(const Demand& demand, const DemandOption& option, ClassId c,
                    uint32_t node) const;
  Cost Score(const Demand& demand, const DemandOption& option, ClassId c, uint32_t node,
             Taken taken, PriceRate price) const;
  bool MayPower(const Demand& demand, const DemandOption& option, const Limits& limits) const;
  bool PlaceByPower(const Demand& demand, const DemandOption& option, const Limits& limits,
                    uint64_t& work);
  void PickOne(const Demand& demand, const DemandOption& option, ClassId c, uint32_t node);
  Found Collect(const Demand& demand, const DemandOption& option) const;
  void Forget();

  const DeviceClasses& classes_;
  const PlacementIndex& index_;
  const policies::PlacementPolicy* policy_ = nullptr;

  // Scratch of one PlaceOption, kept to spare allocations.
  std::vector<Walk> walks_;
  std::vector<Candidate> window_;
  struct Pick {
    uint32_t node;
    ClassId device_class;
  };
  std::vector<Pick> picks_;
  std::vector<uint32_t> taken_;  // tasks tentatively on a node, by row
  Cost total_;
  PowerTrial trial_;  // power of the tasks so placed
};

}  // namespace allot::scheduler
