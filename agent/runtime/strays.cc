#include "agent/runtime/strays.h"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <optional>
#include <set>
#include <vector>

#include <dirent.h>
#include <unistd.h>

#include "agent/runtime/environment.h"
#include "agent/runtime/files.h"

namespace allot::agent {
namespace {

constexpr int kRoundsMax = 16;  // of looking for what was forked while we looked
constexpr Duration kClockTolerance = std::chrono::seconds(1);

struct Found {
  char state = '?';
  int session = 0;
  Duration began{};  // after the machine
};

std::optional<Found> Look(int64_t pid) {
  const StatusOr<std::string> stat = ReadWholeFile(fmt::format("/proc/{}/stat", pid));
  if (!stat.ok()) return std::nullopt;
  // The name in parentheses may hold anything, also ")".
  const size_t end = stat->rfind(')');
  Found found;
  unsigned long long ticks = 0;
  if (end == std::string::npos ||
      sscanf(stat->c_str() + end + 1,
             " %c %*d %*d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
             &found.state, &found.session, &ticks) != 3)
    return std::nullopt;
  found.began = Duration(static_cast<int64_t>(ticks) * 1'000'000 / sysconf(_SC_CLK_TCK));
  return found;
}

bool Runs(const Found& found) { return found.state != 'Z' && found.state != 'X'; }

std::vector<int64_t> Pids() {
  std::vector<int64_t> pids;
  DIR* proc = opendir("/proc");
  if (proc == nullptr) return pids;
  while (const dirent* entry = readdir(proc)) {
    const std::string_view name = entry->d_name;
    int64_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error == std::errc() && end == name.data() + name.size()) pids.push_back(pid);
  }
  closedir(proc);
  return pids;
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

}  // namespace

Time MachineStarted() {
  timespec wall{}, up{};
  clock_gettime(CLOCK_REALTIME, &wall);
  clock_gettime(CLOCK_BOOTTIME, &up);
  return FromMicros((wall.tv_sec - up.tv_sec) * 1'000'000 + (wall.tv_nsec - up.tv_nsec) / 1'000);
}

std::set<std::string> KillSupervisorsBut(const std::set<std::string>& known,
                                         const std::string& logs) {
  std::set<std::string> killed;
  const std::string mounts = LinkOf("/proc/self/ns/mnt");
  for (const int64_t pid : Pids()) {
    const std::string id = SupervisedBy(pid, logs);
    if (id.empty() || known.contains(id)) continue;
    if (LinkOf(fmt::format("/proc/{}/ns/mnt", pid)) != mounts) continue;
    const std::optional<Found> found = Look(pid);
    if (!found || kill(static_cast<pid_t>(pid), SIGKILL) != 0) continue;
    killed.insert(id);
    const std::string scratch = fmt::format("{}/scratch/{}", logs.substr(0, logs.rfind('/')), id);
    KillStrays(pid, MachineStarted() + found->began, scratch);
  }
  return killed;
}

void KillStrays(int64_t supervisor_pid, Time started, const std::string& scratch) {
  const Time machine_started = MachineStarted();
  if (supervisor_pid <= 1 || started < machine_started) return;
  const std::string mark = fmt::format("{}={}", kScratchVariable, scratch);
  const std::optional<Found> leader = Look(supervisor_pid);
  const bool reused = leader && machine_started + leader->began > started + kClockTolerance;

  std::set<int64_t> killed;
  for (int round = 0; round < kRoundsMax; ++round) {
    bool found_more = false;
    for (const int64_t pid : Pids()) {
      const std::optional<Found> found = Look(pid);
      if (!found || !Runs(*found) || pid == getpid()) continue;
      bool ours = !reused && found->session == supervisor_pid;
      if (!ours) {
        const StatusOr<std::string> words = ReadWholeFile(fmt::format("/proc/{}/environ", pid));
        ours = words.ok() && HasWord(*words, mark);
      }
      if (!ours) continue;
      kill(static_cast<pid_t>(pid), SIGKILL);
      found_more |= killed.insert(pid).second;
    }
    if (!found_more) return;
  }
}

}  // namespace allot::agent
