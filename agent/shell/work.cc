#include "agent/shell/work.h"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <filesystem>

#include <fcntl.h>
#include <sys/stat.h>

#include "agent/runtime/files.h"
#include "agent/runtime/strays.h"
#include "common/base/logging.h"

namespace allot::agent {
namespace {

constexpr auto kProgressEvery = std::chrono::seconds(1);

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
  ASSIGN_OR_RETURN(work->runtime_, ProcessRuntime::Create(loop, folder, std::move(supervisor),
                                                          std::move(handlers)));
  work->PollProgress();
  return work;
}

// ---- what earlier lives left -------------------------------------------------------------------

std::vector<std::string> Work::FindEarlier(AgentStarted* event, Time now) {
  StateFolder::Scan scan = folder_.ScanProcesses();
  std::map<ReplicaId, FoundReplica> replicas;
  std::vector<ProcessId> lost;
  for (const FoundProcess& found : scan.processes) {
    const ProcessRecord& record = found.record;
    const bool lost_with_machine = found.earlier_boot && WentDownWithIt(record);
    const bool killed = !found.alive && !record.exit && !lost_with_machine;
    if (killed && record.running)
      KillStrays(record.running->supervisor_pid, record.running->at, folder_.ScratchOf(found.id));
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
  const std::string logs = std::filesystem::path(folder_.LogOf("")).parent_path();
  for (const ProcessId& id : KillSupervisorsBut({scan.names.begin(), scan.names.end()}, logs))
    scan.warnings.push_back(
        fmt::format("{} ran without a record, so it was killed: who has emptied {}/processes?", id,
                    folder_.path()));
  if (!lost.empty())
    scan.warnings.push_back(
        fmt::format("the machine was restarted: {} tasks went down with it ({}{})", lost.size(),
                    lost.front(), lost.size() > 1 ? ", …" : ""));
  SweepEnergyFiles();
  return std::move(scan.warnings);
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
  alive.progress = std::make_unique<ProgressFile>(FilesOf(id).progress_file);
}

Status Work::SpawnConfined(ProcessSpec spec, const Resources& resources,
                           const std::vector<std::string>& devices) {
  StatusOr<Confinement::Place> place =
      confinement_->Enter(spec.id, resources, environment_.devices, devices);
  // Whatever is wrong with a cgroup or a device file is the node's, and no fault of the command.
  if (!place.ok()) return Unavailable("{}", MessageOf(place.status()));
  spec.cgroup = place->group.get();
  spec.join = std::move(place->join);
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
  const std::string log = folder_.LogOf(ProcessOf(command.key));
  const Fd fd(
      open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640));
  if (fd.valid()) (void)WriteAll(fd.get(), text, log);
}

Status Work::TrySpawn(const SpawnTask& command) {
  const ProcessId id = ProcessOf(command.key);
  ProcessFiles files = FilesOf(id);
  files.checkpoint_dir =
      command.launch.checkpoint_dir.empty()
          ? fmt::format("{}/checkpoints/{}", folder_.path(), ToString(command.key.task.job))
          : command.launch.checkpoint_dir;
  ProcessSpec spec;
  spec.id = id;
  spec.launch.what = StartTask{{}, command.key, command.launch};
  spec.argv = command.launch.command;
  spec.work_dir = command.launch.work_dir;
  RETURN_IF_ERROR(separation_->Apply({command.launch.tenant, command.launch.user}, environment_,
                                     command.launch.device_ids, &files, &spec));
  RETURN_IF_ERROR(separation_->MakeCheckpointFolder(
      command.key, command.launch.checkpoint_dir_named, files, &spec));
  std::error_code error;
  if (command.key.attempt.value() > 1 && (std::filesystem::is_empty(files.checkpoint_dir, error) ||
                                          error == std::errc::no_such_file_or_directory))
    TellOfLostCheckpoint(command, files.checkpoint_dir);
  spec.environment = ToStrings(TaskEnvironment(environment_, command.key, command.launch, files));
  return SpawnConfined(std::move(spec), command.launch.resources, command.launch.device_ids);
}

void Work::Perform(const SpawnTask& command) {
  if (const Status status = TrySpawn(command); !status.ok()) {
    SPDLOG_WARN("cannot start task={} why=\"{}\"", ToString(command.key), MessageOf(status));
    emit_(TaskSpawnFailed{command.key, MessageOf(status), CauseOf(status)});
    return;
  }
  AddTask(command.key, command.launch, false);
}

void Work::Perform(const SignalTask& command) {
  const ProcessId id = ProcessOf(command.key);
  // Said before the signal, so that a program that looks after SIGTERM finds it.
  if (command.signal == SIGTERM && Alive(id))
    (void)ReplaceFileUnsynced(FilesOf(id).preemption_notice_file, "{\"signal\": 15}\n");
  runtime_->Signal(id, command.signal);
}

void Work::Perform(const ForgetTask& command) {
  const ProcessId id = ProcessOf(command.key);
  alive_.erase(id);
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
  RETURN_IF_ERROR(separation_->Apply({command.launch.tenant, command.launch.user}, environment_,
                                     command.launch.device_ids, &files, &spec));
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
    SPDLOG_WARN("cannot start replica={} start={} why=\"{}\"", ToString(command.id), command.start,
                MessageOf(port.status()));
    emit_(ReplicaSpawnFailed{command.id, command.start, MessageOf(port.status())});
    return;
  }
  AddReplica({command.id, command.start}, *port, command.launch, false);
}

void Work::Perform(const SignalReplica& command) {
  runtime_->Signal(ProcessOf(command.id, command.start), command.signal);
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
  const std::filesystem::path logs = std::filesystem::path(folder_.LogOf("")).parent_path();
  for (std::filesystem::directory_iterator it(logs, error), end; !error && it != end;
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
    return stat(folder_.LogOf(entry.first).c_str(), &info) == 0 &&
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
  const StatusOr<std::string> saved = ReadWholeFile(EnergyFileOf(id), 64 << 10);
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
    Status saved = MakeFolder(folder_.path() + "/energy");
    if (saved.ok()) saved = ReplaceFileUnsynced(EnergyFileOf(id), text);
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

void Work::OnExited(const ProcessId& id, TaskExit exit) {
  auto node = alive_.extract(id);
  if (node.empty()) return;
  AliveProcess& alive = node.mapped();
  if (const std::string why = confinement_->WhyKilled(id, alive.resources); !why.empty())
    exit.message = why;
  confinement_->Leave(id);
  EndEnergy(id, &exit);
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
