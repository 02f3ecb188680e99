// The three closed variants of the scheduler core: Event in, Record and Command out.
//
// Event: something happened. Record: a fact to keep; state changes only by folding one
// (ClusterState::Apply). Command: something to do outside, only after every record
// before it in the same or an earlier Effects is durable.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/status.h"
#include "common/model/messages.h"
#include "common/model/policy.h"

namespace allot::scheduler {

// Names whoever waits for an answer; given out by the shell, 0 = nobody.
using ReplyToken = uint64_t;
using JobSpecPtr = std::shared_ptr<const JobSpec>;
using DeploymentSpecPtr = std::shared_ptr<const DeploymentSpec>;
using NodeInfoPtr = std::shared_ptr<const NodeInfo>;
using PolicyPtr = std::shared_ptr<const Policy>;

// How far the times in the records are to be believed, whose clocks may have been wrong at a start;
// see scheduler/shell/clock.h, which judges. The zero time: nothing is known.
struct TimeTrust {
  Time certain;  // it is no earlier than this
  Time doubted;  // since then a clock is followed that may have been set far ahead
  bool operator==(const TimeTrust&) const = default;
};

// ---- events ---------------------------------------------------------------------------------

// First event after replay (or on an empty store): a new term begins. `incarnation`: drawn at random by
// the shell; names given from now on carry it. Numbers that are given from now on are at least these:
// those below may be known outside from a life that the store has no record of. 0: as the store says.
struct Restarted {
  Incarnation incarnation = {};
  uint64_t jobs_from = 0, replicas_from = 0;
  TimeTrust trust = {};  // as TermBegun keeps it
};
struct ClockTicked {};
struct JobSubmitted {
  ReplyToken token = 0;
  JobSpecPtr spec;               // already checked by common/config; `Never` is still possible
  std::string user;
  std::string idempotency_key;   // non-empty: a second submission with it answers the first job
};
struct JobCancelRequested { ReplyToken token = 0; JobId job; std::string user; };
struct DeploymentApplied { ReplyToken token = 0; DeploymentSpecPtr spec; std::string user; };
struct DeploymentDeleteRequested { ReplyToken token = 0; std::string name; };
struct PolicyApplied { ReplyToken token = 0; PolicyPtr policy; };
struct NodeDrainRequested { ReplyToken token = 0; std::string node; bool drain = true; };
// An operator takes a device (empty: the whole node) out of service, or gives it back.
struct DeviceServiceRequested {
  ReplyToken token = 0; std::string node, device; bool in_service = false; std::string user;
};
// node: the name its key proves; incarnation: that it obeys, as its envelope says; none: not said.
struct AgentSaid { std::string node; AgentMessage message; Incarnation incarnation = {}; };
// `keys`: of all that are enrolled as gateways, heard or not; absent: not known.
struct GatewaysChanged { std::vector<GatewayAddress> gateways; std::optional<std::vector<std::string>> keys = std::nullopt; };

using Event = std::variant<Restarted, ClockTicked, JobSubmitted, JobCancelRequested, DeploymentApplied,
                           DeploymentDeleteRequested, PolicyApplied, NodeDrainRequested,
                           DeviceServiceRequested, AgentSaid, GatewaysChanged>;

// ---- records --------------------------------------------------------------------------------

// Where one task runs.
struct TaskPlacement {
  NodeId node;
  DeviceSet devices;       // accelerators leased, by position in the node's list
  MilliWatt power = 0;     // what the lease draws at most, by which caps are kept
  Bytes memory = 0;        // leased, where the spec leaves it to a share of the node's; else 0
  bool operator==(const TaskPlacement&) const = default;
};

// What a placement leases of what was asked: a share of memory has become so many bytes.
inline Resources LeasedOf(const Resources& asked, const TaskPlacement& placement) {
  return {asked.cpus, asked.memory_share ? placement.memory : asked.memory};
}

// `at` before the newest record: the clock of the life before was ahead, and no time of it is later
// than this (ClusterState::TurnBack).
struct TermBegun { Time at; Term term; Incarnation incarnation = {}; TimeTrust trust = {}; };
struct PolicySet { Time at; PolicyPtr policy; };
struct NodeRegistered {
  Time at; NodeId node; Epoch epoch; uint64_t registration = 0;
  NodeInfoPtr info;
};
struct NodeLost { Time at; NodeId node; Epoch epoch; };     // epoch: the one that replaces the lost one
struct NodeDrainSet { Time at; NodeId node; bool drain = false; };
// `device` is the id on its node; empty: the whole node. See scheduler/core/quarantine.h.
struct DeviceQuarantined {
  Time at; NodeId node; std::string device;
  Time until;            // then it goes on probation; kTimeMax: only an operator ends it
  uint32_t strikes = 0;  // how often in a row
  std::string why;
};
struct DeviceOnProbation { Time at; NodeId node; std::string device; };
struct DeviceCleared { Time at; NodeId node; std::string device; };
struct JobAccepted { Time at; JobId job; JobSpecPtr spec; std::string user, idempotency_key; };
struct JobPlaced {
  Time at; JobId job; Attempt attempt;
  std::vector<TaskPlacement> tasks;     // by rank
  uint32_t alternative = 0;             // which of spec->devices was taken
  PriceRate price;                      // of the whole gang while it runs
  uint16_t main_port = 0;
  LeaseTerms terms;                     // of its tasks
};
struct TaskStarted { Time at; TaskKey key; int64_t pid = 0; };
struct TaskExited { Time at; TaskKey key; TaskExit exit; };  // frees the task's lease
enum class RequeueReason : uint8_t {
  kNodeLost,
  kTaskFailed,
  kTaskLost,       // its node no longer knows it, or ended it unasked
  kNodeFault,      // its node could not start it, or lost what watched it
  kNodeRestarted,  // the machine went down under it
  kNoAnswer,       // its node is heard, but never said that it has it
  kLeaseEnded,     // its lease was not renewed, so its supervisor has ended it
};
std::string_view ToString(RequeueReason reason);
// The gang goes back to its queue once no task of the attempt is left on a node that is alive.
struct JobStopping {                    // every task of the attempt is to be stopped
  Time at; JobId job;
  std::optional<JobOutcome> outcome;    // what the job becomes then; absent: it is requeued
  RequeueReason requeue = RequeueReason::kNodeLost;
  int32_t code = 0;                     // of the failure that began it (see JobFinished); 0: none
  bool cancelled = false;               // asked for meanwhile: whatever turns out, it is not requeued
};
struct TaskAbandoned { Time at; TaskKey key; };  // its node was lost or no longer knows it: the lease is free
struct JobRequeued {
  Time at;
  JobId job;
  RequeueReason reason = RequeueReason::kNodeLost;
  Time not_before;  // of its next attempt; the zero time: at once
};
struct JobFinished {
  Time at; JobId job; JobOutcome outcome = JobOutcome::kSucceeded;
  int32_t code = 0;                     // what `allot wait` returns
  Cost cost;                            // of all attempts
};
struct DeploymentSet { Time at; DeploymentSpecPtr spec; uint64_t generation = 0; std::string user; };
struct DeploymentRemoved { Time at; std::string name; };  // after its last replica is gone
struct DeploymentStopping { Time at; std::string name; };
struct ReplicaPlaced {
  Time at; ReplicaId replica; std::string deployment; uint64_t generation = 0;
  uint32_t group = 0; TaskPlacement placement; PriceRate price;
  Resources resources;                  // leased; kept because a later generation may want others
  uint32_t concurrency = 4;             // of its group in that generation
};
struct ReplicaStopping { Time at; ReplicaId replica; };
struct ReplicaGone { Time at; ReplicaId replica; };        // frees its lease

using Record = std::variant<TermBegun, PolicySet, NodeRegistered, NodeLost, NodeDrainSet,
                            DeviceQuarantined, DeviceOnProbation, DeviceCleared, JobAccepted,
                            JobPlaced, TaskStarted, TaskExited, JobStopping, TaskAbandoned,
                            JobRequeued, JobFinished, DeploymentSet, DeploymentRemoved,
                            DeploymentStopping, ReplicaPlaced, ReplicaStopping, ReplicaGone>;

// ---- commands -------------------------------------------------------------------------------

struct SendToAgent { std::string node; SchedulerMessage message; };
struct SendRoutes { std::shared_ptr<const RouteTable> table; };   // to every gateway
// Answer to the waiting caller. Not OK: the request was refused and left no record.
struct Reply {
  ReplyToken token = 0;
  Status status;
  JobId job;                  // JobSubmitted
};
struct JobEnded { JobId job; };   // wakes those who wait for the job

using Command = std::variant<SendToAgent, SendRoutes, Reply, JobEnded>;

// ---- notes: for metrics and logs; lost without harm ----------------------------------------------

struct JobWaited { std::string tenant; Duration wait; };        // submitted → placed
struct StaleRefused { std::string node; };                      // a message of an old epoch
struct PlanningStopped { uint32_t placed = 0, tried = 0; bool more = false; };
struct ReplicasPlanned { uint32_t placed = 0, searched = 0; bool more = false; };
struct Stalled { Duration late{}; };                            // a step came later than it was due
struct CutOff { Duration silent{}; };  // no node was heard for so long: leases stand still
// It still holds work of a life of the store that this one does not know: of before it was restored
// or emptied, or of another store. The work is ended.
struct ForeignWork {
  std::string node;
  Incarnation incarnation;  // one of those it names
  uint32_t tasks = 0, replicas = 0;
};
struct RegistrationRefused {
  std::string node;
  RefuseReason reason{};
  std::string message;
};
struct TaskUnanswered {
  std::string node;
  TaskKey key;
  Duration after{};
};  // and taken back
using Note = std::variant<JobWaited, StaleRefused, PlanningStopped, ReplicasPlanned, Stalled,
                          CutOff, RegistrationRefused, TaskUnanswered, ForeignWork>;

struct Effects {
  std::vector<Record> records;
  std::vector<Command> commands;
  std::vector<Note> notes;
  bool more = false;   // planning stopped at its budget: step again with ClockTicked at once
  void Clear() { records.clear(); commands.clear(); notes.clear(); more = false; }
};

}  // namespace allot::scheduler
