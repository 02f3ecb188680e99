#include "agent/core/core.h"

#include <utility>

#include "agent/core/link_machine.h"
#include "agent/core/replica_machine.h"
#include "agent/core/task_machine.h"
#include "common/base/check.h"

namespace allot::agent {

class Core::Impl {
 public:
  Impl(const CoreOptions& options, uint64_t seed)
      : tasks_(options, devices_), replicas_(options, devices_), link_(options, seed) {}

  void Step(Time now, const Event& event, Effects& out) {
    CHECK(now >= now_);
    now_ = now;
    std::visit([&](const auto& e) { Handle(e, out); }, event);
    link_.Tick(now, out);
    tasks_.Tick(now, out);
    replicas_.Tick(now, out);
    for (const DeviceOwner& owner : devices_.TakeReady()) {
      owner.replica.valid() ? replicas_.Proceed(owner.replica, out)
                            : tasks_.Proceed(now_, owner.task, out);
    }
    if (link_.TakeRegistration(now)) Register(out);
    if (link_.registered()) Report(out);
  }

  std::optional<Time> NextWakeup() const {
    const bool registered = link_.registered();
    return Earlier(link_.NextWakeup(),
                   Earlier(tasks_.NextWakeup(registered), replicas_.NextWakeup(registered)));
  }

  const TaskMachine& tasks() const { return tasks_; }
  const ReplicaMachine& replicas() const { return replicas_; }
  const LinkMachine& link() const { return link_; }

 private:
  void Handle(const AgentStarted& e, Effects& out) {
    info_ = e.info;
    for (const FoundTask& task : e.tasks) tasks_.Found(task);
    for (const FoundReplica& replica : e.replicas) replicas_.Found(now_, replica, out);
    link_.Start(now_, e.boot);
  }
  void Handle(const DevicesChanged& e, Effects&) {
    if (info_.devices == e.devices && info_.groups == e.groups) return;
    info_.devices = e.devices;
    info_.groups = e.groups;
    info_.warnings = e.warnings;
    link_.BeginAnew(now_);
  }
  void Handle(const FitnessChanged& e, Effects&) {
    if (info_.unfit == e.unfit) return;
    info_.unfit = e.unfit;
    link_.BeginAnew(now_);
  }
  // Tasks that run keep what they were told at their start; those that start later are told anew.
  void Handle(const AddressFound& e, Effects&) {
    if (info_.address == e.address && info_.metrics_address == e.metrics_address) return;
    info_.address = e.address;
    info_.metrics_address = e.metrics_address;
    link_.BeginAnew(now_);
  }
  void Handle(const LinkUp&, Effects&) { link_.Up(now_); }
  void Handle(const LinkDown&, Effects&) { link_.Down(now_); }
  void Handle(const SchedulerHeard&, Effects&) { link_.Heard(now_); }
  void Handle(const SchedulerSaid& e, Effects& out) {
    link_.Heard(now_);
    spoken_ = e.incarnation;
    std::visit([&](const auto& message) { Obey(message, out); }, e.message);
  }
  void Handle(const TaskSpawned& e, Effects& out) { tasks_.Spawned(now_, e, out); }
  void Handle(const TaskSpawnFailed& e, Effects&) { tasks_.SpawnFailed(now_, e); }
  void Handle(const TaskProcessExited& e, Effects&) { tasks_.Exited(e); }
  void Handle(const TaskProgressed& e, Effects&) { tasks_.Progressed(e); }
  void Handle(const ReplicaSpawned& e, Effects& out) { replicas_.Spawned(now_, e, out); }
  void Handle(const ReplicaSpawnFailed& e, Effects& out) { replicas_.SpawnFailed(now_, e, out); }
  void Handle(const ReplicaProcessExited& e, Effects& out) { replicas_.Exited(now_, e, out); }
  void Handle(const HealthProbed& e, Effects& out) { replicas_.Probed(now_, e, out); }
  void Handle(const ReplicaTraffic& e, Effects&) { replicas_.Traffic(now_, e); }
  void Handle(const TelemetrySampled& e, Effects&) { telemetry_ = e.devices; }
  void Handle(const ClockTicked&, Effects&) {}

