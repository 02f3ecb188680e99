#include "agent/runtime/strays.h"

#include <dirent.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <mutex>
#include <sstream>
#include <thread>
#include <vector>

#include "agent/runtime/environment.h"
#include "agent/runtime/files.h"

namespace allot::agent {
namespace {

constexpr int kOrphanRoundsMax = 50;
constexpr int kRoundsMax = 16;  // of looking for what was forked while we looked
constexpr Duration kClockTolerance = std::chrono::seconds(1);
constexpr auto kStraysPause = std::chrono::milliseconds(10);
constexpr int kStraysPauses = 500;
constexpr std::string_view kSupervisorName = "allot-superviso";  // as the kernel shortens it

struct OwnSupervisors {
  std::mutex mutex;
  std::set<int64_t> pids;
};
OwnSupervisors& Own() {
  static OwnSupervisors* const own = new OwnSupervisors;
  return *own;
}
std::set<int64_t> OwnPids() {
  OwnSupervisors& own = Own();
  const std::lock_guard lock(own.mutex);
  return own.pids;
}

std::string LinkOf(const std::string& path) {
  char text[256];
  const ssize_t size = readlink(path.c_str(), text, sizeof text);
  return size > 0 ? std::string(text, static_cast<size_t>(size)) : "";
}

bool HasWord(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    const size_t end = words.find('\0');
    if (words.substr(0, end) == word) return true;
    if (end == words.npos) return false;
    words.remove_prefix(end + 1);
  }
  return false;
}

// Of "allot-supervisor\0job-1.0.1\0…\0/state/logs/job-1.0.1.log\0…": its process, if it is one of
// `logs`.
std::string SupervisedBy(int64_t pid, const std::string& logs) {
  const StatusOr<std::string> line = ReadWholeFile(fmt::format("/proc/{}/cmdline", pid));
  if (!line.ok() || !line->starts_with(std::string_view("allot-supervisor\0", 17))) return "";
  std::vector<std::string> words;
  for (size_t at = 0; at < line->size() && words.size() < 4;) {
    const size_t end = std::min(line->find('\0', at), line->size());
    words.push_back(line->substr(at, end - at));
    at = end + 1;
  }
  return words.size() == 4 && words[3] == fmt::format("{}/{}.log", logs, words[1]) ? words[1] : "";
}

// The first thread of a process may have ended, and its view of the memory with it: then that of
// another.
bool HasInEnvironment(int64_t pid, const ProcessFacts& facts, std::string_view mark) {
  const auto has = [&](const std::string& path) {
    const StatusOr<std::string> words = ReadWholeFile(path);
    return words.ok() && HasWord(*words, mark);
  };
  if (has(fmt::format("/proc/{}/environ", pid))) return true;
  if (facts.state != 'Z') return false;
  DIR* tasks = opendir(fmt::format("/proc/{}/task", pid).c_str());
  if (tasks == nullptr) return false;
  bool found = false;
  while (const dirent* entry = readdir(tasks)) {
    if (entry->d_name[0] == '.') continue;
    found = has(fmt::format("/proc/{}/task/{}/environ", pid, entry->d_name));
    if (found) break;
  }
  closedir(tasks);
  return found;
}

}  // namespace

void FallToUs() { prctl(PR_SET_CHILD_SUBREAPER, 1); }

int StartOwnSupervisor(pid_t* pid, const std::function<int(pid_t*)>& start) {
  OwnSupervisors& own = Own();
  const std::lock_guard lock(own.mutex);
  const int error = start(pid);
  if (error == 0) own.pids.insert(*pid);
  return error;
}

void AddOwnSupervisor(int64_t pid) {
  OwnSupervisors& own = Own();
  const std::lock_guard lock(own.mutex);
  own.pids.insert(pid);
}

bool OrphansAreOurs() { return getpid() != 1; }

void RemoveOwnSupervisor(int64_t pid) {
  OwnSupervisors& own = Own();
  const std::lock_guard lock(own.mutex);
  own.pids.erase(pid);
}

void ReapOrphans() {
  // They fall to the first thread; what other threads have started is theirs to wait for.
  const StatusOr<std::string> children =
      ReadWholeFile(fmt::format("/proc/self/task/{}/children", getpid()));
  if (!children.ok()) return;
  const int64_t our_session = getsid(0), our_group = getpgrp();
  const std::set<int64_t> own = OwnPids();
  std::istringstream in(*children);
  for (int64_t pid = 0; in >> pid;) {
    if (own.contains(pid)) continue;
    const std::optional<ProcessFacts> facts = FactsOf(pid);
    if (!facts || facts->Runs()) continue;
    // One that leads its group in our session is a tool that somebody waits for.
    if (facts->session != our_session || (facts->group != pid && facts->group != our_group))
      waitpid(static_cast<pid_t>(pid), nullptr, WNOHANG);
  }
}

std::map<int64_t, std::set<ProcessIdentity>> SeenBelow(const std::set<int64_t>& supervisors) {
  std::map<int64_t, std::set<ProcessIdentity>> seen;
  const ProcessTable table = ProcessTable::Look();
  for (const int64_t supervisor : supervisors)
    for (const int64_t pid : table.DescendantsOf(supervisor))
      seen[supervisor].insert({pid, table.all().at(pid).began});
  return seen;
}

