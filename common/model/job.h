// Training and batch jobs: a gang of equal tasks, placed all or none.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/units.h"
#include "common/model/device.h"

namespace allot {

struct Resources {
  MilliCpu cpus = 1000;
  Bytes memory = 256 * kMiB;
  bool operator==(const Resources&) const = default;
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
  std::map<std::string, std::string> environment;
  std::string work_dir;         // empty: the task's own scratch folder
  Resources resources;          // per task
  std::vector<DeviceRequest> devices;  // alternatives; empty: processor share only
  std::string checkpoint_dir;   // empty: <checkpoint root>/<job id>
  std::optional<Duration> time_limit;  // of one attempt, from the start of its last task
  Duration grace = std::chrono::seconds(10);  // between SIGTERM and SIGKILL
  uint32_t restarts_max = 0;    // after a non-zero exit; node loss always requeues
  TaskRuntime runtime = TaskRuntime::kProcess;
  bool operator==(const JobSpec&) const = default;
};

enum class JobPhase : uint8_t { kPending, kRunning, kStopping, kFinished };
std::string_view ToString(JobPhase phase);  // "pending", "running", "stopping", "finished"

enum class JobOutcome : uint8_t { kSucceeded, kFailed, kCancelled, kTimedOut };
std::string_view ToString(JobOutcome outcome);  // "succeeded", …

// How a task ended. Exactly one of code and signal says why; a task that could not
// be started has code 127 and a message.
struct TaskExit {
  int32_t code = 0;
  int32_t signal = 0;
  std::string message;
  Time started, finished;
  // What its devices drew while it had them, where every one of them is measured.
  std::optional<MilliJoule> energy;
  bool operator==(const TaskExit&) const = default;
  bool succeeded() const { return code == 0 && signal == 0; }
};

}  // namespace allot
