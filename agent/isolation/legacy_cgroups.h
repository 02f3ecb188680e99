// What Cgroups does, by controllers of cgroup v1, for hosts whose v2 carries none of them (hybrid)
// or that have no v2 at all. See the kernel's admin-guide/cgroup-v1.
//
//   <mount of the controller>/<our own group there>/<name>/<process id>
//
// Each controller is a tree of its own, so a process is not born in its groups: it writes itself
// into them (Create says where) before it gives up the right to. An OOM kill ends one process and
// not all of a group, so whoever looks (Confinement, each second) ends the rest.
//
// Nothing here blocks; not thread-safe.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/isolation/cgroups.h"

namespace allot::agent {

class LegacyCgroups {
 public:
  struct Options {
    std::string mounts = "/proc/self/mounts";
    std::string self = "/proc/self/cgroup";
    std::string name = "allotrope";  // PREFIX-INSTANCE: agents differ in it
    CgroupAbilities have;            // what v2 does already is left to it
  };
  // Never fails: abilities() says what it adds; its losses are those controllers of v1 that are
  // there and cannot be used.
  static std::unique_ptr<LegacyCgroups> Open(const Options& options);
  ~LegacyCgroups();  // takes away what is empty

  const CgroupAbilities& abilities() const { return abilities_; }

  // Makes the groups; returns the files that the process writes "0" into. An error means that
  // nothing is left and the process must not be started.
  StatusOr<std::vector<std::string>> Create(const std::string& id, const CgroupLimits& limits,
                                            const std::vector<DeviceRule>& devices);
  // Holds all that is in it, so that nothing is forked meanwhile, and kills it.
  void Kill(const std::string& id);
  int64_t OutOfMemoryKills(const std::string& id) const;
  bool Remove(const std::string& id);  // false while something still runs in it
  std::vector<std::string> List() const;

 private:
  struct Tree {
    std::string base;  // absolute
    Fd held;           // the lock on it
  };
  LegacyCgroups() = default;
  std::string PathOf(const std::string& controller, const std::string& id) const {
    return trees_.at(controller).base + "/" + id;
  }
  Status Fill(const std::string& id, const CgroupLimits& limits,
              const std::vector<DeviceRule>& devices) const;

  std::map<std::string, Tree> trees_;  // by controller: cpu, memory, pids, devices, freezer
  CgroupAbilities abilities_;
};

// As devices.allow has it: "c 195:* rwm".
std::string LegacyRule(const DeviceRule& rule);

}  // namespace allot::agent