  void Obey(const Welcome& welcome, Effects& out) {
    // The machine that had our name before us counted its registrations as we do.
    if (!welcome.instance.empty() && welcome.instance != info_.instance) {
      out.notes.emplace_back(StaleCommandRefused{welcome.epoch});
      return;
    }
    link_.Welcomed(now_, welcome, spoken_, out);
    tasks_.AskForLeases();
  }
  void Obey(const Refuse& refuse, Effects& out) { link_.Refused(now_, refuse, out); }
  void Obey(StartTask m, Effects& out) {
    if (!Current(m.epoch, out)) return;
    m.key = tasks_.Named(m.key);
    tasks_.Start(now_, m, out);
  }
  void Obey(StopTask m, Effects& out) {
    if (!Current(m.epoch, out)) return;
    m.key = tasks_.Named(m.key);
    tasks_.Stop(now_, m, out);
  }
  void Obey(AckTasks m, Effects& out) {
    if (!Current(m.epoch, out)) return;
    for (TaskKey& key : m.keys) key = tasks_.Named(key);
    tasks_.Acknowledge(m, out);
  }
  void Obey(const GrantLeases& m, Effects& out) {
    if (Current(m.epoch, out)) tasks_.Granted(now_, m, out);
  }
  void Obey(StartReplica m, Effects& out) {
    if (!Current(m.epoch, out)) return;
    m.id = replicas_.Named(m.id);
    replicas_.Start(now_, m, out);
  }
  void Obey(StopReplica m, Effects& out) {
    if (!Current(m.epoch, out)) return;
    m.id = replicas_.Named(m.id);
    replicas_.Stop(now_, m, out);
  }
  bool Current(Epoch epoch, Effects& out) {
    // Epochs are counted by the store, so those of another life of it say nothing.
    if (link_.registered() && epoch == link_.epoch() && spoken_ == link_.incarnation())
      return true;
    out.notes.emplace_back(StaleCommandRefused{epoch});
    return false;
  }

  void Register(Effects& out) {
    RegisterNode message;
    message.registration = link_.registration();
    message.info = info_;
    message.tasks = tasks_.Statuses();
    message.replicas = replicas_.Statuses();
    message.incarnations = true;
    out.commands.emplace_back(SendToScheduler{AgentMessage{std::move(message)}});
  }

  void Report(Effects& out) {
    if (auto tasks = tasks_.TakeReport(now_); !tasks.empty()) {
      out.commands.emplace_back(
          SendToScheduler{AgentMessage{TaskReport{link_.epoch(), std::move(tasks)}}});
    }
    if (auto replicas = replicas_.TakeReport(now_, link_.heartbeat_every()); !replicas.empty()) {
      out.commands.emplace_back(
          SendToScheduler{AgentMessage{ReplicaReport{link_.epoch(), std::move(replicas)}}});
    }
    // Sent at every interval, also when reports went out in between: only a heartbeat is sure
    // to be answered, and it is the answer that tells us the scheduler is there.
    const bool due = link_.TakeHeartbeat(now_);
    if (auto leases = tasks_.TakeLeasesToAsk(due); !leases.empty()) {
      out.commands.emplace_back(
          SendToScheduler{AgentMessage{AskLeases{link_.epoch(), now_, std::move(leases)}}});
    }
    if (!due) return;
    Heartbeat heartbeat;
    heartbeat.epoch = link_.epoch();
    heartbeat.devices = std::exchange(telemetry_, {});
    heartbeat.progress = tasks_.TakeProgress();
    out.commands.emplace_back(SendToScheduler{AgentMessage{std::move(heartbeat)}});
  }

  Time now_;
  NodeInfo info_;
  Incarnation spoken_;  // of the message at hand
  std::vector<DeviceTelemetry> telemetry_;  // not yet told
  DeviceGuard devices_;
  TaskMachine tasks_;
  ReplicaMachine replicas_;
  LinkMachine link_;
};

Core::Core(CoreOptions options, uint64_t seed) : impl_(std::make_unique<Impl>(options, seed)) {}
Core::~Core() = default;

void Core::Step(Time now, const Event& event, Effects& out) { impl_->Step(now, event, out); }
std::optional<Time> Core::NextWakeup() const { return impl_->NextWakeup(); }
Epoch Core::epoch() const { return impl_->link().epoch(); }
Incarnation Core::incarnation() const { return impl_->link().incarnation(); }
bool Core::registered() const { return impl_->link().registered(); }
std::vector<TaskStatus> Core::Tasks() const { return impl_->tasks().Statuses(); }
std::vector<ReplicaStatus> Core::Replicas() const { return impl_->replicas().Statuses(); }

}  // namespace allot::agent
