// What is left of a process whose supervisor was killed.
#pragma once

#include "common/base/units.h"

namespace allot::agent {

// Kills the members of process group `pid` in the session of the dead supervisor. Both numbers
// must fit, and the machine must not have been started anew since `started`, so that a stranger
// who was given one of them is left alone.
void KillStrays(int64_t supervisor_pid, int64_t pid, Time started);

}  // namespace allot::agent
