// What is left of a process whose supervisor was killed.
#pragma once

#include <string>

#include "common/base/units.h"

namespace allot::agent {

// Kills what the process has started and what they have started: whoever has `scratch`, the
// process's own folder, as ALLOT_SCRATCH_DIR in its environment, and whoever is still in the dead
// supervisor's session. Only one that left the session and cleared its environment gets away.
//
// `started`: when the process was. Nothing is done if the machine was started anew since, nor by
// session if that pid leads a session again that began later: a stranger is left alone.
void KillStrays(int64_t supervisor_pid, Time started, const std::string& scratch);

}  // namespace allot::agent
