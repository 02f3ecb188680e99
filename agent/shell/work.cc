#include "agent/shell/work.h"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <filesystem>

#include <fcntl.h>
#include <sys/stat.h>

#include "agent/runtime/beneath.h"
#include "agent/runtime/strays.h"
#include "common/base/logging.h"

namespace allot::agent {
namespace {

constexpr auto kProgressEvery = std::chrono::seconds(1);
constexpr Duration kCheckpointPatience = std::chrono::seconds(30);
constexpr Duration kStrayPatience = std::chrono::seconds(20);  // at the start, for all of them

// Of a process that was started under another kernel: whether the machine's end was its own. One
// that has ended by a signal did so while the machine was shut down: nobody was there to hear of
// it, or it would have been reported then.
bool WentDownWithIt(const ProcessRecord& record) {
  if (!record.exit || record.exit->signal != 0) return true;
  const int signal = record.exit->code - 128;  // as shells tell it
  return signal == SIGHUP || signal == SIGINT || signal == SIGKILL || signal == SIGTERM;
}

// A command that cannot be one is wrong everywhere; all else that keeps a process from being born
// is this node's.
ExitCause CauseOf(const Status& status) {
  return absl::IsInvalidArgument(status) ? ExitCause::kTask : ExitCause::kNotStarted;
}

bool LostWithMachine(const FoundProcess& found) {
  return found.earlier_boot && WentDownWithIt(found.record);
}
bool SupervisorWasKilled(const FoundProcess& found) {
  return !found.alive && !found.record.exit && !LostWithMachine(found);
}

}  // namespace

Work::Work(boost::asio::io_context& loop, StateFolder& folder, EnvironmentBase environment,
           std::unique_ptr<Confinement> confinement, std::unique_ptr<Separation> separation,
           Emit emit)
    : loop_(loop),
      folder_(folder),
      environment_(std::move(environment)),
      confinement_(std::move(confinement)),
      separation_(std::move(separation)),
      emit_(std::move(emit)),
      errands_(loop),
      scratch_(
          loop, folder.ScratchFolder(),
          [this](const ProcessId& id) { return runtime_->SupervisorOf(id); },
          [this](const ProcessId& id, const std::string& why) { OnScratchOver(id, why); }),
      prober_(loop),
      progress_timer_(loop) {
  energy_.SetDevices(environment_.devices);
}

StatusOr<std::unique_ptr<Work>> Work::Create(boost::asio::io_context& loop, StateFolder& folder,
                                             std::string supervisor, EnvironmentBase environment,
                                             std::unique_ptr<Confinement> confinement,
                                             std::unique_ptr<Separation> separation, Emit emit) {
  std::unique_ptr<Work> work(new Work(loop, folder, std::move(environment), std::move(confinement),
                                      std::move(separation), std::move(emit)));
  ProcessHandlers handlers;
  handlers.running = [w = work.get()](const ProcessId& id, int64_t pid, Time at) {
    w->OnRunning(id, pid, at);
  };
  handlers.exited = [w = work.get()](const ProcessId& id, const TaskExit& exit) {
    w->OnExited(id, exit);
  };
  const ProcessRuntime::Options options{.ended_whole = work->confinement_->abilities().kill};
  ASSIGN_OR_RETURN(work->runtime_, ProcessRuntime::Create(loop, folder, std::move(supervisor),
                                                          std::move(handlers), options));
  work->PollProgress();
  return work;
}

// ---- what earlier lives left -------------------------------------------------------------------

std::vector<std::string> Work::FindEarlier(AgentStarted* event, Time now) {
  StateFolder::Scan scan = folder_.ScanProcesses();
  std::map<ReplicaId, FoundReplica> replicas;
  std::vector<ProcessId> lost;
  KillWhatLostItsSupervisor(scan);
  for (const FoundProcess& found : scan.processes) {
    const ProcessRecord& record = found.record;
    const bool lost_with_machine = LostWithMachine(found);
    const bool killed = SupervisorWasKilled(found);
    if (const auto* start = std::get_if<StartTask>(&record.launch.what)) {
      if (lost_with_machine) {
        // The scheduler takes what is not in our registration for lost with the node, which it is.
        lost.push_back(found.id);
        folder_.Remove(found.id);
        continue;
      }
      FoundTask task{start->key, start->launch, {}};
      task.status.key = start->key;
      if (record.running) {
        task.status.pid = record.running->pid;
        task.status.started = record.running->at;
      }
      if (found.alive) {
        task.status.phase = record.running ? TaskPhase::kRunning : TaskPhase::kAssigned;
        AddTask(start->key, start->launch, record.running.has_value());
        if (record.running) ResumeEnergy(found.id, record.running->at);
        runtime_->Adopt(found);
      } else {
        task.status.phase = TaskPhase::kExited;
        task.status.exit = killed ? SupervisorKilled(record, now) : *record.exit;
      }
      event->tasks.push_back(std::move(task));
      continue;
    }
    const auto& start = std::get<StartReplica>(record.launch.what);
    const uint32_t number = ReplicaOfProcess(found.id)->start;
    FoundReplica& replica = replicas[start.id];
    const bool newest = number >= replica.starts;
    const ProcessId older = ProcessOf(start.id, newest ? replica.starts : number);
    if (newest) {
      replica = {start.id,
                 start.launch,
                 number,
                 found.alive,
                 record.running ? record.running->pid : 0,
                 record.launch.port,
                 lost_with_machine ? "its machine was restarted" : ""};
      last_start_[start.id] = number;
    }
    if (found.alive) {
      AddReplica({start.id, number}, record.launch.port, start.launch, record.running.has_value());
      if (record.running) ResumeEnergy(found.id, record.running->at);
      runtime_->Adopt(found);
    }
    if (older == ProcessOf(start.id, 0)) continue;
    // Two starts of one replica: the agent died while it was replacing the older.
    if (Alive(older)) {
      unwanted_.insert(older);
      runtime_->Signal(older, SIGKILL);
    } else {
      folder_.Remove(older);
    }
  }
  for (auto& [id, replica] : replicas) event->replicas.push_back(std::move(replica));
  std::set<ProcessId> alive;
  for (const auto& [id, process] : alive_) alive.insert(id);
  confinement_->LeaveAllBut(alive);
  auto killed = std::make_shared<std::set<ProcessId>>();
  const Status looked =
      Errands::Await("looking for supervisors without a record", kStrayPatience,
                     [killed, logs = folder_.LogFolder(),
                      known = std::set<ProcessId>(scan.names.begin(), scan.names.end())] {
                       *killed = KillSupervisorsBut(known, logs);
                       return absl::OkStatus();
                     });
  if (!looked.ok()) {
    scan.warnings.push_back(MessageOf(looked));
  } else {
    for (const ProcessId& id : *killed)
      scan.warnings.push_back(
          fmt::format("{} ran without a record, so it was killed: who has emptied {}/processes?",
                      id, folder_.path()));
  }
  if (!lost.empty())
    scan.warnings.push_back(
        fmt::format("the machine was restarted: {} tasks went down with it ({}{})", lost.size(),
                    lost.front(), lost.size() > 1 ? ", …" : ""));
  SweepEnergyFiles();
  return std::move(scan.warnings);
}

// Before anything new is started. Waited for, but not for ever: memory of processes is looked at.
void Work::KillWhatLostItsSupervisor(const StateFolder::Scan& scan) {
  struct Left {
    int64_t supervisor_pid;
    Time started;
    std::string scratch;
  };
  std::vector<Left> left;
  for (const FoundProcess& found : scan.processes)
    if (SupervisorWasKilled(found) && found.record.running)
      left.push_back({found.record.running->supervisor_pid, found.record.running->at,
                      folder_.ScratchOf(found.id)});
  if (left.empty()) return;
  const Status looked =
      Errands::Await("looking for what killed supervisors have left", kStrayPatience, [left] {
        for (const Left& each : left) KillStrays(each.supervisor_pid, each.started, each.scratch);
        return absl::OkStatus();
      });
  if (!looked.ok()) SPDLOG_WARN("{}", MessageOf(looked));
}

// ---- tasks --------------------------------------------------------------------------------------

ProcessFiles Work::FilesOf(const ProcessId& id) const {
  ProcessFiles files;
  files.scratch = folder_.ScratchOf(id);
  files.progress_file = fmt::format("{}/{}", files.scratch, kProgressFile);
  files.preemption_notice_file = fmt::format("{}/{}", files.scratch, kPreemptionNoticeFile);
  return files;
}

void Work::AddTask(const TaskKey& key, const TaskLaunch& launch, bool running) {
  const ProcessId id = ProcessOf(key);
  AliveProcess& alive = alive_[id];
  alive.task = key;
  alive.resources = launch.resources;
  alive.device_ids = launch.device_ids;
  alive.running = running;
  StateFolder::Place progress = folder_.InScratch(id, kProgressFile);
  alive.progress =
      std::make_unique<ProgressFile>(std::move(progress.folder), std::move(progress.name));
  scratch_.Watch(id, ScratchOf(&launch));
}

ScratchLimit Work::ScratchOf(const TaskLaunch* launch) const {
  ScratchLimit limit = scratch_limit_;
  if (launch != nullptr && launch->scratch_max)
    limit.bytes = std::min(limit.bytes.value_or(*launch->scratch_max), *launch->scratch_max);
  return limit;
}

Status Work::SpawnConfined(ProcessSpec spec, const Resources& resources,
                           const std::vector<std::string>& devices) {
  StatusOr<Confinement::Place> place =
      confinement_->Enter(spec.id, resources, environment_.devices, devices);
  // Whatever is wrong with a cgroup or a device file is the node's, and no fault of the command.
  if (!place.ok()) return Unavailable("{}", MessageOf(place.status()));
  spec.cgroup = place->group.get();
  spec.join = std::move(place->join);
  spec.log_max = log_max_;
  spec.log_free_min = log_free_min_;
  if (scratch_tmpfs_) {
    const auto* task = std::get_if<StartTask>(&spec.launch.what);
    const ScratchLimit limit = ScratchOf(task == nullptr ? nullptr : &task->launch);
    spec.scratch = ScratchMemory{*limit.bytes, limit.files};
  }
  const Status spawned = runtime_->Spawn(spec);
  // An id that was used before has a group of its own still.
  if (!spawned.ok() && spawned.code() != StatusCode::kAlreadyExists) confinement_->Leave(spec.id);
  return spawned;
}

// An attempt that begins anew without a word is taken for one that went on.
void Work::TellOfLostCheckpoint(const SpawnTask& command, const std::string& folder) {
  const std::string text = fmt::format(
      "[allotrope] attempt {} finds nothing in its checkpoint folder {} on node {}: it starts from "
      "the beginning. If an earlier attempt has written a checkpoint on another node, give the job "
      "a checkpoint_dir that all nodes share.\n",
      command.key.attempt.value(), folder, environment_.node_name);
  SPDLOG_WARN("no checkpoint task={} attempt={} folder={}", ToString(command.key),
              command.key.attempt.value(), folder);
  const std::string log = StateFolder::LogName(ProcessOf(command.key));
  const StatusOr<Fd> fd =
      OpenFileBeneath(folder_.LogFolder(), log, O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (fd.ok()) (void)WriteAll(fd->get(), text, log);
}

Status Work::Separate(const Separation::Asker& asker, const std::vector<std::string>& leased,
                      ProcessFiles* files, ProcessSpec* spec) {
  const ProcessFiles files_before = *files;
  const ProcessSpec spec_before = *spec;
  Status status = separation_->Apply(asker, environment_, leased, files, spec);
  if (!absl::IsNotFound(status) || !folder_.MakeFolders().ok()) return status;
  *files = files_before;
  *spec = spec_before;
  return separation_->Apply(asker, environment_, leased, files, spec);
}

StatusOr<Work::TaskStart> Work::StartOf(const SpawnTask& command) {
  TaskStart start;
  auto& [files, spec, checkpoints] = start;
  const TaskLaunch& launch = command.launch;
  spec.id = ProcessOf(command.key);
  spec.launch.what = StartTask{{}, command.key, launch};
  spec.argv = launch.command;
  spec.work_dir = launch.work_dir;
  files = FilesOf(spec.id);
  files.checkpoint_dir = launch.checkpoint_dir.empty()
                             ? folder_.CheckpointsOf(ToString(command.key.task.job))
                             : launch.checkpoint_dir;
  RETURN_IF_ERROR(Separate({launch.tenant, launch.user}, launch.device_ids, &files, &spec));
  checkpoints = Separation::CheckpointsOf(command.key.task.job, launch.checkpoint_dir_named,
                                          files.checkpoint_dir, &spec);
  return start;
}

Status Work::PrepareNear(const CheckpointFolder& folder, bool* empty) {
  const std::string mount = mounts_.Of(folder.path);
  if (mount != mounts_.Of(folder_.path()))
    return FailedPrecondition("{} is elsewhere", folder.path);
  return PrepareCheckpointsNear(folder, mount, empty);
}

void Work::Prepare(const SpawnTask& command, TaskStart start) {
  const ProcessId id = start.spec.id;
  const uint64_t turn = ++prepared_;
  preparing_[id] = turn;
  auto empty = std::make_shared<bool>(false);
  const CheckpointFolder folder = start.checkpoints;
  errands_.Run(
      mounts_.Of(folder.path), fmt::format("the checkpoint folder {}", folder.path),
      kCheckpointPatience, [folder, empty] { return PrepareCheckpoints(folder, empty.get()); },
      [this, command, start = std::move(start), turn, empty](const Status& status) {
        const auto it = preparing_.find(start.spec.id);
        if (it == preparing_.end() || it->second != turn) return;  // Stopped meanwhile.
        preparing_.erase(it);
        if (!status.ok()) return Failed(command, status);
        Spawn(command, start, *empty);
      });
}

void Work::Failed(const SpawnTask& command, const Status& status) {
  SPDLOG_WARN("cannot start task={} why=\"{}\"", ToString(command.key), MessageOf(status));
  emit_(TaskSpawnFailed{command.key, MessageOf(status), CauseOf(status)});
}

void Work::Spawn(const SpawnTask& command, TaskStart start, bool empty) {
  auto& [files, spec, checkpoints] = start;
  if (command.key.attempt.value() > 1 && empty) TellOfLostCheckpoint(command, checkpoints.path);
  spec.environment = ToStrings(TaskEnvironment(environment_, command.key, command.launch, files));
  if (command.launch.terms.needed())
    spec.lease = ProcessLease{boot_nanos_(leases_.at(spec.id)), command.launch.terms.grace()};
  const Status status =
      SpawnConfined(std::move(spec), command.launch.resources, command.launch.device_ids);
  if (!status.ok()) {
    if (CauseOf(status) == ExitCause::kNotStarted) node_fault_(status);
    return Failed(command, status);
  }
  AddTask(command.key, command.launch, false);
}

void Work::Perform(const RenewLease& command) {
  const ProcessId id = ProcessOf(command.key);
  leases_[id] = command.until;  // Also where it is only spawned later.
  runtime_->Renew(id, boot_nanos_(command.until));
}

void Work::Perform(const SpawnTask& command) {
  if (command.launch.terms.needed()) leases_[ProcessOf(command.key)] = command.lease_until;
  StatusOr<TaskStart> start = StartOf(command);
  Status status = start.status();
  bool empty = false;
  if (status.ok()) {
    const CheckpointFolder& folder = start->checkpoints;
    // What the task makes itself is only looked at for what is said of later attempts.
    const bool unlooked = folder.as && !folder.clusters && command.key.attempt.value() == 1;
    if (command.launch.checkpoint_dir.empty() && !folder.as) {
      status = folder_.MakeCheckpointFolder(ToString(command.key.task.job), &empty).status();
    } else if (!unlooked) {
      status = PrepareNear(folder, &empty);
      // Whatever is not plain is looked at where it may take its time.
      if (absl::IsFailedPrecondition(status)) return Prepare(command, *std::move(start));
    }
  }
  if (status.ok()) return Spawn(command, *std::move(start), empty);
  if (CauseOf(status) == ExitCause::kNotStarted) node_fault_(status);
  Failed(command, status);
}

void Work::Perform(const SignalTask& command) {
  const ProcessId id = ProcessOf(command.key);
  if (preparing_.erase(id) > 0) {  // Only SIGKILL is sent to what does not run yet.
    emit_(TaskSpawnFailed{command.key, "stopped before it was started"});
    return;
  }
  // Said before the signal, so that a program that looks after SIGTERM finds it.
  if (command.signal == SIGTERM && Alive(id)) {
    const StateFolder::Place notice = folder_.InScratch(id, kPreemptionNoticeFile);
    const Status told = ReplaceFileBeneath(notice.folder, notice.name, "{\"signal\": 15}\n");
    if (!told.ok()) SPDLOG_WARN("no preemption notice: {}", MessageOf(told));
  }
  if (command.signal == SIGKILL) confinement_->Kill(id);
  runtime_->Signal(id, command.signal);
}

void Work::Perform(const ForgetTask& command) {
  const ProcessId id = ProcessOf(command.key);
  alive_.erase(id);
  leases_.erase(id);
  runtime_->Forget(id);
  confinement_->Leave(id);
}

void Work::PollProgress() {
  confinement_->Sweep();
  for (auto& [id, alive] : alive_) {
    if (!alive.progress || !alive.running) continue;
    if (const auto progress = alive.progress->Poll()) emit_(TaskProgressed{*alive.task, *progress});
  }
  progress_timer_.After(kProgressEvery, [this] { PollProgress(); });
}

// ---- replicas -----------------------------------------------------------------------------------

void Work::AddReplica(const ReplicaStart& start, uint16_t port, const ReplicaLaunch& launch,
                      bool running) {
  AliveProcess& alive = alive_[ProcessOf(start.id, start.start)];
  alive.replica = start;
  alive.port = port;
  alive.deployment = launch.deployment;
  alive.device_ids = launch.device_ids;
  alive.resources = launch.resources;
  alive.running = running;
  health_[start.id] = launch.health;
  scratch_.Watch(ProcessOf(start.id, start.start), scratch_limit_);
}

StatusOr<uint16_t> Work::TrySpawn(const SpawnReplica& command) {
  ASSIGN_OR_RETURN(const uint16_t port, FreeLoopbackPort());
  ProcessSpec spec;
  spec.id = ProcessOf(command.id, command.start);
  spec.launch.what = StartReplica{{}, command.id, command.launch};
  spec.launch.port = port;
  spec.argv = ReplacePort(command.launch.command, port);
  spec.work_dir = command.launch.work_dir;
  ProcessFiles files = FilesOf(spec.id);
  RETURN_IF_ERROR(Separate({command.launch.tenant, command.launch.user}, command.launch.device_ids,
                           &files, &spec));
  spec.environment =
      ToStrings(ReplicaEnvironment(environment_, command.id, command.launch, port, files));
  RETURN_IF_ERROR(
      SpawnConfined(std::move(spec), command.launch.resources, command.launch.device_ids));
  return port;
}

void Work::SetEndpoints(const Endpoints& endpoints) {
  endpoints_ = EndpointDirectory(endpoints);
  for (const auto& endpoint : endpoints)
    if (endpoint->token)
      for (const std::string& device : endpoint->devices)
        environment_.endpoint_token_files[device] = endpoint->token->path();
}

std::shared_ptr<const EndpointLease> Work::RemoteOf(ReplicaId id) const {
  const auto it = remotes_.find(id);
  return it == remotes_.end() ? nullptr : it->second.lease;
}

void Work::ForgetStart(ReplicaId id, uint32_t start) {
  const ProcessId process = ProcessOf(id, start);
  prober_.Forget(process);
  if (remotes_.contains(id)) return;  // Nothing else is kept of it.
  alive_.erase(process);
  runtime_->Forget(process);
  confinement_->Leave(process);
}

void Work::Perform(const SpawnReplica& command) {
  const auto last = last_start_.find(command.id);
  if (last != last_start_.end() && last->second != command.start)
    ForgetStart(command.id, last->second);
  last_start_[command.id] = command.start;
  remotes_.erase(command.id);
  const auto lease = endpoints_.Lease(command.launch.device_ids);
  if (lease.ok() && *lease != nullptr) {
    health_[command.id] = command.launch.health;
    remotes_[command.id] = {command.start, *lease};
    emit_(ReplicaSpawned{command.id, command.start, 0, 0, /*remote=*/true});
    return;
  }
  const StatusOr<uint16_t> port = lease.ok() ? TrySpawn(command) : lease.status();
  if (!port.ok()) {
    if (CauseOf(port.status()) == ExitCause::kNotStarted) node_fault_(port.status());
    SPDLOG_WARN("cannot start replica={} start={} why=\"{}\"", ToString(command.id), command.start,
                MessageOf(port.status()));
    emit_(ReplicaSpawnFailed{command.id, command.start, MessageOf(port.status())});
    return;
  }
  AddReplica({command.id, command.start}, *port, command.launch, false);
}

void Work::Perform(const SignalReplica& command) {
  const ProcessId id = ProcessOf(command.id, command.start);
  if (command.signal == SIGKILL) confinement_->Kill(id);
  runtime_->Signal(id, command.signal);
}

void Work::Perform(const ProbeReplica& command) {
  const ProcessId id = ProcessOf(command.id, command.start);
  const auto done = [this, command](bool healthy, std::string message) {
    emit_(HealthProbed{command.id, command.start, healthy, std::move(message)});
  };
  if (const auto lease = RemoteOf(command.id); lease != nullptr) {
    // The endpoint's own path: the deployment's is for the model server that it would run.
    prober_.Probe(
        id, [lease](boost::asio::io_context& loop) { return lease->endpoint->Connect(loop, 1); },
        lease->endpoint->HealthQuestion(health_[command.id].timeout), done);
    return;
  }
  const auto alive = alive_.find(id);
  if (alive == alive_.end()) return done(false, "the model server does not run");
  prober_.Probe(id, alive->second.port, health_[command.id], done);
}

void Work::Perform(const ForgetReplica& command) {
  const auto last = last_start_.find(command.id);
  if (last == last_start_.end()) return;
  ForgetStart(command.id, last->second);
  remotes_.erase(command.id);
  last_start_.erase(last);
  health_.erase(command.id);
}

ProcessId Work::LastOf(ReplicaId id) const {
  if (const auto last = last_start_.find(id); last != last_start_.end())
    return ProcessOf(id, last->second);
  // Gone by now; its log stays.
  uint32_t newest = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder_.LogFolder(), error), end; !error && it != end;
       it.increment(error))
    if (const auto start = ReplicaOfProcess(it->path().stem().string()); start && start->id == id)
      newest = std::max(newest, start->start);
  return ProcessOf(id, newest);
}

