// Many seeds on all cores: worker processes, so that a failed CHECK of a core ends one seed and not
// the run, and its seed is still known.
#pragma once

#include <cstdint>
#include <string>

#include "simulator/world.h"

namespace allot::simulator {

struct RunOptions {
  uint64_t first = 1, count = 1;
  uint64_t events = 2'000;
  uint32_t jobs = 1;
  std::string faults = "all";
  bool progress = true;  // every 2 s on standard error
};

struct RunTotals {
  uint64_t seeds = 0, steps = 0, jobs = 0, spawned = 0, requests = 0, scheduler_lives = 0;
  uint64_t black_holes = 0;
  FaultCounts faults{};
  uint64_t failed = 0;
  Duration slowest_finish{};  // virtual, from the heal to all finished
  double seconds = 0;
};

// Prints what failed on standard output as it happens, with the command that repeats it.
StatusOr<RunTotals> RunSeeds(const RunOptions& options);
std::string RepeatCommand(uint64_t seed, uint64_t events, const std::string& faults);
std::string Summary(const RunTotals& totals);

}  // namespace allot::simulator
