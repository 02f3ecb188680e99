#include "agent/runtime/process_runtime_impl.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <unordered_map>

#include <fcntl.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>

#include "agent/runtime/beneath.h"
#include "agent/runtime/errands.h"
#include "agent/runtime/strays.h"
#include "agent/supervisor/protocol.h"
#include "common/asio/timer.h"
#include "common/base/check.h"
#include "common/base/file_limit.h"
#include "common/base/logging.h"

namespace allot::agent {
namespace {

namespace asio = boost::asio;
using supervisor::Report;

constexpr size_t kReportPipeBytes = 1 << 20;
constexpr Duration kAdoptPause = std::chrono::milliseconds(20);

int PidfdOpen(int64_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

bool Locked(int fd) {
  if (flock(fd, LOCK_SH | LOCK_NB) == 0) {
    flock(fd, LOCK_UN);
    return false;
  }
  return errno == EWOULDBLOCK;
}

std::vector<char*> Pointers(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// The words of protocol.h, SETUP, with their number; nothing where there is nothing to say.
std::vector<std::string> SetupWords(const ProcessSpec& spec, const std::string& scratch) {
  std::vector<std::string> words;
  for (const std::string& procs : spec.join) words.push_back("join=" + procs);
  for (const ProcessLimit& limit : spec.limits)
    words.push_back(fmt::format("limit={}:{}:{}", limit.resource, limit.soft, limit.hard));
  if (spec.umask) words.push_back(fmt::format("umask={}", *spec.umask));
  if (const auto& as = spec.as) {
    words.push_back(fmt::format("user={}:{}", as->uid, as->gid));
    if (!as->groups.empty()) words.push_back(fmt::format("groups={}", fmt::join(as->groups, ":")));
    if (as->capabilities != 0) words.push_back(fmt::format("capabilities={}", as->capabilities));
    if (as->own_tmp) words.push_back("tmp=" + scratch);
    if (as->hide_others) words.push_back("hide=1");
    if (!as->make_folder.empty()) words.push_back("folder=" + as->make_folder);
  }
  if (spec.lease)
    words.push_back(fmt::format(
        "lease={}:{}", spec.lease->until_nanos,
        std::chrono::duration_cast<std::chrono::nanoseconds>(spec.lease->grace).count()));
  if (!words.empty())
    words.insert(words.begin(), fmt::format("{}{}", spec.lease ? "++" : "+", words.size()));
  return words;
}

class SpawnActions {
 public:
  SpawnActions() { posix_spawn_file_actions_init(&actions_); }
  ~SpawnActions() { posix_spawn_file_actions_destroy(&actions_); }
  void Dup(int from, int to) { posix_spawn_file_actions_adddup2(&actions_, from, to); }
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

// The descriptors a supervisor gets are put in place one after the other, so none of ours may
// stand where one of them goes.
Fd ClearOfTargets(Fd fd) {
  if (!fd.valid() || fd.get() > supervisor::kCgroupFd) return fd;
  return Fd(fcntl(fd.get(), F_DUPFD_CLOEXEC, supervisor::kCgroupFd + 1));
}

}  // namespace

Status ProcessRuntime::Impl::Open() {
  if (access(supervisor_.c_str(), X_OK) != 0)
    return ErrnoStatus(errno, fmt::format("cannot run the supervisor {}", supervisor_));
  FallToUs();
  null_ = ClearOfTargets(Fd(open("/dev/null", O_RDWR | O_CLOEXEC)));
  int ends[2];
  if (!null_.valid() || pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
    return ErrnoStatus(errno, "cannot open what supervisors report through");
  Fd read_end(ends[0]);
  report_write_ = ClearOfTargets(Fd(ends[1]));
  // Room for all reports of a burst that arrives while the loop is busy; the default will do too.
  (void)fcntl(read_end.get(), F_SETPIPE_SZ, kReportPipeBytes);
  reports_.assign(read_end.Release());
  WaitForReports();
  WakeStopped();
  return absl::OkStatus();
}

StatusOr<Fd> ProcessRuntime::Impl::WriteRecord(const ProcessSpec& spec) {
  const std::string path = folder_.RecordOf(spec.id);
  Fd fd = ClearOfTargets(
      Fd(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0640)));
  if (!fd.valid()) {
    if (errno == EEXIST) return AlreadyExists("process {} has already been started here", spec.id);
    return ErrnoStatus(errno, fmt::format("cannot create the process's record {}", path));
  }
  Status status = absl::OkStatus();
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
    status = ErrnoStatus(errno, fmt::format("cannot lock {}", path));
  if (status.ok()) status = WriteAll(fd.get(), FormatLaunch(spec.launch, folder_.boot_id()), path);
  if (!status.ok()) {
    unlink(path.c_str());
    return status;
  }
  return fd;
}

StatusOr<pid_t> ProcessRuntime::Impl::StartSupervisor(const ProcessSpec& spec, uint64_t token,
                                                      int record_fd, const std::string& work_dir) {
  std::vector<std::string> argv = {
      "allot-supervisor", spec.id,
      fmt::format("{}:{}:{}:{}:{}", token, FileLimitBeforeRaise(), spec.cgroup >= 0 ? 1 : 0,
                  spec.log_max, spec.log_free_min),
      folder_.LogOf(spec.id)};
  const std::vector<std::string> setup = SetupWords(spec, folder_.ScratchOf(spec.id));
  argv.insert(argv.end(), setup.begin(), setup.end());
  argv.push_back(work_dir);
  CHECK(argv.size() == supervisor::kArgvStart + setup.size());
  argv.insert(argv.end(), spec.argv.begin(), spec.argv.end());
  SpawnActions actions;
  for (const int fd : {0, 1, 2}) actions.Dup(null_.get(), fd);
  actions.Dup(report_write_.get(), supervisor::kReportFd);
  actions.Dup(record_fd, supervisor::kRecordFd);
  Fd cgroup;
  if (spec.cgroup >= 0) {
    cgroup = Fd(fcntl(spec.cgroup, F_DUPFD_CLOEXEC, supervisor::kCgroupFd + 1));
    if (!cgroup.valid()) return ErrnoStatus(errno, "cannot hand on the process's cgroup");
    actions.Dup(cgroup.get(), supervisor::kCgroupFd);
  }
  pid_t pid = 0;
  const int error = StartOwnSupervisor(&pid, [&](pid_t* started) {
    return posix_spawn(started, supervisor_.c_str(), actions.get(), attributes_.get(),
                       Pointers(argv).data(), Pointers(spec.environment).data());
  });
  if (error == E2BIG)
    return InvalidArgument("the command and its environment are too large for the system: {}",
                           strerror(error));
  if (error != 0) return ErrnoStatus(error, fmt::format("cannot start {}", supervisor_));
  return pid;
}

// Puts into the new folder what is to be there, and gives it to whom it is for; that last: until
// then nobody else may change what is in it.
Status ProcessRuntime::Impl::GiveScratch(const ProcessSpec& spec, const std::string& scratch) {
  if (!spec.as && spec.files.empty()) return absl::OkStatus();
  const Fd folder(open(scratch.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder.valid()) return ErrnoStatus(errno, fmt::format("cannot open {}", scratch));
  for (const auto& [name, content] : spec.files) {
    const std::string path = fmt::format("{}/{}", scratch, name);
    const Fd file(
        openat(folder.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400));
    if (!file.valid()) return ErrnoStatus(errno, fmt::format("cannot create {}", path));
    RETURN_IF_ERROR(WriteAll(file.get(), content, path));
    if (spec.as && fchown(file.get(), spec.as->uid, spec.as->gid) != 0)
      return ErrnoStatus(errno, fmt::format("cannot give {} to its user", path));
  }
  if (spec.as && fchown(folder.get(), spec.as->uid, spec.as->gid) != 0)
    return ErrnoStatus(errno, fmt::format("cannot give {} to its user", scratch));
  return absl::OkStatus();
}

Status ProcessRuntime::Impl::Spawn(const ProcessSpec& spec) {
  const auto failed = [this](Status status) {
    ++counters_.spawn_failures;
    return status;
  };
  if (spec.argv.empty()) return failed(InvalidArgument("the command is empty"));
  const auto has_nul = [](const std::string& s) { return s.find('\0') != s.npos; };
  if (std::any_of(spec.argv.begin(), spec.argv.end(), has_nul) ||
      std::any_of(spec.environment.begin(), spec.environment.end(), has_nul))
    return failed(InvalidArgument("the command or its environment holds a zero byte"));
  if (processes_.contains(spec.id))
    return failed(AlreadyExists("process {} has already been started here", spec.id));
  StatusOr<Fd> record = WriteRecord(spec);
  // Somebody has emptied our folder: it is made again, as often as that happens.
  if (absl::IsNotFound(record.status()) && folder_.MakeFolders().ok()) record = WriteRecord(spec);
  if (!record.ok()) return failed(record.status());

  const std::string scratch = folder_.ScratchOf(spec.id);
  Status status = folder_.MakeScratch(spec.id, spec.scratch);
  if (absl::IsNotFound(status) && folder_.MakeFolders().ok())
    status = folder_.MakeScratch(spec.id, spec.scratch);
  if (status.ok()) status = GiveScratch(spec, scratch);
  StatusOr<pid_t> pid = 0;
  if (status.ok()) {
    pid = StartSupervisor(spec, last_token_ + 1, record->get(),
                          spec.work_dir.empty() ? scratch : spec.work_dir);
    status = pid.status();
  }
  if (!status.ok()) {
    folder_.Remove(spec.id);
    return failed(status);
  }
  ++counters_.spawned;
  auto process = std::make_unique<Process>(loop_);
  process->token = ++last_token_;
  process->child_pid = *pid;
  process->supervisor_pid = *pid;
  tokens_.emplace(process->token, spec.id);
  // Our own child, not yet waited for: its pid cannot be another's.
  Fd pidfd(PidfdOpen(*pid));
  Process& placed = *(processes_[spec.id] = std::move(process));
  EnforceAfter(spec.id, placed, options_.start_max);
  if (!OrphansAreOurs()) LookBelow();
  // Out of descriptors: tried again until there is one.
  if (!Watch(spec.id, placed, std::move(pidfd))) Attach(spec.id);
  return absl::OkStatus();
}

void ProcessRuntime::Impl::Adopt(const FoundProcess& found) {
  auto process = std::make_unique<Process>(loop_);
  process->told_running = found.record.running.has_value();
  Process& placed = *(processes_[found.id] = std::move(process));
  if (!placed.told_running) EnforceAfter(found.id, placed, options_.start_max);
  LookBelow();
  asio::post(loop_, [self = weak_from_this(), id = found.id] {
    if (const auto impl = self.lock()) impl->Attach(id);
  });
}

// Finds the supervisor of a process that we did not start ourselves.
void ProcessRuntime::Impl::Attach(const ProcessId& id) {
  const auto it = processes_.find(id);
  if (it == processes_.end()) return;
  Process& process = *it->second;
  const StatusOr<Fd> file = OpenFileBeneath(folder_.RecordFolder(), id, O_RDONLY);
  StatusOr<std::string> content = InvalidArgument("unread");
  if (file.ok()) content = ReadAll(file->get(), folder_.RecordOf(id), kRecordBytesMax);
  StatusOr<ProcessRecord> record = InvalidArgument("unread");
  if (content.ok()) record = ParseRecord(*content);
  if (record.ok() && record->running) {
    Fd pidfd(PidfdOpen(record->running->supervisor_pid));
    // Still locked after the pidfd was opened: the supervisor lives, so the pidfd is its own.
    if (Locked(file->get()) && Watch(id, process, std::move(pidfd))) {
      process.supervisor_pid = record->running->supervisor_pid;
      AddOwnSupervisor(process.supervisor_pid);
      TellRunning(id, process, record->running->pid, record->running->at);
      return;
    }
  }
  // Removed, or something else was put in its place: there is nothing to wait for in it.
  const bool missing = absl::IsNotFound(file.status()) || absl::IsFailedPrecondition(file.status());
  if (missing || (file.ok() && !Locked(file->get()))) return Gone(id);
  Retry(id, process, &Impl::Attach);
}

void ProcessRuntime::Impl::Retry(const ProcessId& id, Process& process,
                                 void (Impl::*what)(const ProcessId&)) {
  process.retry.After(kAdoptPause, [self = weak_from_this(), id, what] {
    if (const auto impl = self.lock()) ((*impl).*what)(id);
  });
}

// False: there is no pidfd, or the system has no room to watch it.
bool ProcessRuntime::Impl::Watch(const ProcessId& id, Process& process, Fd pidfd) {
  if (!pidfd.valid()) return false;
  boost::system::error_code full;
  process.supervisor.assign(pidfd.get(), full);
  if (full) return false;
  (void)pidfd.Release();
  // A description of its own: the lock on the supervisor's lives as long as that does.
  if (StatusOr<Fd> record = OpenFileBeneath(folder_.RecordFolder(), id, O_RDWR | O_APPEND);
      record.ok())
    process.record = *std::move(record);
  for (const int signal : process.signals_due) Send(process, signal);
  process.signals_due.clear();
  if (process.lease_due != 0) Renew(id, process.lease_due);
  process.supervisor.async_wait(
      asio::posix::stream_descriptor::wait_read,
      [self = weak_from_this(), id](const boost::system::error_code& error) {
        if (const auto impl = self.lock(); impl && !error) impl->Gone(id);
      });
  return true;
}

void ProcessRuntime::Impl::WaitForReports() {
  reports_.async_wait(asio::posix::stream_descriptor::wait_read,
                      [self = weak_from_this()](const boost::system::error_code& error) {
                        const auto impl = self.lock();
                        if (!impl || error) return;
                        impl->TakeReports();
                        impl->WaitForReports();
                      });
}

void ProcessRuntime::Impl::TakeReports() {
  Report reports[64];
  for (;;) {
    const ssize_t size = read(reports_.native_handle(), reports, sizeof reports);
    if (size <= 0) return;
    for (size_t i = 0; i < static_cast<size_t>(size) / sizeof(Report); ++i) {
      const auto token = tokens_.find(reports[i].token);
      if (token == tokens_.end()) continue;
      const ProcessId id = token->second;
      const auto it = processes_.find(id);
      if (it == processes_.end()) continue;
      if (reports[i].pid > 0) {
        TellRunning(id, *it->second, reports[i].pid, FromMicros(reports[i].started_micros));
      } else {
        const int64_t end = reports[i].pid;
        TaskExit exit{supervisor::CodeOfEnd(end), supervisor::SignalOfEnd(end)};
        exit.finished = FromMicros(reports[i].started_micros);
        if (!supervisor::CleanOfEnd(end)) exit.message = kDoesNotDie;
        it->second->exit = std::move(exit);
      }
    }
  }
}

void ProcessRuntime::Impl::TellRunning(const ProcessId& id, Process& process, int64_t pid,
                                       Time at) {
  if (process.told_running) return;
  process.told_running = true;
  if (!process.killing) process.enforce.Stop();
  if (!process.forgotten) handlers_.running(id, pid, at);
}

void ProcessRuntime::Impl::Gone(const ProcessId& id) {
  TakeReports();
  const auto it = processes_.find(id);
  if (it == processes_.end() || it->second->clearing != nullptr) return;
  Process& process = *it->second;
  StatusOr<std::string> content = ReadFileBeneath(folder_.RecordFolder(), id, kRecordBytesMax);
  if (!content.ok() && !absl::IsResourceExhausted(content.status()) && process.record.valid())
    content = ReadWholeFile(fmt::format("/proc/self/fd/{}", process.record.get()));
  // The exit stands in a record that cannot be read just now: no reason to say there is none.
  if (absl::IsResourceExhausted(content.status()))  // Out of descriptors.
    return Retry(id, process, &Impl::Gone);
  process.enforce.Stop();
  boost::system::error_code ignored;
  process.supervisor.close(ignored);
  // Not waited for: one that is traced is its tracer's until that ends. ReapOrphans takes it then.
  if (process.child_pid > 0) waitpid(process.child_pid, nullptr, WNOHANG);
  if (process.supervisor_pid > 0) RemoveOwnSupervisor(process.supervisor_pid);
  ProcessRecord record;
  if (content.ok())
    if (StatusOr<ProcessRecord> parsed = ParseRecord(*content); parsed.ok())
      record = *std::move(parsed);
  if (process.too_slow && (!record.exit || record.exit->signal == SIGKILL)) {
    record.exit.reset();
    record.running.reset();
  }
  if (record.running) TellRunning(id, process, record.running->pid, record.running->at);
  if (!record.exit && process.exit) {
    record.exit = process.exit;
    record.exit->started = record.running ? record.running->at : record.exit->finished;
  }
  if (record.exit) return TellExit(id, *record.exit);
  Clear(id, process, record, WithoutExit(id, process, record));
}

void ProcessRuntime::Impl::TellExit(const ProcessId& id, TaskExit exit) {
  const auto node = processes_.extract(id);
  tokens_.erase(node.mapped()->token);
  ++counters_.exited;
  if (node.mapped()->forgotten) {
    folder_.Remove(id);
  } else {
    handlers_.exited(id, exit);
  }
}

int ProcessRuntime::Impl::Queue(Process& process, int signal, sigval value) {
  siginfo_t info{};
  info.si_signo = signal;
  info.si_code = SI_QUEUE;
  info.si_pid = getpid();
  info.si_uid = getuid();
  info.si_value = value;
  const int pidfd = process.supervisor.native_handle();
  return syscall(SYS_pidfd_send_signal, pidfd, signal, &info, 0) == 0 ? 0 : errno;
}

void ProcessRuntime::Impl::Send(Process& process, int signal) {
  sigval value{};
  value.sival_int = signal;
  const int error = Queue(process, supervisor::kForwardSignal, value);
  const int pidfd = process.supervisor.native_handle();
  // The queue of signals is full: what the supervisor passes on without a value, or nothing.
  if (error == EAGAIN && (signal == SIGTERM || signal == SIGINT))
    (void)syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0);
  // One that somebody has stopped would pass nothing on.
  (void)syscall(SYS_pidfd_send_signal, pidfd, SIGCONT, nullptr, 0);
}

void ProcessRuntime::Impl::Signal(const ProcessId& id, int signal) {
  const auto it = processes_.find(id);
  if (it == processes_.end() || it->second->clearing != nullptr) return;
  Process& process = *it->second;
  if (process.supervisor.is_open()) {
    Send(process, signal);
  } else {
    process.signals_due.push_back(signal);
  }
  if (signal != SIGKILL || process.killing) return;
  process.killing = true;
  EnforceAfter(id, process, options_.kill_patience);
}

// Where it cannot be queued, the next renewal says the same and more.
void ProcessRuntime::Impl::Renew(const ProcessId& id, uint64_t until_nanos) {
  static_assert(sizeof(void*) == sizeof(uint64_t), "a time fits into a signal's value");
  const auto it = processes_.find(id);
  if (it == processes_.end() || it->second->clearing != nullptr) return;
  Process& process = *it->second;
  process.lease_due = until_nanos;
  if (!process.supervisor.is_open()) return;
  sigval value{};
  value.sival_ptr = reinterpret_cast<void*>(until_nanos);
  if (const int error = Queue(process, supervisor::kLeaseSignal, value); error != 0)
    SPDLOG_WARN("cannot renew the lease of process={}: {}", id, strerror(error));
}

void ProcessRuntime::Impl::Forget(const ProcessId& id) {
  if (const auto it = processes_.find(id); it != processes_.end()) {
    it->second->forgotten = true;
    Signal(id, SIGKILL);
  }
  folder_.Remove(id);
}

void ProcessRuntime::Impl::Stop() {
  processes_.clear();
  boost::system::error_code ignored;
  reports_.close(ignored);
}

StatusOr<std::unique_ptr<ProcessRuntime>> ProcessRuntime::Create(asio::io_context& loop,
                                                                 StateFolder& folder,
                                                                 std::string supervisor,
                                                                 ProcessHandlers handlers) {
  return Create(loop, folder, std::move(supervisor), std::move(handlers), Options());
}

StatusOr<std::unique_ptr<ProcessRuntime>> ProcessRuntime::Create(asio::io_context& loop,
                                                                 StateFolder& folder,
                                                                 std::string supervisor,
                                                                 ProcessHandlers handlers,
                                                                 Options options) {
  auto impl =
      std::make_shared<Impl>(loop, folder, std::move(supervisor), std::move(handlers), options);
  RETURN_IF_ERROR(impl->Open());
  return std::unique_ptr<ProcessRuntime>(new ProcessRuntime(std::move(impl)));
}

ProcessRuntime::ProcessRuntime(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
ProcessRuntime::~ProcessRuntime() { impl_->Stop(); }
Status ProcessRuntime::Spawn(const ProcessSpec& spec) { return impl_->Spawn(spec); }
void ProcessRuntime::Adopt(const FoundProcess& found) { impl_->Adopt(found); }
void ProcessRuntime::Signal(const ProcessId& id, int signal) { impl_->Signal(id, signal); }
void ProcessRuntime::Renew(const ProcessId& id, uint64_t until_nanos) {
  impl_->Renew(id, until_nanos);
}
void ProcessRuntime::Forget(const ProcessId& id) { impl_->Forget(id); }
int64_t ProcessRuntime::SupervisorOf(const ProcessId& id) const { return impl_->SupervisorOf(id); }
size_t ProcessRuntime::alive() const { return impl_->alive(); }
const ProcessRuntime::Counters& ProcessRuntime::counters() const { return impl_->counters(); }

StatusOr<std::string> FindSupervisor() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  std::vector<std::filesystem::path> places;
  if (!error) {
    places.push_back(self.parent_path() / "allot-supervisor");
    places.push_back(self.parent_path().parent_path() / "libexec/allotrope/allot-supervisor");
  }
  places.push_back("/usr/libexec/allotrope/allot-supervisor");
  for (const auto& place : places)
    if (access(place.c_str(), X_OK) == 0) return place.string();
  return NotFound(
      "allot-supervisor is not beside {} nor in ../libexec/allotrope nor in "
      "/usr/libexec/allotrope; it is built and installed together with allot-agent",
      self.string());
}

}  // namespace allot::agent
