// The replicas of one node: model servers that are started, probed, restarted and stopped.
//
//   starting ─healthy─► ready ◄─healthy── away ─restart_after─► ending ─exit─► waiting
//      ▲  │               └─failures_max probes─▲                 ▲               │
//      │  └─start_timeout─────────────────────────────────────────┘               │
//      └────────────────────── backoff over: next start ──────────────────────────┘
//   ready, away ─StopReplica─► draining ─idle, or `drain` over─► ending
//   any ─StopReplica─► ending ─exit─► gone (told once, then told again whenever asked)
//
// Whether it may be asked and whether it is alive are two questions (docs/adr/0013): checks that
// fail take a replica off the routes and no more, as a server that is busy answers late and one
// that loads an adapter says 503. Only one that has passed no check for `restart_after`, and of
// whose answers no byte has come all the while, is started again.
//
// A remote one (its devices are an endpoint's) has no process, so nothing of it can be started
// again or ended: after its start_timeout it is away, and probed until it is back.
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
  ReplicaId Named(ReplicaId id) const;  // see TaskMachine
  void Proceed(ReplicaId id, Effects& out);  // its devices are free now

  void Spawned(Time now, const ReplicaSpawned& event, Effects& out);
  void SpawnFailed(Time now, const ReplicaSpawnFailed& event, Effects& out);
  void Exited(Time now, const ReplicaProcessExited& event, Effects& out);
  void Probed(Time now, const HealthProbed& event, Effects& out);
  void Traffic(Time now, const ReplicaTraffic& event);

  void Tick(Time now, Effects& out);

  // What is to be told now: what changed, and with every `every` what is not stable. A ready
  // replica is told again after pauses that double. Called only while registered.
  std::vector<ReplicaStatus> TakeReport(Time now, Duration every);
  std::optional<Time> NextWakeup(bool registered) const;

  std::vector<ReplicaStatus> Statuses() const;  // ordered by id

 private:
  // What the process of the present start does, or what is waited for.
  enum class Life { kBlocked, kSpawning, kStarting, kReady, kAway, kDraining, kEnding, kWaiting };
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
    uint32_t in_flight = 0;  // requests, over all gateways
    Duration grace{}, drain{};
    Duration backoff{};  // before the next start
    Time ready_since, failing_since, idle_since;
    std::optional<Time> flowed;  // when bytes of an answer came last
    Time probe_at;               // while it is watched and no probe is out
    // kStarting: start_timeout; kDraining: its end; kEnding: SIGKILL; kWaiting: restart.
    Time deadline;
    Duration report_pause{};
    std::string message;
    std::string failure;  // what the last check that failed said
  };

  void Traffic(Time now, Replica& replica, const ReplicaTraffic& event);
  void Spawn(Replica& replica, Effects& out);
  void Live(Time now, Replica& replica, Effects& out);
  void Leave(Time now, Replica& replica, Effects& out);
  void Probe(Time now, Replica& replica, Effects& out);
  void AskToEnd(Time now, Replica& replica, Effects& out);
  void Drain(Time now, Replica& replica, Duration drain);
  // When one that is away is started again, unless a check passes or an answer flows before.
  static std::optional<Time> GivenUpAt(const Replica& replica);
  void Ended(Time now, Replica& replica, const std::string& why, Effects& out);
  void Gone(ReplicaId id, Effects& out);
  void Serve(Replica& replica, bool serving, Effects& out);
  void LeaveReady(Time now, Replica& replica, Effects& out);
  void Advance(Time now, Replica& replica, Effects& out);
  void Plan(const Replica& replica);
  void Changed(Replica& replica);
  Replica* Find(ReplicaId id, uint32_t start);
  ReplicaStatus StatusOf(const Replica& replica) const;
  static ReplicaPhase PhaseOf(const Replica& replica);
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
