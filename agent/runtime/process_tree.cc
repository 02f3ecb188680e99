#include "agent/runtime/process_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <sstream>

#include "agent/runtime/files.h"

namespace allot::agent {
namespace {

constexpr size_t kTreeMax = 100'000;

// Where hierarchies of cgroups that can freeze are mounted: v2 ("") and v1's "freezer".
std::string MountOfFreezer(bool v2) {
  const StatusOr<std::string> mounts = ReadWholeFile("/proc/self/mounts");
  if (!mounts.ok()) return "";
  std::istringstream in(*mounts);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string device, point, type, options;
    if (!(words >> device >> point >> type >> options)) continue;
    if (v2 ? type == "cgroup2"
           : type == "cgroup" && ("," + options + ",").find(",freezer,") != std::string::npos)
      return point;
  }
  return "";
}

// From the group upwards: one is frozen with any that it lies in. The root cannot be.
void Thaw(const std::string& mount, std::string group, bool v2) {
  if (mount.empty() || group.find("..") != std::string::npos) return;
  for (; group.size() > 1; group.resize(std::max<size_t>(group.rfind('/'), 1))) {
    const std::string file = mount + group + (v2 ? "/cgroup.freeze" : "/freezer.state");
    const StatusOr<std::string> state = ReadWholeFile(file, 4096);
    if (!state.ok() || *state == "0\n" || *state == "THAWED\n") continue;
    const Fd fd(open(file.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK));
    if (fd.valid()) (void)WriteAll(fd.get(), v2 ? "0" : "THAWED", file);
  }
}

// Looked for once: there may be thousands of processes to kill.
const std::string& FreezerMount(bool v2) {
  static const std::string v2_mount = MountOfFreezer(true), v1_mount = MountOfFreezer(false);
  return v2 ? v2_mount : v1_mount;
}

void ThawProcess(int64_t pid) {
  const StatusOr<std::string> groups = ReadWholeFile(fmt::format("/proc/{}/cgroup", pid));
  if (!groups.ok()) return;
  std::istringstream in(*groups);
  for (std::string line; std::getline(in, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == line.npos || second == line.npos) continue;
    const std::string kind = line.substr(first + 1, second - first - 1);
    const bool v2 = kind.empty();
    if (v2 || ("," + kind + ",").find(",freezer,") != std::string::npos)
      Thaw(FreezerMount(v2), line.substr(second + 1), v2);
  }
}

}  // namespace

std::optional<ProcessFacts> ParseProcessStat(const std::string& text) {
  // The name in parentheses may hold anything, also ")".
  const size_t begin = text.find('('), end = text.rfind(')');
  if (begin == std::string::npos || end == std::string::npos || end < begin) return std::nullopt;
  ProcessFacts facts;
  facts.name = text.substr(begin + 1, end - begin - 1);
  long long parent = 0, group = 0, session = 0, threads = 0;
  unsigned long long ticks = 0;
  if (sscanf(text.c_str() + end + 1,
             " %c %lld %lld %lld %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %lld %*d %llu",
             &facts.state, &parent, &group, &session, &threads, &ticks) != 6)
    return std::nullopt;
  facts.parent = parent;
  facts.group = group;
  facts.session = session;
  facts.threads = threads;
  facts.began = Duration(static_cast<int64_t>(ticks) * 1'000'000 / sysconf(_SC_CLK_TCK));
  return facts;
}

std::optional<ProcessFacts> FactsOf(int64_t pid) {
  const StatusOr<std::string> stat = ReadWholeFile(fmt::format("/proc/{}/stat", pid));
  if (!stat.ok()) return std::nullopt;
  return ParseProcessStat(*stat);
}

ProcessTable ProcessTable::Look() {
  ProcessTable table;
  DIR* proc = opendir("/proc");
  if (proc == nullptr) return table;
  while (const dirent* entry = readdir(proc)) {
    const std::string_view name = entry->d_name;
    int64_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc() || end != name.data() + name.size()) continue;
    std::optional<ProcessFacts> facts = FactsOf(pid);
    if (!facts) continue;
    table.children_[facts->parent].push_back(pid);
    table.all_.emplace(pid, *std::move(facts));
  }
  closedir(proc);
  return table;
}

std::vector<int64_t> ProcessTable::ChildrenOf(int64_t pid) const {
  const auto it = children_.find(pid);
  return it == children_.end() ? std::vector<int64_t>() : it->second;
}

std::vector<int64_t> ProcessTable::DescendantsOf(int64_t pid) const {
  std::vector<int64_t> found = ChildrenOf(pid);
  std::set<int64_t> seen(found.begin(), found.end());  // Parents change while we look.
  for (size_t i = 0; i < found.size(); ++i)
    for (const int64_t child : ChildrenOf(found[i]))
      if (child != pid && seen.insert(child).second) found.push_back(child);
  return found;
}

void KillProcess(const ProcessIdentity& process) {
  const pid_t pid = static_cast<pid_t>(process.pid);
  if (pid <= 1 || pid == getpid()) return;
  const Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  const std::optional<ProcessFacts> facts = FactsOf(pid);
  if (!facts || facts->began != process.began) return;
  if (!pidfd.valid() || syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0) != 0)
    kill(pid, SIGKILL);
  ThawProcess(pid);
}

std::vector<int64_t> ChildrenNow(int64_t pid) {
  std::vector<int64_t> children;
  const std::string tasks = fmt::format("/proc/{}/task", pid);
  DIR* folder = opendir(tasks.c_str());
  if (folder == nullptr) return children;
  while (const dirent* entry = readdir(folder)) {
    if (entry->d_name[0] == '.') continue;
    const StatusOr<std::string> list =
        ReadWholeFile(fmt::format("{}/{}/children", tasks, entry->d_name));
    if (!list.ok()) continue;
    std::istringstream in(*list);
    for (int64_t child = 0; in >> child;) children.push_back(child);
  }
  closedir(folder);
  return children;
}

std::set<ProcessIdentity> KillTrees(std::vector<int64_t> pids) {
  std::set<ProcessIdentity> killed;
  for (size_t i = 0; i < pids.size() && i < kTreeMax; ++i) {
    const std::optional<ProcessFacts> facts = FactsOf(pids[i]);
    if (!facts || pids[i] <= 1 || pids[i] == getpid()) continue;
    // Before it is killed: then they are another's.
    const std::vector<int64_t> below = ChildrenNow(pids[i]);
    if (facts->Runs() && killed.insert({pids[i], facts->began}).second)
      KillProcess({pids[i], facts->began});
    pids.insert(pids.end(), below.begin(), below.end());
  }
  return killed;
}

void Wake(int64_t pid) {
  if (pid <= 1) return;
  ThawProcess(pid);
  kill(static_cast<pid_t>(pid), SIGCONT);
}

Time MachineStarted() {
  timespec wall{}, up{};
  clock_gettime(CLOCK_REALTIME, &wall);
  clock_gettime(CLOCK_BOOTTIME, &up);
  return FromMicros((wall.tv_sec - up.tv_sec) * 1'000'000 + (wall.tv_nsec - up.tv_nsec) / 1'000);
}

}  // namespace allot::agent
