// Gives waiting jobs their chance, in the order of the queue policy, within a budget for each step.
//
// Planning goes in rounds. A round begins with the shapes that something has grown for since the
// last one; each line that may succeed is tried once a job until its shape is found not to fit.
// A round that outlasts a step goes on in the next, so every line gets its try however much changes
// meanwhile.
//
// The oldest job that has waited longer than head_hold_after keeps younger ones off the classes it
// wants, unless the queue policy ranks their tenant strictly before its own.
#pragma once

#include <vector>

#include "scheduler/core/delivery.h"
#include "scheduler/core/ledger.h"

namespace allot::scheduler {

class Planner {
 public:
  Planner(Ledger& ledger, Delivery& delivery) : ledger_(ledger), delivery_(delivery) {}

  // True if it stopped at its budget and would go on at once.
  bool Run(Effects& out);

  // Is this pending job kept back for an older one now? That one, or invalid.
  JobId HeldFor(const JobState& job) const;

 private:
  struct Holder {
    JobId job;
    int64_t rank = 0;
    std::vector<bool> classes;  // it wants, by ClassId
    bool operator==(const Holder&) const = default;
  };
  void FindHolders();
  // True if it has let go any line.
  bool LetGo();
  // Does it keep anything that a job of this age, rank and demand wants?
  static bool Holds(const Holder& holder, JobId job, int64_t rank, const Demand& demand);
  // Classes the line's first job may not touch; null if that is none it wants.
  const std::vector<bool>* ExcludedFor(const Line& line, const Demand& demand);
  bool BeginRound();
  bool Recheck();
  void BlockHopeless();
  void NoteRefusal(Shape& shape);
  bool Try(LineId id, Effects& out);
  void Place(const JobState& job, PlacementSearch::Found found, Effects& out);
  uint16_t PortFor(const JobState& job, NodeId node) const;
  bool Spent() const { return work_ >= kWorkMax || tried_ >= ledger_.options().plan_attempts_max; }

  // About 2 ms: a unit is a node looked at or a fraction of a record.
  static constexpr uint64_t kWorkMax = 6'000;
  static constexpr uint64_t kWorkPerTry = 4, kWorkPerTask = 8;
  static constexpr uint32_t kHeadsLookedAt = 16;

  Ledger& ledger_;
  Delivery& delivery_;
  std::vector<ShapeId> recheck_;  // blocked shapes of this round that are still to be looked at
  size_t rechecked_ = 0;
  std::vector<ShapeId> hopeless_;  // scratch
  std::vector<Holder> holders_;
  bool holders_stale_ = false;    // what a holder lacks has turned out to be power
  bool holders_changed_ = false;  // or whom they may hold, since LetGo looked
  uint64_t standings_seen_ = 0;   // PendingQueue::standings when holders were found
  std::vector<bool> excluded_;
  uint64_t work_ = 0, looked_at_ = 0;
  uint32_t tried_ = 0, placed_ = 0;
  bool scarcer_ = true;  // something may have been taken since BlockHopeless looked
};

}  // namespace allot::scheduler
