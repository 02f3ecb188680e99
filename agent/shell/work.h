// The processes of the node: performs the core's commands on them and turns what happens to
// them into events. Owns the runtime, health probes and progress files.
//
// A replica whose devices are an endpoint's has no process and leaves nothing in the state folder:
// it is "spawned" by knowing where to ask, and after a restart the scheduler says it again.
//
// One thread. `emit` may be called from inside Perform; the receiver queues.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include <boost/asio/io_context.hpp>

#include "agent/core/events.h"
#include "agent/devices/endpoint/endpoint.h"
#include "agent/runtime/checkpoints.h"
#include "agent/runtime/environment.h"
#include "agent/runtime/errands.h"
#include "agent/runtime/model_server.h"
#include "agent/runtime/process_runtime.h"
#include "agent/runtime/progress.h"
#include "agent/runtime/scratch.h"
#include "agent/runtime/state_folder.h"
#include "agent/shell/confinement.h"
#include "agent/shell/energy.h"
#include "agent/shell/separation.h"
#include "common/asio/timer.h"

namespace allot::agent {

class Work {
 public:
  using Emit = std::function<void(Event)>;
  static StatusOr<std::unique_ptr<Work>> Create(boost::asio::io_context& loop, StateFolder& folder,
                                                std::string supervisor, EnvironmentBase environment,
                                                std::unique_ptr<Confinement> confinement,
                                                std::unique_ptr<Separation> separation, Emit emit);

  // Fills in the tasks and replicas that earlier lives left, and watches those that still run.
  // Once, before any command. Returns warnings for the log.
  std::vector<std::string> FindEarlier(AgentStarted* event, Time now);

  void Perform(const SpawnTask& command);
  void Perform(const RenewLease& command);
  void Perform(const SignalTask& command);
  void Perform(const ForgetTask& command);
  void Perform(const SpawnReplica& command);
  void Perform(const SignalReplica& command);
  void Perform(const ProbeReplica& command);
  void Perform(const ForgetReplica& command);

  void SetDevices(std::vector<Device> devices, std::vector<DeviceGroup> groups);
  // Of each log, on disk; and what is to stay free there. For what starts from now on.
  void SetLogLimits(Bytes log_max, Bytes free_min) {
    log_max_ = log_max;
    log_free_min_ = free_min;
  }
  // Of each process, whatever its job asks; `tmpfs`: kept by the kernel (limit.bytes is given).
  // Once, before FindEarlier.
  void SetScratchLimit(const ScratchLimit& limit, bool tmpfs) {
    scratch_limit_ = limit;
    scratch_tmpfs_ = tmpfs;
  }
  Bytes scratch_bytes() const { return scratch_.total(); }
  // The core's times on CLOCK_BOOTTIME. Once, before any command with a lease.
  void SetBootClock(std::function<uint64_t(Time)> nanos) { boot_nanos_ = std::move(nanos); }
  // Called with why nothing of the agent's own could be made for a process.
  void OnNodeFault(std::function<void(const Status&)> told) { node_fault_ = std::move(told); }
  void SetNetwork(Environment network) { environment_.network = std::move(network); }
  // Whether a log of a process that runs is larger on disk than `most`.
  bool AnyLogAbove(Bytes most) const;
  // Readings of devices, for the energy of what runs on them.
  void Measured(Time at, const DeviceTelemetry& values) { energy_.Read(at, values); }
  // Joules of replicas by deployment since the call before; keeps what a restart needs.
  std::map<std::string, double> TakeReplicaJoules();
  void SetEndpoints(const Endpoints& endpoints);  // once, before any command

  // Where a remote replica is served; null for those that are processes.
  std::shared_ptr<const EndpointLease> RemoteOf(ReplicaId id) const;

  // For logs: the process that wrote last, and whether it may write more.
  ProcessId LastOf(ReplicaId id) const;
  bool Alive(const ProcessId& id) const { return alive_.contains(id) || preparing_.contains(id); }
  size_t tasks_alive() const { return alive_.size() - replicas_alive(); }
  size_t replicas_alive() const;
  const ProcessRuntime::Counters& counters() const { return runtime_->counters(); }

