// The replicas of one node: model servers that are started, probed, restarted and stopped.
//
//   starting ─healthy─► ready ─failures_max probes─► unhealthy (being ended) ─exit─► waiting
//      ▲  └─start_timeout─────────────────────────────▲                                │
//      └──────────────── backoff over: next start ─────────────────────────────────────┘
//   any ─StopReplica─► stopping ─exit─► gone (told once, then told again whenever asked)
//
// A remote one (its devices are an endpoint's) has no process, so nothing of it can be started
// again or ended: where the others are ended for their health it is away, and probed until it is
// back.
//
//   starting ─healthy─► ready ─failures_max probes─► away ─healthy─► ready
//      └─start_timeout───────────────────────────────▲
//   any ─StopReplica─► gone
//
// Its devices are the replica's from before its first start until it is gone.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/core/agenda.h"
#include "agent/core/core.h"
#include "agent/core/device_guard.h"
#include "agent/core/key_memory.h"

namespace allot::agent {

class ReplicaMachine {
 public:
  ReplicaMachine(const CoreOptions& options, DeviceGuard& devices);

  void Found(Time now, const FoundReplica& found, Effects& out);
  void Start(Time now, const StartReplica& command, Effects& out);
  void Stop(Time now, const StopReplica& command, Effects& out);
  void Proceed(ReplicaId id, Effects& out);  // its devices are free now

  void Spawned(Time now, const ReplicaSpawned& event, Effects& out);
  void SpawnFailed(Time now, const ReplicaSpawnFailed& event, Effects& out);
  void Exited(Time now, const ReplicaProcessExited& event, Effects& out);
  void Probed(Time now, const HealthProbed& event, Effects& out);

  void Tick(Time now, Effects& out);

  // What is to be told now: what changed, and with every `every` what is not stable. A ready
  // replica is told again after pauses that double. Called only while registered.
  std::vector<ReplicaStatus> TakeReport(Time now, Duration every);
  std::optional<Time> NextWakeup(bool registered) const;

  std::vector<ReplicaStatus> Statuses() const;  // ordered by id

 private:
  // What the process of the present start does, or what is waited for.
  enum class Life { kBlocked, kSpawning, kStarting, kReady, kAway, kEnding, kWaiting };
  struct Replica {
    ReplicaId id;
    ReplicaLaunch launch;
    Life life = Life::kSpawning;
    bool remote = false;
    bool stop = false;  // the scheduler wants it gone
    bool kill_sent = false, serving = false, probing = false, in_report = false;
    uint32_t start = 1;     // number of the present process
    uint32_t failures = 0;  // probes in a row
    int64_t pid = 0;
    uint16_t port = 0;
    Duration grace{};
    Duration backoff{};  // before the next start
    Time ready_since;
    Time probe_at;  // while it is watched and no probe is out
    Time deadline;  // kStarting: start_timeout; kEnding: SIGKILL; kWaiting: restart
    Duration report_pause{};
    std::string message;
  };

  void Spawn(Replica& replica, Effects& out);
  void Live(Time now, Replica& replica, Effects& out);
  void Unhealthy(Time now, Replica& replica, Effects& out);
  void AskToEnd(Time now, Replica& replica, Effects& out);
  void Ended(Time now, Replica& replica, const std::string& why, Effects& out);
  void Gone(ReplicaId id, Effects& out);
  void Serve(Replica& replica, bool serving, Effects& out);
  void LeaveReady(Time now, Replica& replica, Effects& out);
  void Advance(Time now, Replica& replica, Effects& out);
  void Plan(const Replica& replica);
  void Changed(Replica& replica);
  Replica* Find(ReplicaId id, uint32_t start);
  ReplicaStatus StatusOf(const Replica& replica) const;
  static bool Watched(const Replica& replica) {
    return replica.life == Life::kStarting || replica.life == Life::kReady ||
           replica.life == Life::kAway;
  }

  const CoreOptions options_;
  DeviceGuard& devices_;
  std::map<ReplicaId, Replica> replicas_;
  KeyMemory<ReplicaId> gone_;
  std::set<ReplicaId> gone_changed_;  // to be told as gone
  std::vector<ReplicaId> changed_;
  Agenda<ReplicaId> due_;   // probes, deadlines
  Agenda<ReplicaId> told_;  // repeats of what was told
};

}  // namespace allot::agent