size_t Work::replicas_alive() const {
  return static_cast<size_t>(std::count_if(alive_.begin(), alive_.end(),
                                           [](const auto& entry) { return !entry.second.task; }));
}

bool Work::AnyLogAbove(Bytes most) const {
  struct stat info {};
  return std::any_of(alive_.begin(), alive_.end(), [&](const auto& entry) {
    return lstat(folder_.LogOf(entry.first).c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
           static_cast<Bytes>(info.st_blocks) * 512 > most;
  });
}

// ---- energy -------------------------------------------------------------------------------------

void Work::SetDevices(std::vector<Device> devices, std::vector<DeviceGroup> groups) {
  energy_.SetDevices(devices);
  environment_.devices = std::move(devices);
  environment_.groups = std::move(groups);
}

std::string Work::EnergyFileOf(const ProcessId& id) const {
  return fmt::format("{}/energy/{}", folder_.path(), id);
}

void Work::ResumeEnergy(const ProcessId& id, Time at) {
  const StatusOr<std::string> saved = ReadFileBeneath(folder_.path() + "/energy", id, 64 << 10);
  energy_.Resume(id, alive_.at(id).device_ids, at, saved.ok() ? *saved : "");
}

void Work::EndEnergy(const ProcessId& id, TaskExit* exit) {
  exit->energy = energy_.End(id, exit->started, exit->finished);
  std::error_code ignored;
  std::filesystem::remove(EnergyFileOf(id), ignored);
}

void Work::SweepEnergyFiles() {
  std::error_code error;
  std::vector<std::filesystem::path> ended;
  for (std::filesystem::directory_iterator it(folder_.path() + "/energy", error), end;
       !error && it != end; it.increment(error))
    if (!Alive(it->path().filename().string())) ended.push_back(it->path());
  for (const auto& path : ended) std::filesystem::remove(path, error);
}

std::map<std::string, double> Work::TakeReplicaJoules() {
  for (const auto& [id, text] : energy_.TakeSaves()) {
    // Without it the energy of this process is unknown after a restart, and nothing else is.
    const std::string folder = folder_.path() + "/energy";
    Status saved = MakeFolder(folder);
    if (saved.ok()) saved = ReplaceFileBeneath(folder, id, text, 0640);
    if (!saved.ok()) SPDLOG_DEBUG("cannot keep the energy of {}: {}", id, MessageOf(saved));
  }
  std::map<std::string, double> joules;
  for (const auto& [id, process] : alive_)
    if (!process.task)
      if (const double more = energy_.TakeJoules(id); more > 0) joules[process.deployment] += more;
  return joules;
}

// ---- what happens to them -----------------------------------------------------------------------

void Work::OnRunning(const ProcessId& id, int64_t pid, Time at) {
  const auto it = alive_.find(id);
  if (it == alive_.end()) return;
  it->second.running = true;
  energy_.Begin(id, it->second.device_ids, at);
  if (unwanted_.contains(id)) return;
  if (it->second.task) {
    emit_(TaskSpawned{*it->second.task, pid, at});
  } else {
    emit_(ReplicaSpawned{it->second.replica.id, it->second.replica.start, pid, it->second.port});
  }
}

// The job's fault and not the node's. Nothing of it is asked to end: what fills a disk does so
// fast.
void Work::OnScratchOver(const ProcessId& id, const std::string& why) {
  const auto it = alive_.find(id);
  if (it == alive_.end() || !it->second.over.empty()) return;
  SPDLOG_WARN("ending process={} why=\"{}\"", id, why);
  it->second.over = why;
  confinement_->Kill(id);
  runtime_->Signal(id, SIGKILL);
}

void Work::OnExited(const ProcessId& id, TaskExit exit) {
  auto node = alive_.extract(id);
  if (node.empty()) return;
  AliveProcess& alive = node.mapped();
  if (const std::string why = confinement_->WhyKilled(id, alive.resources); !why.empty())
    exit.message = why;
  if (!alive.over.empty()) exit.message = alive.over;
  scratch_.Forget(id);
  leases_.erase(id);
  confinement_->Leave(id);
  EndEnergy(id, &exit);
  if (exit.cause == ExitCause::kNotStarted) node_fault_(Unavailable("{}", exit.message));
  if (unwanted_.erase(id) > 0) {
    runtime_->Forget(id);
    return;
  }
  if (alive.task) {
    if (alive.progress)  // What it wrote last, if nobody has looked since.
      if (const auto progress = alive.progress->Poll())
        emit_(TaskProgressed{*alive.task, *progress});
    emit_(TaskProcessExited{*alive.task, exit});
  } else if (!alive.running) {
    emit_(ReplicaSpawnFailed{alive.replica.id, alive.replica.start, exit.message});
  } else {
    prober_.Forget(id);
    emit_(ReplicaProcessExited{alive.replica.id, alive.replica.start, exit});
  }
}

}  // namespace allot::agent
