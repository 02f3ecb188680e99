// What runs and should not: what is left of a process whose supervisor was killed, and processes
// whose records are gone.
//
// A process may leave its group and its session, clear its environment and close what it was given;
// whose child it is it cannot choose. While its supervisor lives, whatever it started is below that
// one. When the supervisor is killed, all of it falls to the agent, if that has started it
// (FallToUs): then everything is found. Under an agent that came later it falls to the init of the
// machine, and is known by its session, by ALLOT_SCRATCH_DIR in its environment, or because it was
// seen below its supervisor before (SeenBelow): only what was born a moment before, left its
// session and cleared its environment gets away. Where cgroups end a process whole
// (agent/isolation) nothing does.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>

#include "agent/runtime/process_tree.h"
#include "common/base/units.h"

namespace allot::agent {

// From now on this program is what orphans of its supervisors fall to (PR_SET_CHILD_SUBREAPER).
void FallToUs();
// Supervisors that this program has started and not yet waited for. Of the whole program, since so
// are its children. Loop threads of several agents in one program may call at once. `start` returns
// an errno; what it starts is known before anybody looks for strays.
int StartOwnSupervisor(pid_t* pid, const std::function<int(pid_t*)>& start);
void AddOwnSupervisor(int64_t pid);     // that an agent before us has started
void RemoveOwnSupervisor(int64_t pid);  // gone
// Whether orphans are known for ours by being our children: the init of a container has those of
// everybody.
bool OrphansAreOurs();

// Waits for orphans that fell to us and have ended: of supervisors, and of tools that we run. Now
// and then.
void ReapOrphans();

// What runs below each of these supervisors now. Reads all of /proc: not for the loop.
std::map<int64_t, std::set<ProcessIdentity>> SeenBelow(const std::set<int64_t>& supervisors);

// Of one process whose supervisor is gone.
class Strays {
 public:
  // `started`: when the process was. Nothing is done if the machine was started anew since, nor by
  // session if that pid leads a session again that began later: a stranger is left alone. `seen`:
  // what was below the supervisor when that was looked at last.
  Strays(int64_t supervisor_pid, Time started, std::set<ProcessIdentity> seen = {});
  // Kills what it finds, and what those have started. True: nothing of it runs any more. To be
  // called again until then, as some take a while to die and what they leave behind is found next.
  // Neither waits nor touches anything of the processes that they could hold up.
  bool Kill();
  size_t found() const { return found_.size(); }

 private:
  bool KillOrphans();

  const int64_t supervisor_pid_;
  const Time started_;
  const std::set<ProcessIdentity> seen_;
  std::set<ProcessIdentity> found_;
};

// Kills whoever has `scratch`, the process's own folder, as ALLOT_SCRATCH_DIR in its environment.
// Reads memory of processes, so it may hang: not for the loop (errands.h).
void KillByEnvironment(const std::string& scratch, Time started);

// All of the above at once, again and again until nothing is left of it or some seconds have
// passed. Not for the loop.
void KillStrays(int64_t supervisor_pid, Time started, const std::string& scratch);

// Kills the supervisors that write to `logs` for processes that are not in `known`, and what they
// watch: somebody has emptied the state folder under them, so nobody would ever stop them, and
// their devices will be given to others. Those of another mount namespace, where the same path is
// another folder, are left alone. Returns the processes' ids. Not for the loop.
std::set<std::string> KillSupervisorsBut(const std::set<std::string>& known,
                                         const std::string& logs);

}  // namespace allot::agent
