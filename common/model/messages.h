// What scheduler, agents and gateways say to one another, as plain values.
//
// The cores exchange these; common/wire turns them into Protobuf envelopes and
// docs/protocol.md tells the story. Every message may be lost, delayed, repeated
// or overtaken: each is idempotent, and both sides resend what is not acknowledged.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/base/units.h"
#include "common/model/deployment.h"
#include "common/model/device.h"
#include "common/model/job.h"
#include "common/model/node.h"

namespace allot {

// ---- what a task or replica is, on a node -------------------------------------------------

enum class TaskPhase : uint8_t { kAssigned, kRunning, kExited };
std::string_view ToString(TaskPhase phase);  // "assigned", "running", "exited"

struct TaskProgress {  // last line of the task's progress file
  int64_t step = 0, total = 0;
  std::optional<double> loss;
  bool operator==(const TaskProgress&) const = default;
};

struct TaskStatus {
  TaskKey key;
  TaskPhase phase = TaskPhase::kAssigned;
  int64_t pid = 0;  // of the user's process; 0 until it runs and for kNoop
  Time started;
  std::optional<TaskExit> exit;  // set iff kExited
  std::optional<TaskProgress> progress;
  bool operator==(const TaskStatus&) const = default;
};

struct ReplicaStatus {
  ReplicaId id;
  ReplicaPhase phase = ReplicaPhase::kStarting;
  uint32_t restarts = 0;
  int64_t pid = 0;
  std::string message;  // why it is not ready
  bool operator==(const ReplicaStatus&) const = default;
};

// All a node needs to run one task; the scheduler fills it at placement.
struct TaskLaunch {
  std::string job_name;
  std::string tenant;
  uint32_t world_size = 1;
  std::vector<std::string> command;
  std::map<std::string, std::string> environment;
  std::string work_dir;
  std::string checkpoint_dir;
  Resources resources;
  std::vector<std::string> device_ids;  // of this node
  std::string main_address;
  uint16_t main_port = 0;
  std::vector<std::string> peer_addresses;  // by rank
  Duration grace = std::chrono::seconds(10);
  TaskRuntime runtime = TaskRuntime::kProcess;
  std::string user;                 // whose token submitted it; empty: not told
  std::optional<Bytes> scratch_max;  // besides what the node's own limit is
  LeaseTerms terms;                 // it is not started without a lease, nor lives beyond it
  bool checkpoint_dir_named = false;  // by the job; else it is the cluster's, and the agent makes it
  bool operator==(const TaskLaunch&) const = default;
};

struct ReplicaLaunch {
  std::string deployment;
  std::string model;
  std::vector<std::string> command;
  std::map<std::string, std::string> environment;
  std::string work_dir;
  Resources resources;
  std::vector<std::string> device_ids;
  HealthCheck health;
  Duration grace = std::chrono::seconds(10);
  uint32_t concurrency = 4;
  std::string tenant, user;  // whose it is, and whose token deployed it; empty: not told
  bool operator==(const ReplicaLaunch&) const = default;
};

// ---- agent → scheduler -------------------------------------------------------------------

// First on every link. `registration` grows with every one an instance sends (the agent
// keeps a boot counter on disk), so an old one that arrives late is told apart.
struct RegisterNode {
  uint64_t registration = 0;
  NodeInfo info;
  std::vector<TaskStatus> tasks;  // everything the node still holds, acknowledged or not
  std::vector<ReplicaStatus> replicas;
  // It keeps the incarnation of each name; else it says none, whatever it was told.
  bool incarnations = false;
  bool operator==(const RegisterNode&) const = default;
};

// Any message counts as a heartbeat; this one is sent when there is nothing else to say.
struct Heartbeat {
  Epoch epoch;
  std::vector<DeviceTelemetry> devices;
  std::vector<TaskStatus> progress;  // running tasks whose progress changed
};

// Repeated until acknowledged (kExited by AckTasks; the others by the next phase or command).
struct TaskReport {
  Epoch epoch;
  std::vector<TaskStatus> tasks;
};

struct ReplicaReport {  // repeated with every heartbeat interval while a replica is not stable
  Epoch epoch;
  std::vector<ReplicaStatus> replicas;
};

// Of tasks that run by leases, and of those that are to be started: with every heartbeat, and once
// more when such a task arrives. `asked`: by the agent's clock, no later than this was sent.
struct AskLeases {
  Epoch epoch;
  Time asked;
  std::vector<TaskKey> keys;
};

using AgentMessage = std::variant<RegisterNode, Heartbeat, TaskReport, ReplicaReport, AskLeases>;

// ---- scheduler → agent -------------------------------------------------------------------

struct GatewayAddress {
  std::string endpoint;    // tcp://host:port
  std::string public_key;  // Z85
  bool operator==(const GatewayAddress&) const = default;
};

// Answers RegisterNode; echoes its number. Commands of this epoch count from now on.
struct Welcome {
  uint64_t registration = 0;
  Epoch epoch;
  Term term;
  Duration heartbeat_every = std::chrono::seconds(1);
  Duration lease = std::chrono::seconds(15);
  std::vector<GatewayAddress> gateways;
  // Public keys of all gateways that may be one, heard or not; absent: not told.
  std::optional<std::vector<std::string>> gateway_keys = std::nullopt;
  // Of the machine whose registration it answers: one that was installed anew under the same name
  // counts from the same number, and must not take what was said to the one before. Empty: not told.
  std::string instance = "";
};

enum class RefuseReason : uint8_t { kStaleEpoch, kStaleRegistration, kNameTaken, kBadInfo };
std::string_view ToString(RefuseReason reason);

// kStaleEpoch: register anew. kNameTaken, kBadInfo: wait and try again; `message` is logged.
struct Refuse {
  RefuseReason reason = RefuseReason::kStaleEpoch;
  uint64_t registration = 0;  // the one refused; 0 where a message of an old epoch was
  Epoch epoch;                // the epoch that was refused
  std::string message;
};

// Repeated until a status of the task arrives; one that is kAssigned says that the node has it.
struct StartTask {
  Epoch epoch;
  TaskKey key;
  TaskLaunch launch;
};

// SIGTERM, then SIGKILL after `grace`. Repeated until the exit arrives. An agent that does
// not know the task reports it as exited with code 127 "unknown task".
struct StopTask {
  Epoch epoch;
  TaskKey key;
  Duration grace{};
};

struct AckTasks {  // The exits are durable: the node may forget them.
  Epoch epoch;
  std::vector<TaskKey> keys;
};

// Answers AskLeases; echoes its time, from which the leases count. Only those keys of it that are the
// current attempts of their tasks.
struct GrantLeases {
  Epoch epoch;
  Time asked;
  std::vector<TaskKey> keys;
};

struct StartReplica {  // repeated until a status arrives
  Epoch epoch;
  ReplicaId id;
  ReplicaLaunch launch;
};

// Requests in flight, and those that gateways still send until they know, are served for up to
// `drain`; once there have been none for a moment, or it is over, SIGTERM, then SIGKILL after
// `grace`. Repeated until a status kGone arrives; the node forgets it then. A repeat may shorten
// either, and begins neither anew.
struct StopReplica {
  Epoch epoch;
  ReplicaId id;
  Duration grace{};
  Duration drain{};
};

using SchedulerMessage =
    std::variant<Welcome, Refuse, StartTask, StopTask, AckTasks, StartReplica, StopReplica, GrantLeases>;

// ---- scheduler → gateway ------------------------------------------------------------------

struct RouteReplica {
  ReplicaId id;
  std::string node;
  DeviceKind kind = DeviceKind::kGpu;
  std::string device_model;
  bool emulated = false;
  uint32_t device_count = 1;
  uint32_t concurrency = 4;
  PriceRate price;  // of everything the replica leases
  MilliWatt power = 0;  // what all of that draws at most; 0: unknown
  bool ready = false;
  bool unheard = false;  // the scheduler knows nothing of it (yet): whoever knew something keeps to it
  bool operator==(const RouteReplica&) const = default;
};

struct RouteDeployment {
  std::string name;
  std::string model;
  Objective objective;
  uint32_t queue_max = 4096;
  Duration queue_timeout = std::chrono::seconds(30);
  std::vector<RouteReplica> replicas;  // ordered by id
  Time created;                        // first set; the zero time: not known
  std::string tenant;                  // whose it is; empty: not known
  bool operator==(const RouteDeployment&) const = default;
};

// The whole table each time; gateways keep the highest (term, version) of an incarnation, and the
// table of another one whatever its numbers are: a store that was restored counts them again.
struct RouteTable {
  Incarnation incarnation = {};  // none: not said
  Term term;
  uint64_t version = 0;
  std::string policy_name;
  std::string routing_algorithm;
  double explore_ratio = 0.02;
  Duration history = std::chrono::seconds(60);
  int64_t value_nanos_per_second = 0;
  std::vector<RouteDeployment> deployments;  // ordered by name
  bool operator==(const RouteTable&) const = default;
};

}  // namespace allot
