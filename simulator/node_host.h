// One machine in the virtual world: the agent's shell, its state folder, supervisors, processes.
//
// What survives what: processes and the state folder outlive the agent; the state folder outlives
// the machine's crash, unless the machine is wiped. Each start of a machine has its boot id. A
// process that dies with its machine leaves a folder without an exit, of an earlier boot: the next
// agent forgets the task, which its node has lost, and starts the replica again.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/core/core.h"
#include "simulator/network.h"
#include "simulator/world.h"

namespace allot::simulator {

class NodeHost {
 public:
  NodeHost(World& world, uint32_t index, NodeInfo info, agent::CoreOptions options);

  const std::string& name() const { return info_.name; }
  const NodeInfo& info() const { return whole_info_; }  // with every device it ever has
  bool agent_alive() const { return core_ != nullptr; }
  bool machine_alive() const { return machine_alive_; }
  bool paused() const { return paused_; }
  bool cut_off() const { return cut_until_ > world_.now(); }
  uint32_t index() const { return index_; }
  size_t replicas() const { return replicas_.size(); }
  // Registered, with nothing running and nothing unacknowledged.
  bool Idle() const { return WhyBusy().empty(); }
  std::string WhyBusy() const;

  // ---- faults -----------------------------------------------------------------------------
  void BootMachine();
  void StartAgent();
  void CrashAgent();
  void PauseAgent(Duration span);
  void CrashMachine(bool wipe);
  void CutOff(Duration span);  // the network between it and the scheduler
  void BreakLink();            // to the scheduler
  void ChangeDevices();
  void CrashReplica();
  void SickenReplica();
  // Every task that comes up there from now on fails within a second. `device` empty: on the node.
  void OpenBlackHole(std::string device) { hole_ = std::move(device); }
  void CloseBlackHole() { hole_.reset(); }
  void SkewClock(Duration skew) {
    skew_ = std::max(skew_, skew);
  }  // a shell's clock never goes back
  void Heal();

  // ---- from the scheduler -------------------------------------------------------------------
  void SchedulerSays(uint64_t connection, Incarnation incarnation,
                     const SchedulerMessage* message);  // null: the empty envelope
  void SchedulerDied();

  // ---- gateway -----------------------------------------------------------------------------
  void GatewayBack();  // it may be dialled (again)
  void LinkToGatewayBroke();
  void Serve(uint64_t link, RequestId id, ReplicaId replica);
  void Cancel(RequestId id) { requests_.erase(id); }

 private:
  struct TaskFolder {  // on disk
    TaskLaunch launch;
    uint64_t kernel = 0;  // it was started under
    int64_t pid = 0;
    Time started;
    std::optional<TaskExit> exit;
  };
  struct ReplicaFolder {  // on disk
    ReplicaLaunch launch;
    uint32_t starts = 0;
    uint64_t kernel = 0;  // it was started under
  };
  struct Process {
    uint64_t number = 0;  // tells it from an earlier one of the same key
    bool up = false;      // else its supervisor is still starting
    bool stubborn = false;
    int64_t pid = 0;
    std::optional<Time> lease_until;  // in the world's time, as the supervisor's clock counts it
  };
  struct ReplicaProcess {
    uint64_t number = 0;
    uint32_t start = 0;
    bool up = false;
    int64_t pid = 0;
    uint16_t port = 0;
    Time warm, sick_until;
  };

  Time Clock() const { return world_.now() + skew_; }
  void Step(const agent::Event& event);
  void Perform(const agent::Command& command);
  void PlanTick();
  void Dial();
  void Send(const AgentMessage& message);
  void ResumeAgent();
  void SpawnTask(const agent::SpawnTask& command);
  void RenewLease(const agent::RenewLease& command);
  void WatchLease(const TaskKey& key, uint64_t number);
  void TaskUp(const TaskKey& key, uint64_t number);
  void TaskEnds(const TaskKey& key, uint64_t number, int32_t code, int32_t signal,
                ExitCause cause = ExitCause::kTask);
  void SignalTask(const TaskKey& key, int signal);
  void SpawnReplica(ReplicaId id, uint32_t start, const ReplicaLaunch& launch);
  void ReplicaUp(ReplicaId id, uint64_t number);
  void ReplicaEnds(ReplicaId id, uint64_t number, int32_t code, int32_t signal);
  void SignalReplica(ReplicaId id, uint32_t start, int signal);
  void Probe(ReplicaId id, uint32_t start);
  void Answer(uint64_t link, RequestId id, ReplicaId replica, uint64_t number);
  void DialGateway();

  World& world_;
  const uint32_t index_;
  const NodeInfo whole_info_;
  NodeInfo info_;
  const agent::CoreOptions options_;
  std::unique_ptr<agent::Core> core_;
  bool machine_alive_ = false;
  uint64_t life_ = 0, tick_ = 0, processes_ = 0;  // of the agent; of its timer; ever begun
  std::optional<Time> tick_at_;
  uint64_t connection_ = 0;
  bool connected_ = false;
  Time cut_until_;
  Duration skew_{};
  bool paused_ = false;
  uint64_t pauses_ = 0;
  std::vector<agent::Event> unread_;
  std::optional<std::string> hole_;
  Wire to_scheduler_;

  uint64_t kernel_ = 0;                                 // starts of the machine
  uint64_t boot_ = 0;                                   // on disk
  std::map<TaskKey, TaskFolder> folders_;               // on disk
  std::map<ReplicaId, ReplicaFolder> replica_folders_;  // on disk
  std::map<TaskKey, Process> tasks_;                    // live
  std::map<ReplicaId, ReplicaProcess> replicas_;        // live
  std::map<ReplicaId, bool> serving_;                   // as the agent told its gateway links
  bool knows_gateway_ = false;
  std::map<RequestId, ReplicaId> requests_;
};

}  // namespace allot::simulator