 private:
  struct Remote {
    uint32_t start = 0;
    std::shared_ptr<const EndpointLease> lease;
  };
  struct AliveProcess {
    std::optional<TaskKey> task;
    ReplicaStart replica;
    uint16_t port = 0;  // replicas
    std::string deployment;
    std::vector<std::string> device_ids;
    bool running = false;
    Resources resources;
    std::unique_ptr<ProgressFile> progress;  // tasks
    std::string over;                        // why we have killed it
  };

  Work(boost::asio::io_context& loop, StateFolder& folder, EnvironmentBase environment,
       std::unique_ptr<Confinement> confinement, std::unique_ptr<Separation> separation, Emit emit);
  void KillWhatLostItsSupervisor(const StateFolder::Scan& scan);
  void OnRunning(const ProcessId& id, int64_t pid, Time at);
  void OnExited(const ProcessId& id, TaskExit exit);
  void OnScratchOver(const ProcessId& id, const std::string& why);
  void AddTask(const TaskKey& key, const TaskLaunch& launch, bool running);
  void AddReplica(const ReplicaStart& start, uint16_t port, const ReplicaLaunch& launch,
                  bool running);
  ProcessFiles FilesOf(const ProcessId& id) const;
  // What it may keep in its scratch folder: by the node, and where its job asks for less, by that.
  ScratchLimit ScratchOf(const TaskLaunch* launch) const;
  // In a group of its own; the group goes again if it cannot be started.
  Status SpawnConfined(ProcessSpec spec, const Resources& resources,
                       const std::vector<std::string>& devices);
  // What a task is started with, before its checkpoint folder is looked at.
  struct TaskStart {
    ProcessFiles files;
    ProcessSpec spec;
    CheckpointFolder checkpoints;
  };
  StatusOr<TaskStart> StartOf(const SpawnTask& command);
  // A checkpoint folder may be on a file server that does not answer. One on the mount of the state
  // folder, without a link on the way, is not; `empty` then. FailedPrecondition: it may be.
  Status PrepareNear(const CheckpointFolder& folder, bool* empty);
  void Prepare(const SpawnTask& command, TaskStart start);
  void Spawn(const SpawnTask& command, TaskStart start, bool empty);
  void Failed(const SpawnTask& command, const Status& status);
  // Who it runs as; makes again what somebody has removed for that.
  Status Separate(const Separation::Asker& asker, const std::vector<std::string>& leased,
                  ProcessFiles* files, ProcessSpec* spec);
  void TellOfLostCheckpoint(const SpawnTask& command, const std::string& folder);
  StatusOr<uint16_t> TrySpawn(const SpawnReplica& command);
  void ForgetStart(ReplicaId id, uint32_t start);
  void PollProgress();
  std::string EnergyFileOf(const ProcessId& id) const;
  void ResumeEnergy(const ProcessId& id, Time at);
  void EndEnergy(const ProcessId& id, TaskExit* exit);
  void SweepEnergyFiles();

  boost::asio::io_context& loop_;
  StateFolder& folder_;
  EnvironmentBase environment_;
  std::unique_ptr<Confinement> confinement_;
  std::unique_ptr<Separation> separation_;
  Emit emit_;
  std::map<ProcessId, AliveProcess> alive_;
  EndpointDirectory endpoints_;
  std::map<ReplicaId, Remote> remotes_;
  std::map<ReplicaId, uint32_t> last_start_;
  std::map<ReplicaId, HealthCheck> health_;
  EnergyMeter energy_;
  std::map<ProcessId, uint64_t> preparing_;  // tasks whose folders are looked at, and which time
  uint64_t prepared_ = 0;
  std::map<ProcessId, Time> leases_;  // tasks that have one, until when
  std::function<uint64_t(Time)> boot_nanos_;
  MountNames mounts_;
  Errands errands_;
  Bytes log_max_ = kGiB, log_free_min_ = 0;
  std::function<void(const Status&)> node_fault_ = [](const Status&) {};
  std::set<ProcessId> unwanted_;  // starts of a replica that a later one has replaced
  std::unique_ptr<ProcessRuntime> runtime_;
  ScratchLimit scratch_limit_;
  bool scratch_tmpfs_ = false;
  ScratchMeter scratch_;
  HealthProber prober_;
  Timer progress_timer_;
};

}  // namespace allot::agent
