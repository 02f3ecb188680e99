// Runs processes under supervisors that outlive the agent.
//
// What it promises: the record is in the state folder before the process exists; a process id
// is started once, ever; an exit is told once, and the record is the truth about it. Killing the
// agent changes nothing for a process: the next agent adopts it.
//
// No process gets its way against it: one that stops, traces, freezes or kills its supervisor, or
// is held up by a path that does not answer, ends within seconds of SIGKILL all the same, with what
// it has started (strays.h), and so does one that is not running a minute after its start. The exit
// is told when nothing of it runs any more; where something does not even die of SIGKILL (a
// driver's call that does not return), it says so.
//
// Belongs to the loop's thread; handlers are called from the loop, never from inside a call.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "agent/runtime/process_record.h"
#include "agent/runtime/state_folder.h"

namespace allot::agent {

// Who a process runs as, and what it has of the system for itself. The supervisor's child sees to
// it (agent/supervisor/setup.h).
struct RunAs {
  uint32_t uid = 0, gid = 0;  // neither is ever 0
  std::vector<uint32_t> groups;
  uint64_t capabilities = 0;  // bits; none by default
  bool own_tmp = false;       // its scratch folder is its /tmp and /var/tmp
  bool hide_others = false;   // other users' processes are not in its /proc
  std::string make_folder;    // absolute; made by it, not by us: it may be anywhere
};
struct ProcessLimit {
  int resource = 0;  // RLIMIT_…
  uint64_t soft = 0, hard = 0;
};

// It is to be told to end at `until` on CLOCK_BOOTTIME, and killed `grace` later, unless that is
// renewed; by its supervisor, whatever becomes of us.
struct ProcessLease {
  uint64_t until_nanos = 0;
  Duration grace{};
};

struct ProcessSpec {
  ProcessId id;
  ProcessLaunch launch;  // kept in the record
  std::vector<std::string> argv;
  std::vector<std::string> environment;  // complete, "NAME=value"
  std::string work_dir;                  // empty: the process's scratch folder
  int cgroup = -1;  // open folder of the cgroup to be born in; only needed during Spawn
  std::vector<std::string> join;  // files of cgroup v1 to write itself into
  std::optional<RunAs> as;        // absent: as the agent
  std::optional<uint32_t> umask;
  std::optional<ProcessLease> lease;
  std::vector<ProcessLimit> limits;
  // Put into its scratch folder before it starts, readable by it alone: name, content.
  std::vector<std::pair<std::string, std::string>> files;
  std::optional<ScratchMemory> scratch;  // absent: on the disk of the state folder
  Bytes log_max = kGiB;                  // of its log, on disk
  Bytes log_free_min = 0;  // to stay free where logs are; below it logs give way
};

struct ProcessHandlers {
  std::function<void(const ProcessId&, int64_t pid, Time at)> running;
  // Also of a process that could not be started: code 127 with the reason.
  std::function<void(const ProcessId&, const TaskExit&)> exited;
};

class ProcessRuntime {
 public:
  struct Counters {
    uint64_t spawned = 0, spawn_failures = 0, exited = 0, supervisors_killed = 0;
    uint64_t looks_below = 0;  // at what adopted supervisors have below them
  };
  struct Options {
    // How long a process may take to run, and to end of SIGKILL before it is ended past its
    // supervisor. What has not ended `give_up` later is left, if its supervisor is gone or it never
    // ran.
    Duration start_max = std::chrono::minutes(1), kill_patience = std::chrono::seconds(1),
             give_up = std::chrono::seconds(10);
    // How often it is looked whether somebody has stopped a supervisor: then it is let go on.
    Duration wake_every = std::chrono::seconds(5);
    // Whether something else (cgroups) ends all of a process at once: then nobody looks what runs
    // below supervisors that fell to another than us.
    bool ended_whole = false;
  };

  // `folder` outlives the runtime. `supervisor`: path of allot-supervisor.
  static StatusOr<std::unique_ptr<ProcessRuntime>> Create(boost::asio::io_context& loop,
                                                          StateFolder& folder,
                                                          std::string supervisor,
                                                          ProcessHandlers handlers,
                                                          Options options);
  static StatusOr<std::unique_ptr<ProcessRuntime>> Create(boost::asio::io_context& loop,
                                                          StateFolder& folder,
                                                          std::string supervisor,
                                                          ProcessHandlers handlers);
  // Processes run on.
  ~ProcessRuntime();

  // An error means that nothing was started and nothing is left. AlreadyExists: the id was used.
  Status Spawn(const ProcessSpec& spec);
  // Watches a process that ScanProcesses found alive. `running` follows once its pid is known,
  // where the scan did not know it.
  void Adopt(const FoundProcess& found);
  // To the whole process group, SIGKILL to all it has started; nothing if it has ended.
  void Signal(const ProcessId& id, int signal);
  // Of one that was spawned with a lease, by us or by an agent before us.
  void Renew(const ProcessId& id, uint64_t until_nanos);
  // Stops watching and removes what is kept of it; a process that still runs is killed.
  void Forget(const ProcessId& id);

  int64_t SupervisorOf(const ProcessId& id) const;  // 0: not known (yet)
  size_t alive() const;                             // processes watched that have not ended
  const Counters& counters() const;

 private:
  class Impl;
  explicit ProcessRuntime(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

// The supervisor beside the running program, in ../libexec/allotrope, or in PATH's usual places.
StatusOr<std::string> FindSupervisor();

}  // namespace allot::agent
