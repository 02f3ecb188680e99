// Real timeouts in tests. One that is short enough to pass quickly is too short where the machine
// holds a process up for that long, so it is tried again, longer each time: how the test ends does
// not depend on how fast the machine is.
#pragma once

#include <chrono>
#include <functional>

namespace allot {

// False if no pace up to a minute went well.
inline bool AtSomePace(const std::function<bool(std::chrono::milliseconds)>& attempt) {
  for (std::chrono::milliseconds pace{50}; pace <= std::chrono::minutes(1); pace *= 4)
    if (attempt(pace)) return true;
  return false;
}

}  // namespace allot
