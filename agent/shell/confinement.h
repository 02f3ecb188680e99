// What a process may use of the node: puts each one into a cgroup of its own, with the limits of
// its lease and only the device files that it leased. What the host does not allow is left out and
// said (losses).
//
// One thread, the loop's. Never waits: a group that is not empty yet is taken away later.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/core/events.h"
#include "agent/isolation/cgroups.h"
#include "agent/isolation/legacy_cgroups.h"

namespace allot::agent {

// The device files of a lease: of the devices of `node` that `leased` names, their own and those
// they share with others; `rule` says what a file is. Sorted, each once. An own file that is not
// there is an error: the device is gone. Pure but for `rule`.
StatusOr<std::vector<DeviceRule>> RulesOfLease(
    const std::vector<Device>& node, const std::vector<std::string>& leased,
    const std::function<StatusOr<DeviceRule>(const std::string& path)>& rule = RuleOf);

// What v1 adds to v2, and what neither can, each loss once and by name.
CgroupAbilities Joined(const CgroupAbilities& v2, const CgroupAbilities& v1);

class Confinement {
 public:
  struct Options {
    bool off = false;
    bool cpus_hard = false;            // never more than the leased share, however idle the node
    int64_t pids_max = 32'768;         // of one process and all it starts
    std::vector<std::string> devices;  // files that every process may open: /dev/fuse
  };
  // `instance`: of the agent's state folder, so that agents of one host do not meet.
  static std::unique_ptr<Confinement> Open(const Options& options, const std::string& instance);

  // SIGKILL to all of it, at once and whatever becomes of its supervisor; where there are groups.
  void Kill(const ProcessId& id);
  const CgroupAbilities& abilities() const { return abilities_; }  // of v2 and v1 together
  // What the host, or the config, does not let us keep apart: for the log and the node's answer.
  std::vector<std::string> losses() const;

  struct Place {
    Fd group;                       // to be born in; see Cgroups::Create
    std::vector<std::string> join;  // to write itself into; see LegacyCgroups::Create
  };
  // The groups for a new process. `node` holds the devices that `leased` names. A device file that
  // is not there is an error: the device is gone.
  StatusOr<Place> Enter(const ProcessId& id, const Resources& resources,
                        const std::vector<Device>& node, const std::vector<std::string>& leased);
  // Why the kernel ended it, if it did: for want of memory. Before Leave.
  std::string WhyKilled(const ProcessId& id, const Resources& resources) const;
  // The process has ended: what is left of it is killed, and the group goes.
  void Leave(const ProcessId& id);
  // Groups of processes that are not in `alive` leave.
  void LeaveAllBut(const std::set<ProcessId>& alive);
  // Takes away what Leave could not, and ends what outgrew its memory as a whole; now and then.
  void Sweep();

 private:
  Confinement(Options options, std::unique_ptr<Cgroups> groups,
              std::unique_ptr<LegacyCgroups> legacy);
  int64_t OutOfMemoryKills(const ProcessId& id) const;
  bool Remove(const ProcessId& id);

  const Options options_;
  std::unique_ptr<Cgroups> groups_;
  std::unique_ptr<LegacyCgroups> legacy_;
  CgroupAbilities abilities_;
  std::vector<DeviceRule> always_;
  std::set<ProcessId> leaving_;
  std::set<ProcessId> watched_;  // whose memory is limited by v1, which kills one process only
};

}  // namespace allot::agent
