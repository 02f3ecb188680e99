// A job that has room does not wait, unless an older one may hold it back.
//
// Liveness at the end of a run cannot see a wake-up that was lost and made up for by the next
// event. So now and then, right after a step that left nothing to do, every waiting job is looked
// at. This one does ask the core: its explanation, which judges every node anew and shares neither
// the index' buckets nor the queue with the planner.
#pragma once

#include "common/model/job.h"
#include "scheduler/core/core.h"
#include "simulator/checkers/findings.h"

namespace allot::simulator {

class Promptness {
 public:
  explicit Promptness(Findings& findings) : findings_(findings) {}
  void Look(const scheduler::Core& core, Time now);

  // Told only of what asks for one kind of device or none: of alternatives an explanation names the
  // nearest of each node, and a gang has one of them on all.
  static bool WaitsInVain(const scheduler::JobExplanation& why, const JobSpec& spec);

 private:
  static constexpr uint64_t kEvery = 16;  // steps; each costs about as much as ten of them
  Findings& findings_;
  uint64_t steps_ = 0;
};

}  // namespace allot::simulator
