// The record of one process: one file, written by the agent before the process exists and
// appended to by the supervisor (agent/supervisor/protocol.h tells the lines).
//
//   allot-process 1 <bytes of the launch> <port or 0> [<boot id>]
//   <the launch: a wire.Message with start_task or start_replica>
//   starting
//   running …
//   exit …
//
// One file and not a folder of three: creating files is a third of what a short task costs.
// Whoever holds the flock on it is the supervisor, alive.
//
// The boot id is that of the kernel under which it was started: under another one nothing of it can
// be left, and its pids are strangers'. Records of before it was written have none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/core/events.h"
#include "common/base/status.h"

namespace allot::agent {

struct ProcessLaunch {
  std::variant<StartTask, StartReplica> what;  // without an epoch
  uint16_t port = 0;                           // replicas: where the model server listens
};

struct ProcessRecord {
  ProcessLaunch launch;
  bool started = false;  // without it nothing was ever run
  struct Running {
    int64_t supervisor_pid = 0, pid = 0;
    Time at;
  };
  std::optional<Running> running;
  bool lease_ended = false;      // it was told to end for that
  std::optional<TaskExit> exit;  // also set when the process could not be started: 126 or 127
  std::string boot_id;           // empty: not written down
};

std::string FormatLaunch(const ProcessLaunch& launch, std::string_view boot_id = "");
// What the supervisor has written; `launch` is for messages only. Unknown lines are skipped.
void ParseSupervisorLines(std::string_view lines, ProcessRecord* record);
StatusOr<ProcessRecord> ParseRecord(std::string_view content);

// How a process ended whose supervisor is gone and left no exit, under the same kernel. The fault
// is the node's: it is six kilobytes that touch nothing, so whoever killed it came from outside.
TaskExit SupervisorKilled(const ProcessRecord& record, Time now);

// "job-17.0.1" and "replica-3.2"; nullopt for anything else.
std::optional<TaskKey> TaskOfProcess(std::string_view id);
struct ReplicaStart {
  ReplicaId id;
  uint32_t start = 0;
};
std::optional<ReplicaStart> ReplicaOfProcess(std::string_view id);

}  // namespace allot::agent
