// The agent's state folder: what must outlive the agent.
//
//   lock                    held by the agent that uses the folder
//   home                    what the file system knows `lock` by: a copy of the folder has another
//   instance                random, made once: a reinstalled machine is another instance
//   boot                    how often an agent has started here
//   processes/<id>          a record per process (process_record.h)
//   scratch/<id>/           its working folder, unless it was given one; progress file
//   checkpoints/<job>/      of jobs that name none
//   logs/<id>.log           its output; stays `logs_kept` after the end
//   gateways                those last named by the scheduler (agent/shell/gateway_memory.h)
//   energy/<id>             first readings of the energy counters of its devices
//                           (agent/shell/energy.h)
//   users                   which user ids tenants have here (people.h)
//   homes/<uid>/            home folders of those ids
//   garbage/                what could not be understood, set aside
//   trash/                  scratch folders on their way out, emptied by a thread
//
// Only the way to scratch, homes and checkpoints is open to others. scratch/<id>, homes/<uid> and
// checkpoints/<job> belong to whoever the process runs as, who may do with them what he likes; all
// else is the agent's alone, and is read and written by it and its supervisors. What is theirs is
// opened by beneath.h, and nothing of the agent's stands there.
//
// Belongs to the loop's thread. Local file system expected: locks decide who is alive.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/runtime/files.h"
#include "agent/runtime/janitor.h"
#include "agent/runtime/process_record.h"
#include "common/base/status.h"

namespace allot::agent {

// A scratch folder in memory, which counts as that of those who write.
struct ScratchMemory {
  Bytes bytes = 0;
  std::optional<uint64_t> files;  // and folders; none: any number
};

struct FoundProcess {
  ProcessId id;
  ProcessRecord record;
  bool alive = false;  // its supervisor is
  // It was started under another kernel: the machine went down under it, and its pids are
  // strangers'.
  bool earlier_boot = false;
};

class StateFolder {
 public:
  // FailedPrecondition if another agent uses it, or it is a copy of one that another may use.
  // Counts the boot. `boot_id_file`: the kernel's; tests give another.
  static StatusOr<std::unique_ptr<StateFolder>> Open(
      const std::string& path, const std::string& boot_id_file = "/proc/sys/kernel/random/boot_id");
  ~StateFolder();

  const std::string& path() const { return path_; }
  const std::string& instance() const { return instance_; }
  uint64_t boot() const { return boot_; }
  const std::string& boot_id() const { return boot_id_; }  // of the kernel; empty if unknown
  // Makes again what somebody has removed under us, with it what makes the folder ours.
  // FailedPrecondition: another agent was quicker.
  Status MakeFolders();
  // Makes the process's scratch folder anew: whatever had its name goes. `memory`: it is a tmpfs of
  // that size, which takes root.
  Status MakeScratch(const ProcessId& id, const std::optional<ScratchMemory>& memory = {});
  // Where its file of that name is found: below a folder that nobody but us can exchange.
  struct Place {
    std::string folder, name;
  };
  Place InScratch(const ProcessId& id, std::string_view name) const;
  // That of a job which names no checkpoint folder, where tasks run as the agent's user;
  // `empty`: whether it is. Else: checkpoints.h.
  StatusOr<std::string> MakeCheckpointFolder(const std::string& job, bool* empty);

  std::string RecordOf(const ProcessId& id) const { return path_ + "/processes/" + id; }
  std::string ScratchOf(const ProcessId& id) const { return path_ + "/scratch/" + id; }
  std::string CheckpointsOf(const std::string& job) const { return path_ + "/checkpoints/" + job; }
  std::string LogFolder() const { return path_ + "/logs"; }
  static std::string LogName(const ProcessId& id) { return id + ".log"; }
  std::string LogOf(const ProcessId& id) const { return LogFolder() + "/" + LogName(id); }
  // For OpenFileBeneath.
  std::string ScratchFolder() const { return path_ + "/scratch"; }
  std::string RecordFolder() const { return path_ + "/processes"; }

  struct Scan {
    std::vector<FoundProcess> processes;  // ordered by id
    std::vector<std::string> warnings;    // what was set aside, and why
    std::vector<std::string> names;       // of all records, also of those
  };
  // What earlier lives left. Garbage is moved away; records of processes that never ran are
  // removed, since for their scheduler they are still to be started.
  Scan ScanProcesses();

  // Removes record and scratch folder; the log stays unless it is empty.
  void Remove(const ProcessId& id);
  // Removes logs of ended processes older than `kept`, the oldest ones beyond a count that one
  // folder bears, and the beginnings of those that grow without bound. On a thread of its own;
  // at most one at a time.
  void SweepLogs(const LogLimits& limits);

 private:
  class Janitor;
  void SetModes() const;
  StateFolder(std::string path, Fd lock);
  Status MakeAllFolders();
  Status TakeAgain();
  void Discard(const std::string& path);
  std::string path_, instance_;
  Fd lock_;
  std::string boot_id_;
  uint64_t boot_ = 0;
  std::unique_ptr<Janitor> sweeper_, emptier_;  // a full trash must not keep logs from being cut
};

}  // namespace allot::agent
