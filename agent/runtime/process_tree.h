// Who runs, whose child it is, and how to end it: from /proc/<pid>/stat alone, which no process can
// hold up (its command line, environment and memory may be backed by a file that never comes).
//
// Any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/units.h"

namespace allot::agent {

struct ProcessFacts {
  std::string name;  // as the process has it: it may say anything
  char state = '?';
  int64_t parent = 0, group = 0, session = 0, threads = 0;
  Duration began{};  // after the machine; with the pid it tells one process from all others
  // A program whose first thread has ended is shown as a zombie while its others run on.
  bool Runs() const { return (state != 'Z' && state != 'X') || threads > 1; }
};
std::optional<ProcessFacts> ParseProcessStat(const std::string& text);
std::optional<ProcessFacts> FactsOf(int64_t pid);

// One process, also after its pid was given to another.
struct ProcessIdentity {
  int64_t pid = 0;
  Duration began{};
  auto operator<=>(const ProcessIdentity&) const = default;
};

// All processes, at one moment or nearly so.
class ProcessTable {
 public:
  static ProcessTable Look();
  const std::map<int64_t, ProcessFacts>& all() const { return all_; }
  // Children, their children and so on, without `pid` itself.
  std::vector<int64_t> DescendantsOf(int64_t pid) const;
  std::vector<int64_t> ChildrenOf(int64_t pid) const;

 private:
  std::map<int64_t, ProcessFacts> all_;
  std::map<int64_t, std::vector<int64_t>> children_;
};

// The children of a process right now, as the kernel lists them: a moment's work, where a table
// takes milliseconds, in which one that forks and ends again and again is another already.
std::vector<int64_t> ChildrenNow(int64_t pid);
// SIGKILL to each of `pids` and what is below it, as soon as it is found; returns those that ran.
std::set<ProcessIdentity> KillTrees(std::vector<int64_t> pids);

// SIGKILL to that process and no other. Wakes a frozen one where its cgroup lets us: under cgroup
// v1 a frozen process does not even die.
void KillProcess(const ProcessIdentity& process);
// Takes away what holds a process up that others may signal, trace or freeze, itself included.
void Wake(int64_t pid);

// When the machine was started, by its present clock.
Time MachineStarted();

}  // namespace allot::agent
