// The tasks of one node, from StartTask to the acknowledged exit.
//
// A key is spawned at most once: what runs, what has ended and is not acknowledged, and what
// was forgotten lately are all remembered. Nothing here is done per task and step: a step costs
// the tasks it is about, and repeats come from queues in order of their time.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "agent/core/agenda.h"
#include "agent/core/core.h"
#include "agent/core/device_guard.h"
#include "agent/core/key_memory.h"

namespace allot::agent {

class TaskMachine {
 public:
  TaskMachine(const CoreOptions& options, DeviceGuard& devices);

  void Found(const FoundTask& found);
  void Start(Time now, const StartTask& command, Effects& out);
  void Stop(Time now, const StopTask& command, Effects& out);
  void Acknowledge(const AckTasks& command, Effects& out);
  // The key by which the node has it: a scheduler that knows of no incarnations leaves that out.
  TaskKey Named(const TaskKey& key) const;
  void Proceed(Time now, const TaskKey& key, Effects& out);  // its devices are free now
  // Only what the scheduler has granted is handed on, counted from when it was asked for: so the
  // scheduler always takes a lease for longer than the supervisor that has it.
  void Granted(Time now, const GrantLeases& grant, Effects& out);

  void Spawned(Time now, const TaskSpawned& event, Effects& out);
  void SpawnFailed(Time now, const TaskSpawnFailed& event);
  void Exited(const TaskProcessExited& event);
  void Progressed(const TaskProgressed& event);

  // SIGKILL to those whose grace is over.
  void Tick(Time now, Effects& out);

  // What is to be told now: what changed, and what was told and not acknowledged in time.
  // Called only while registered.
  std::vector<TaskStatus> TakeReport(Time now);
  // Tasks whose leases are to be asked for now; all of them with each heartbeat.
  std::vector<TaskKey> TakeLeasesToAsk(bool heartbeat);
  void AskForLeases() { ask_leases_ = true; }
  std::vector<TaskStatus> TakeProgress();  // running tasks whose progress changed
  std::optional<Time> NextWakeup(bool registered) const;

  std::vector<TaskStatus> Statuses() const;  // ordered by key

 private:
  struct Task {
    TaskStatus status;
    std::optional<Duration> stop_grace;  // asked to stop; how long SIGTERM gets
    bool stop_sent = false, kill_sent = false;
    bool in_report = false;  // stands in changed_
    bool has_folder = false;
    std::unique_ptr<TaskLaunch> waiting;  // not spawned yet: for its devices, or for its lease
    bool has_devices = false;
    LeaseTerms terms;
    Time lease_until;         // by the last grant
    Time kill_at;             // once asked to stop
    Time report_due;          // its one valid entry of exits_told_
    Duration report_pause{};  // kRunning: doubles with every repeat
  };

  void Changed(Task& task);
  void SpawnIfReady(Time now, Task& task, Effects& out);
  void End(Task& task, TaskExit exit);
  void AskToEnd(Time now, Task& task, Effects& out);
  void Told(Time now, Task& task);
  void DropStaleRepeats();
  Task* Find(const TaskKey& key);

  const CoreOptions options_;
  DeviceGuard& devices_;
  std::map<TaskKey, Task> tasks_;
  KeyMemory<TaskKey> forgotten_;
  std::vector<TaskKey> changed_;
  std::set<TaskKey> progressed_;
  std::set<TaskKey> leased_;  // have not ended, and need a lease
  bool ask_leases_ = false;
  Agenda<TaskKey> kills_;
  Agenda<TaskKey> running_told_;
  // Exits that were told and not acknowledged. All wait equally long, so arrival order is time
  // order; an entry whose time is not its task's report_due is stale.
  std::deque<std::pair<Time, TaskKey>> exits_told_;
};

}  // namespace allot::agent
