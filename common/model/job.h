// Training and batch jobs: a gang of equal tasks, placed all or none.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/units.h"
#include "common/model/device.h"
#include "common/model/variables.h"

namespace allot {

struct Resources {
  MilliCpu cpus = 1000;
  Bytes memory = 256 * kMiB;
  // Instead: what of the node's memory goes with the devices and processors leased. Only in what
  // people ask for; a lease and a launch always say how much.
  bool memory_share = false;
  bool operator==(const Resources&) const = default;
};

// A task of which at most one attempt may be alive runs by a lease: `lease` after the moment at which
// its node asked for what was granted, its supervisor ends it; and no other attempt begins before
// `margin` after that, by the scheduler's clock, counted from the grant (ADR 27). Half of the margin
// is what the task has between SIGTERM and SIGKILL; the rest is for clocks that differ.
struct LeaseTerms {
  Duration lease{};  // 0: none is needed
  Duration margin{};
  bool needed() const { return lease > Duration{}; }
  Duration grace() const { return margin / 2; }
  bool operator==(const LeaseTerms&) const = default;
};

// kProcess runs argv under a supervisor; kNoop finishes at once on the agent with code 0
// (for measuring the control plane: it leases, journals and reports like any other).
enum class TaskRuntime : uint8_t { kProcess, kNoop };

struct JobSpec {
  std::string name;             // optional; for people
  std::string tenant = "default";
  int32_t priority = 0;         // higher first, within a tenant
  uint32_t tasks = 1;
  std::vector<std::string> command;  // argument vector; never a shell line
  Variables environment;
  std::string work_dir;         // empty: the task's own scratch folder
  Resources resources;          // per task
  std::vector<DeviceRequest> devices;  // alternatives; empty: processor share only
  std::string checkpoint_dir;   // empty: <checkpoint root>/<job id>
  std::optional<Duration> time_limit;  // of one attempt, from the start of its last task
  Duration grace = std::chrono::seconds(10);  // between SIGTERM and SIGKILL
  uint32_t restarts_max = 0;    // after a non-zero exit; node loss always requeues
  // Before the second attempt, doubling with each further failure up to the most. 0: none.
  Duration restart_pause{}, restart_pause_max{};
  TaskRuntime runtime = TaskRuntime::kProcess;
  // No attempt of a task is alive while another one is, even when a node is cut off.
  bool at_most_one = false;
  // What a task may keep in its scratch folder, on disk; absent: as much as its node lets it.
  std::optional<Bytes> scratch_max;
  bool operator==(const JobSpec&) const = default;
};

enum class JobPhase : uint8_t { kPending, kRunning, kStopping, kFinished };
std::string_view ToString(JobPhase phase);  // "pending", "running", "stopping", "finished"

enum class JobOutcome : uint8_t { kSucceeded, kFailed, kCancelled, kTimedOut };
std::string_view ToString(JobOutcome outcome);  // "succeeded", …

// Whose an end is. What is the node's says nothing about the task: it goes elsewhere, and no restart
// is counted. kTask is also what an agent says that knows no causes.
enum class ExitCause : uint8_t {
  kTask,            // it ended by itself, or the kernel ended it for what it did
  kNotStarted,      // of the node: it could not be started (disk full, no descriptors or pids, no
                    // cgroup, no folder, no supervisor); nothing of the task's has run
  kNodeRestarted,   // of the node: the machine went down under it
  kSupervisorLost,  // of the node: what watched it was killed, so how it ended is not known
  kStopped,         // it was told to end: StopTask, or the operator of its node
  kLeaseEnded,      // its lease was not renewed: its supervisor has ended it (LeaseTerms)
};
std::string_view ToString(ExitCause cause);  // "task", "not_started", …
constexpr bool OfTheNode(ExitCause cause) {
  return cause == ExitCause::kNotStarted || cause == ExitCause::kNodeRestarted ||
         cause == ExitCause::kSupervisorLost;
}

// How a task ended. Exactly one of code and signal says why; a task that could not
// be started has code 127 and a message.
struct TaskExit {
  int32_t code = 0;
  int32_t signal = 0;
  std::string message;
  Time started, finished;
  // What its devices drew while it had them, where every one of them is measured.
  std::optional<MilliJoule> energy;
  ExitCause cause = ExitCause::kTask;
  bool operator==(const TaskExit&) const = default;
  // One that was told to end may say 0 as well: that is no word of its work.
  bool succeeded() const { return cause == ExitCause::kTask && code == 0 && signal == 0; }
  // How long it ran by its node's clock; nothing, where it never did.
  Duration ran() const { return started == Time() ? Duration{} : finished - started; }
};

}  // namespace allot
