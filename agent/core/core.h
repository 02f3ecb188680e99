// One node as a pure state machine: its tasks, replicas and link to the scheduler.
//
// No clock, no I/O. What must survive the agent lives in the state folder, written by the
// runtime when it performs SpawnTask and SpawnReplica and by each supervisor when its process
// ends; after a restart AgentStarted brings it back, so this core needs no journal of its own.
//
// Rules it keeps: a task key is spawned at most once, ever; a command of another epoch is
// refused; two processes never hold the same device (see device_guard.h); an exit is reported until acknowledged; a replica that dies is started again after a
// backoff that doubles from 1 s to 60 s and starts over after 5 minutes of health.
#pragma once

#include <memory>
#include <optional>

#include "agent/core/events.h"

namespace allot::agent {

struct CoreOptions {
  Duration report_after = std::chrono::seconds(2);     // unacknowledged reports are sent again
  Duration scheduler_silence_max = std::chrono::seconds(10);  // then reconnect and register anew
  // A scheduler that died takes about so long to come back; thousands of nodes that dial nothing
  // meanwhile would only hold it up.
  Duration reconnect_backoff_min = std::chrono::seconds(1);
  Duration reconnect_backoff_max = std::chrono::seconds(5);
  Duration restart_backoff_min = std::chrono::seconds(1), restart_backoff_max = std::chrono::seconds(60);
  Duration restart_backoff_reset = std::chrono::minutes(5);
};

class Core {
 public:
  Core(CoreOptions options, uint64_t seed);   // seed: jitter of the backoff
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  void Step(Time now, const Event& event, Effects& out);
  std::optional<Time> NextWakeup() const;

  Epoch epoch() const;              // invalid until welcomed
  Incarnation incarnation() const;  // of the store that is obeyed, or was last
  bool registered() const;
  // What the node holds, ordered; for `allot-agent` status, metrics and checkers.
  std::vector<TaskStatus> Tasks() const;
  std::vector<ReplicaStatus> Replicas() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace allot::agent
