// The inside of process_runtime.h, of which there are two parts: how processes are started, watched
// and told of (process_runtime.cc), and how they are ended against their will and cleared away
// (process_enforce.cc). Included by these alone.
#pragma once

#include "agent/runtime/process_runtime.h"

#include <spawn.h>

#include <chrono>
#include <csignal>
#include <map>
#include <set>
#include <unordered_map>

#include <boost/asio/posix/stream_descriptor.hpp>

#include "agent/runtime/errands.h"
#include "agent/runtime/strays.h"
#include "common/asio/timer.h"

namespace allot::agent {

namespace asio = boost::asio;

inline constexpr size_t kRecordBytesMax = 16 << 20;
inline constexpr const char* kDoesNotDie = "processes it left behind do not die, even of SIGKILL";

// posix_spawn's settings are the same for every supervisor but for one descriptor.
class SpawnAttributes {
 public:
  SpawnAttributes() {
    posix_spawnattr_init(&attributes_);
    sigset_t all;
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &all);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setflags(&attributes_,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnAttributes() { posix_spawnattr_destroy(&attributes_); }
  const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_;
};

class ProcessRuntime::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(asio::io_context& loop, StateFolder& folder, std::string supervisor,
       ProcessHandlers handlers, Options options)
      : loop_(loop),
        folder_(folder),
        supervisor_(std::move(supervisor)),
        handlers_(std::move(handlers)),
        options_(options),
        reports_(loop),
        errands_(loop),
        below_timer_(loop),
        wake_timer_(loop) {}

  Status Open();
  Status Spawn(const ProcessSpec& spec);
  void Adopt(const FoundProcess& found);
  void Signal(const ProcessId& id, int signal);
  void Renew(const ProcessId& id, uint64_t until_nanos);
  void Forget(const ProcessId& id);
  void Stop();
  int64_t SupervisorOf(const ProcessId& id) const {
    const auto it = processes_.find(id);
    return it == processes_.end() ? 0 : it->second->supervisor_pid;
  }
  size_t alive() const { return processes_.size(); }
  const Counters& counters() const { return counters_; }

 private:
  struct Process {
    explicit Process(asio::io_context& loop) : supervisor(loop), retry(loop), enforce(loop) {}
    uint64_t token = 0;
    pid_t child_pid = 0;  // the supervisor, if we started it; to be waited for
    asio::posix::stream_descriptor supervisor;  // a pidfd: readable when the supervisor is gone
    Timer retry;  // of a supervisor that is just starting, or without descriptors
    bool told_running = false;
    Fd record;  // to read its end from, should its name be gone by then; invalid: by its name only
    std::vector<int> signals_due;  // asked for before the pidfd was there
    uint64_t lease_due = 0;        // likewise
    Timer enforce;                 // of what does not begin, or does not end, by itself
    int64_t supervisor_pid = 0;    // 0: not known yet
    int enforced = 0;              // times
    bool killing = false, too_slow = false, supervisor_killed = false, forgotten = false;
    std::chrono::steady_clock::time_point given_up;  // once too_slow
    std::optional<TaskExit> exit;    // told by a supervisor that could not write it down
    std::set<ProcessIdentity> seen;  // below a supervisor that fell to another than us
    // Since the supervisor is gone, and until nothing of the process runs.
    struct Clearing {
      explicit Clearing(Strays s) : strays(std::move(s)) {}
      Strays strays;
      TaskExit exit;
      bool by_environment = false;  // looked for, or given up
      std::chrono::steady_clock::time_point until;
    };
    std::unique_ptr<Clearing> clearing;
  };

  StatusOr<Fd> WriteRecord(const ProcessSpec& spec);
  static Status GiveScratch(const ProcessSpec& spec, const std::string& scratch);
  StatusOr<pid_t> StartSupervisor(const ProcessSpec& spec, uint64_t token, int record_fd,
                                  const std::string& work_dir);
  bool Watch(const ProcessId& id, Process& process, Fd pidfd);
  void Attach(const ProcessId& id);
  void Retry(const ProcessId& id, Process& process, void (Impl::*what)(const ProcessId&));
  void WaitForReports();
  void TakeReports();
  void Gone(const ProcessId& id);
  // The end of one whose record says nothing of it; `record` is what it says.
  TaskExit WithoutExit(const ProcessId& id, const Process& process, const ProcessRecord& record);
  void Clear(const ProcessId& id, const Process& process, const ProcessRecord& record,
             TaskExit exit);
  void ClearMore(const ProcessId& id);
  void TellExit(const ProcessId& id, TaskExit exit);
  void EnforceAfter(const ProcessId& id, Process& process, Duration pause);
  void Enforce(const ProcessId& id);
  void LookBelow();
  void WakeStopped();
  void TellRunning(const ProcessId& id, Process& process, int64_t pid, Time at);
  static void Send(Process& process, int signal);
  static int Queue(Process& process, int signal, sigval value);

  asio::io_context& loop_;
  StateFolder& folder_;
  const std::string supervisor_;
  ProcessHandlers handlers_;
  const Options options_;
  SpawnAttributes attributes_;
  Fd null_, report_write_;
  asio::posix::stream_descriptor reports_;
  uint64_t last_token_ = 0;
  std::unordered_map<uint64_t, ProcessId> tokens_;  // of those that we have started
  std::map<ProcessId, std::unique_ptr<Process>> processes_;
  Errands errands_;
  bool looking_below_ = false;
  Timer below_timer_, wake_timer_;
  Counters counters_;
};

}  // namespace allot::agent