Strays::Strays(int64_t supervisor_pid, Time started, std::set<ProcessIdentity> seen)
    : supervisor_pid_(supervisor_pid), started_(started), seen_(std::move(seen)) {}

bool Strays::Kill() {
  const Time machine_started = MachineStarted();
  if (supervisor_pid_ <= 1 || started_ < machine_started) return true;
  const int64_t self = getpid();
  const int64_t our_session = getsid(0);
  bool quiet = true;
  for (int round = 0; round < kRoundsMax; ++round) {
    const ProcessTable table = ProcessTable::Look();
    const std::set<int64_t> own = OwnPids();  // After the table, so none of those in it is missed.
    const auto leader = table.all().find(supervisor_pid_);
    const bool reused = leader != table.all().end() &&
                        machine_started + leader->second.began > started_ + kClockTolerance;
    std::vector<int64_t> strays;
    for (const auto& [pid, facts] : table.all()) {
      if (pid == self) continue;
      // A child of ours in a session that is not ours is a supervisor, or was left by one.
      const bool orphan = OrphansAreOurs() && facts.parent == self &&
                          facts.session != our_session && !own.contains(pid);
      if (orphan && !facts.Runs()) {
        waitpid(static_cast<pid_t>(pid), nullptr, WNOHANG);
        continue;
      }
      const ProcessIdentity identity{pid, facts.began};
      if (orphan || (!reused && facts.session == supervisor_pid_) || seen_.contains(identity) ||
          found_.contains(identity))
        strays.push_back(pid);
    }
    for (size_t i = 0, first = strays.size(); i < first; ++i)
      for (const int64_t below : table.DescendantsOf(strays[i])) strays.push_back(below);
    bool fresh = false;
    quiet = true;
    for (const int64_t pid : strays) {
      const ProcessFacts& facts = table.all().at(pid);
      if (!facts.Runs() || pid == self) continue;
      const ProcessIdentity identity{pid, facts.began};
      quiet = false;
      fresh |= found_.insert(identity).second;
      KillProcess(identity);
    }
    quiet &= KillOrphans();
    if (!fresh) break;
  }
  return quiet;
}

// What falls to us while we look, and may be another process before a table is read.
bool Strays::KillOrphans() {
  if (!OrphansAreOurs()) return true;
  const int64_t our_session = getsid(0);
  bool quiet = true;
  for (int round = 0; round < kOrphanRoundsMax; ++round) {
    std::vector<int64_t> orphans = ChildrenNow(getpid());
    const std::set<int64_t> own = OwnPids();
    std::erase_if(orphans, [&](int64_t pid) {
      if (own.contains(pid)) return true;
      const auto facts = FactsOf(pid);
      return facts && (facts->parent != getpid() || facts->session == our_session);
    });
    // One that has ended may have left another, which was not listed yet.
    if (orphans.empty()) break;
    for (const int64_t pid : orphans) waitpid(static_cast<pid_t>(pid), nullptr, WNOHANG);
    const std::set<ProcessIdentity> killed = KillTrees(std::move(orphans));
    quiet &= killed.empty();
    found_.insert(killed.begin(), killed.end());
  }
  return quiet;
}

void KillByEnvironment(const std::string& scratch, Time started) {
  if (started < MachineStarted()) return;
  const std::string mark = fmt::format("{}={}", kScratchVariable, scratch);
  std::set<ProcessIdentity> killed;
  for (int round = 0; round < kRoundsMax; ++round) {
    bool fresh = false;
    const ProcessTable table = ProcessTable::Look();
    for (const auto& [pid, facts] : table.all()) {
      if (!facts.Runs() || pid == getpid() || !HasInEnvironment(pid, facts, mark)) continue;
      const ProcessIdentity identity{pid, facts.began};
      KillProcess(identity);
      fresh |= killed.insert(identity).second;
    }
    if (!fresh) return;
  }
}

void KillStrays(int64_t supervisor_pid, Time started, const std::string& scratch) {
  Strays strays(supervisor_pid, started);
  strays.Kill();
  KillByEnvironment(scratch, started);
  for (int i = 0; i < kStraysPauses && !strays.Kill(); ++i)
    std::this_thread::sleep_for(kStraysPause);
}

std::set<std::string> KillSupervisorsBut(const std::set<std::string>& known,
                                         const std::string& logs) {
  std::set<std::string> killed;
  const std::string mounts = LinkOf("/proc/self/ns/mnt");
  const ProcessTable table = ProcessTable::Look();
  for (const auto& [pid, facts] : table.all()) {
    // The name is the cheap question: few processes are asked for their command line.
    if (!facts.Runs() || facts.name != kSupervisorName) continue;
    const std::string id = SupervisedBy(pid, logs);
    if (id.empty() || known.contains(id)) continue;
    if (LinkOf(fmt::format("/proc/{}/ns/mnt", pid)) != mounts) continue;
    // What it watches first: it is below it as long as it lives.
    Strays strays(pid, MachineStarted() + facts.began, SeenBelow({pid})[pid]);
    KillProcess({pid, facts.began});
    killed.insert(id);
    for (int i = 0; i < kStraysPauses && !strays.Kill(); ++i)
      std::this_thread::sleep_for(kStraysPause);
    const std::string scratch = fmt::format("{}/scratch/{}", logs.substr(0, logs.rfind('/')), id);
    KillByEnvironment(scratch, MachineStarted() + facts.began);
  }
  return killed;
}

}  // namespace allot::agent
