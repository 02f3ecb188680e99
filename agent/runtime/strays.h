// What runs and should not: what is left of a process whose supervisor was killed, and processes
// whose records are gone.
#pragma once

#include <set>
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

// Kills the supervisors that write to `logs` for processes that are not in `known`, and what they
// watch: somebody has emptied the state folder under them, so nobody would ever stop them, and
// their devices will be given to others. Those of another mount namespace, where the same path is
// another folder, are left alone. Returns the processes' ids.
std::set<std::string> KillSupervisorsBut(const std::set<std::string>& known,
                                         const std::string& logs);

// When the machine was started, by its present clock.
Time MachineStarted();

}  // namespace allot::agent
