// A cgroup (v2) for every process that the agent runs: limits, a device filter, and a way to end
// everything in it at once. See cgroups(7) and the kernel's admin-guide/cgroup-v2.
//
//   <base>/tasks/<process id>    base: the agent's own cgroup, which systemd delegates, or
//   <base>/agent                 /allotrope where the agent is in the root cgroup
//
// Where the host allows only less (no root, no BPF, controllers that are v1's), less is done, and
// `losses` says what; legacy_cgroups.h makes up for v1's. Nothing here blocks; not thread-safe.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/isolation/device_filter.h"
#include "common/base/units.h"

namespace allot::agent {

struct CgroupLimits {
  double cpus = 0;              // share under contention, as cpu.weight; 0: the least
  bool cpus_hard = false;       // and never more than that, as cpu.max
  std::optional<Bytes> memory;  // memory.max; the process is killed whole when it needs more
  std::optional<int64_t> pids;  // pids.max
};

struct CgroupAbilities {
  bool groups = false;   // a group per process; all else needs it
  bool kill = false;     // cgroup.kill: ends all of a group, Linux 5.14
  bool devices = false;  // default-deny device filters
  bool cpu = false, memory = false, pids = false;
  std::string held_by_another;      // the base that another agent of our name holds; else empty
  std::vector<std::string> losses;  // "memory limits: the controller is on cgroup v1"
};

class Cgroups {
 public:
  struct Options {
    std::string mounts = "/proc/self/mounts";
    std::string self = "/proc/self/cgroup";
    std::string name = "allotrope";  // under the root cgroup, PREFIX-INSTANCE: agents differ in it
    // How long an agent that holds the groups is waited for.
    std::chrono::milliseconds patience{2000};
  };
  // Never fails: abilities() says what is left. Moves the agent into <base>/agent, or, in the
  // root cgroup, removes what agents left there that were killed.
  static std::unique_ptr<Cgroups> Open(const Options& options);
  // Takes away what is empty of it; processes that run on keep theirs.
  ~Cgroups();

  const CgroupAbilities& abilities() const { return abilities_; }
  const std::string& base() const { return base_; }  // empty without groups

  // Makes the group and opens its folder, for CLONE_INTO_CGROUP. An invalid descriptor where
  // there are no groups. An error means that nothing is left, and that a
  // promise of abilities() could not be kept: the process must not be started then.
  StatusOr<Fd> Create(const std::string& id, const CgroupLimits& limits,
                      const std::vector<DeviceRule>& devices);
  // SIGKILL to everything in the group, whatever session or process group it has made itself.
  void Kill(const std::string& id);
  // How often the kernel ended a process of the group for want of memory.
  int64_t OutOfMemoryKills(const std::string& id) const;
  // False while something still runs in it; then try again later.
  bool Remove(const std::string& id);
  // The groups there are: of processes of this agent and of the one before it.
  std::vector<std::string> List() const;

 private:
  Cgroups(std::string base, std::string tasks) : base_(std::move(base)), tasks_(std::move(tasks)) {}
  std::string PathOf(const std::string& id) const { return tasks_ + "/" + id; }
  void ProbeDevices();
  Status Filter(int cgroup, const std::vector<DeviceRule>& devices);

  Fd held_;                         // the lock on base_
  const std::string base_, tasks_;  // absolute paths, <base>/tasks; empty without groups
  CgroupAbilities abilities_;
  // Loading makes the kernel verify and compile; most processes have one of a few filters.
  std::map<std::vector<DeviceRule>, Fd> filters_;
};

}  // namespace allot::agent
