// Keeps people apart: what a process is given so that it runs as whoever its tenant or token maps
// to (agent/runtime/people.h), in folders of its own, with nothing of the agent's rights.
//
// One thread, the loop's. What the host or the config does not let us keep apart is said (losses);
// where that is more than the config bears, nothing is to be started (refusal).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/core/events.h"
#include "agent/runtime/checkpoints.h"
#include "agent/runtime/environment.h"
#include "agent/runtime/people.h"
#include "agent/runtime/process_runtime.h"
#include "agent/runtime/state_folder.h"

namespace allot::agent {

class Separation {
 public:
  struct Options {
    People::Options people;
    uint64_t capabilities = 0;  // that every process has, as bits
    uint32_t umask = 027;
    bool private_tmp = true;
    std::vector<ProcessLimit> limits;  // hold however people are kept apart
  };
  // `processes_max`: of one person, where no cgroup counts the processes of each task; else none.
  Separation(Options options, const StateFolder& folder, std::optional<int64_t> processes_max);

  bool apart() const { return people_.apart(); }
  std::vector<std::string> losses() const;
  // Why nothing may be started now, for NodeInfo::unfit; empty: it may. Looks at folders.
  std::string refusal() const;

  struct Asker {
    const std::string& tenant;
    const std::string& token;  // by name
  };
  // Fills in who it runs as, its limits, and what of `files` is that person's. `spec` has its
  // command, work_dir and id. Errors are the node's.
  Status Apply(const Asker& asker, const EnvironmentBase& node,
               const std::vector<std::string>& leased, ProcessFiles* files, ProcessSpec* spec);
  // How the process comes to this folder; has it make the folder where nobody else has by then.
  // `named`: by the job. After Apply.
  static CheckpointFolder CheckpointsOf(JobId job, bool named, const std::string& folder,
                                        ProcessSpec* spec);

 private:
  Status MakeHome(const Person& person, ProcessFiles* files) const;
  Status CopyTokens(const EnvironmentBase& node, const std::vector<std::string>& leased,
                    ProcessFiles* files, ProcessSpec* spec) const;
  bool OwnTmp(const ProcessSpec& spec) const;

  const Options options_;
  const StateFolder& folder_;
  People people_;
  bool mounts_ = false, hides_ = false;
  std::vector<std::string> losses_;
};

// The groups whose members may use the device files of a lease, where not everybody may: video,
// render. Never group 0.
std::vector<uint32_t> GroupsOfLease(const std::vector<Device>& node,
                                    const std::vector<std::string>& leased);

// Whether `path` is one of the folders that everybody may write, or below one.
bool BelowTmp(std::string_view path);

}  // namespace allot::agent
