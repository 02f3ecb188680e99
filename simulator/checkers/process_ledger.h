// Watches what really runs on the nodes.
//
// Promises: a task key is spawned at most once, on whatever node; no two live processes of
// different owners use one device of a node (the agent holds a start back until the device is
// free, so this holds without exception); a process is forgotten only after it has ended; what
// succeeded was spawned, under the very name that succeeded; no attempt of a task that may have one
// live attempt only begins while another one lives.
//
// Not promised of other tasks: that two attempts of one job never run at the same time on different
// nodes. A node that is cut off keeps running what it has; it is the lease that moves on, not the
// process.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "simulator/checkers/findings.h"

namespace allot::simulator {

class ProcessLedger {
 public:
  explicit ProcessLedger(Findings& findings) : findings_(findings) {}
  // Who a process belongs to: a task, or a replica, whose later starts are the same owner.
  template <class Name>
  static std::string OwnerOf(const Name& name) {
    if constexpr (requires { name.attempt; })
      return ToString(name) + Suffix(name.attempt.incarnation(), " of ");
    else
      return ToString(name) + Suffix(name.incarnation(), " of ");
  }
  // `once`: the task, by a name that all of its attempts have and no other, where at most one of
  // them may be alive; else empty.
  void TaskSpawned(uint32_t node, const TaskKey& key, const std::vector<std::string>& devices,
                   const std::string& once = "");
  // What was to be spawned there was not, after all, and has left no trace.
  void NeverBegan(const TaskKey& key);
  void ReplicaSpawned(uint32_t node, ReplicaId id, const std::vector<std::string>& devices);
  void Ended(uint32_t node, const std::string& owner);
  void Forgotten(uint32_t node, const std::string& owner);
  void NodeDied(uint32_t node);
  // The journal says so of a task that has a process.
  void Succeeded(const TaskKey& key);
  size_t spawned() const { return keys_.size(); }

 private:
  static constexpr std::string_view kName = "process ledger";
  void Began(uint32_t node, const std::string& owner, const std::vector<std::string>& devices);

  Findings& findings_;
  std::map<TaskKey, uint32_t> keys_;
  std::map<std::string, std::pair<uint32_t, std::string>> once_;  // task → node and owner, alive
  std::map<uint32_t, std::map<std::string, std::vector<std::string>>>
      live_;  // node → owner → devices
};

}  // namespace allot::simulator
