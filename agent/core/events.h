// The closed variants of the agent core: one node, its tasks, its replicas, its link.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/model/messages.h"

namespace allot::agent {

// A process the runtime runs under a supervisor. Task processes are "job-17.0.1" (job, rank,
// attempt), replica processes "replica-3.2" (replica, start number), each followed by the store's
// incarnation in which the attempt's or the replica's number was given: "job-17.0.1.00c0ffee00c0ffee".
using ProcessId = std::string;
ProcessId ProcessOf(const TaskKey& key);
ProcessId ProcessOf(ReplicaId replica, uint32_t start);

// ---- events ---------------------------------------------------------------------------------

// What the state folder holds when the agent starts: processes of an earlier life, some still
// running under their supervisors, some ended. First event.
// A found task whose status is kAssigned was being spawned when the agent died; the runtime finds
// out what became of it and says so (TaskSpawned, TaskSpawnFailed or TaskProcessExited). Likewise
// TaskProcessExited follows for one that is found kRunning.
struct FoundTask { TaskKey key; TaskLaunch launch; TaskStatus status; };
struct FoundReplica {
  ReplicaId id; ReplicaLaunch launch; uint32_t starts = 0; bool running = false;
  int64_t pid = 0; uint16_t port = 0;  // running without a pid: its start is still to be answered
  std::string why;  // not running: how it ended, where that is known
};
struct AgentStarted {
  NodeInfo info;
  uint64_t boot = 0;                    // grows with every start; from the state folder
  std::vector<FoundTask> tasks;
  std::vector<FoundReplica> replicas;
};
struct DevicesChanged {  // discovery found a difference: registers anew
  std::vector<Device> devices;
  std::vector<DeviceGroup> groups;
  std::vector<std::string> warnings;
};
// NodeInfo::unfit is another one: registers anew, what runs runs on.
struct FitnessChanged { std::vector<std::string> unfit; };
struct AddressFound {  // where the node is reached, or where its metrics are: if new, registers anew
  std::string address, metrics_address;
};
// incarnation: of its store, as the envelope says; none: not said, by a build that knows of none.
struct SchedulerSaid { SchedulerMessage message; Incarnation incarnation = {}; };
struct SchedulerHeard {};               // an envelope without messages: it is there, nothing more
struct LinkUp {};                       // a connection stands (after start or reconnect)
struct LinkDown {};
struct TaskSpawned { TaskKey key; int64_t pid = 0; Time at; };
// Nothing of it has run; whose fault that is.
struct TaskSpawnFailed { TaskKey key; std::string message; ExitCause cause = ExitCause::kNotStarted; };
struct TaskProcessExited { TaskKey key; TaskExit exit; };
struct TaskProgressed { TaskKey key; TaskProgress progress; };
// `remote`: nothing runs here for it, its devices are an endpoint's. It is probed like a model server
// and never signalled: neither a start of it ends, nor is there anything to end.
struct ReplicaSpawned { ReplicaId id; uint32_t start = 0; int64_t pid = 0; uint16_t port = 0; bool remote = false; };
struct ReplicaSpawnFailed { ReplicaId id; uint32_t start = 0; std::string message; };
struct ReplicaProcessExited { ReplicaId id; uint32_t start = 0; TaskExit exit; };
struct HealthProbed { ReplicaId id; uint32_t start = 0; bool healthy = false; std::string message; };
// Requests that the replica is answering, over all gateways, and whether bytes of an answer have come
// since this was said last. Said when the first begins and the last ends, and while bytes flow.
struct ReplicaTraffic { ReplicaId id; uint32_t in_flight = 0; bool flowed = false; };
struct TelemetrySampled { std::vector<DeviceTelemetry> devices; };
struct ClockTicked {};

using Event = std::variant<AgentStarted, DevicesChanged, FitnessChanged, AddressFound, SchedulerSaid, SchedulerHeard, LinkUp, LinkDown, TaskSpawned,
                           TaskSpawnFailed, TaskProcessExited, TaskProgressed, ReplicaSpawned,
                           ReplicaSpawnFailed, ReplicaProcessExited, HealthProbed, ReplicaTraffic,
                           TelemetrySampled, ClockTicked>;

// ---- commands: performed in order; those that touch the state folder are synchronous ---------------

struct SendToScheduler { AgentMessage message; };
struct Reconnect {};                             // drop the socket, dial again (backoff has passed)
// `lease_until`: it is not to live longer, unless RenewLease says so; the zero time: no lease.
struct SpawnTask { TaskKey key; TaskLaunch launch; Time lease_until = {}; };  // writes its folder first; kNoop tasks never get here
struct SignalTask { TaskKey key; int signal = 15; };   // to the whole process group
struct RenewLease { TaskKey key; Time until; };
// kNoop tasks leave a folder-less trace: their exit is kept by the core until acknowledged.
struct ForgetTask { TaskKey key; };              // folder may go (logs stay for their retention)
struct SpawnReplica { ReplicaId id; uint32_t start = 0; ReplicaLaunch launch; };
struct SignalReplica { ReplicaId id; uint32_t start = 0; int signal = 15; };
struct ProbeReplica { ReplicaId id; uint32_t start = 0; };  // answered by HealthProbed
struct ForgetReplica { ReplicaId id; };
struct ReplicaServing { ReplicaId id; bool serving = false; uint16_t port = 0; uint32_t concurrency = 0; };  // tell gateways' links
// `keys`: of all that may be gateways, heard by the scheduler or not; absent: not told.
struct SetGateways { std::vector<GatewayAddress> gateways; std::optional<std::vector<std::string>> keys = std::nullopt; };

using Command = std::variant<SendToScheduler, Reconnect, SpawnTask, RenewLease, SignalTask, ForgetTask, SpawnReplica,
                             SignalReplica, ProbeReplica, ForgetReplica, ReplicaServing, SetGateways>;

// ---- notes ---------------------------------------------------------------------------------------

struct StaleCommandRefused { Epoch epoch; };
struct ReplicaRestarted { ReplicaId id; uint32_t restarts = 0; };
struct RegistrationRefused { RefuseReason reason = RefuseReason::kNameTaken; std::string message; };
struct SchedulerSilent {};               // nothing heard for scheduler_silence_max; a Reconnect follows
using Note = std::variant<StaleCommandRefused, ReplicaRestarted, RegistrationRefused, SchedulerSilent>;

struct Effects {
  std::vector<Command> commands;
  std::vector<Note> notes;
  void Clear() { commands.clear(); notes.clear(); }
};

}  // namespace allot::agent
