#include "agent/isolation/legacy_cgroups.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <set>
#include <sstream>
#include <thread>

#include "agent/isolation/group_files.h"

namespace allot::agent {
namespace {

namespace fs = std::filesystem;

bool HasWord(const std::string& words, std::string_view word) {  // separated by commas
  std::istringstream in(words);
  for (std::string each; std::getline(in, each, ',');)
    if (each == word) return true;
  return false;
}

std::optional<std::string> MountOf(const std::string& mounts, const std::string& controller) {
  std::istringstream in(ReadGroupFileOr(mounts, ""));
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string device, point, type, options;
    if (words >> device >> point >> type >> options && type == "cgroup" &&
        HasWord(options, controller))
      return point;
  }
  return std::nullopt;
}

// Of the lines "4:memory:/path".
std::string OwnPath(const std::string& self, const std::string& controller) {
  std::istringstream in(ReadGroupFileOr(self, ""));
  for (std::string line; std::getline(in, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second != line.npos && HasWord(line.substr(first + 1, second - first - 1), controller))
      return line.substr(second + 1);
  }
  return "/";
}

void RemoveAbandoned(const fs::path& parent, const std::string& prefix) {
  std::error_code error;
  for (fs::directory_iterator it(parent, error), end; !error && it != end; it.increment(error)) {
    if (!it->path().filename().string().starts_with(prefix)) continue;
    const Fd fd(open(it->path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid() || flock(fd.get(), LOCK_EX | LOCK_NB) != 0) continue;
    std::error_code ignored;
    for (fs::directory_iterator task(it->path(), ignored), last; !ignored && task != last;
         task.increment(ignored))
      if (task->is_directory(ignored))
        rmdir(task->path().c_str());  // Refused where something runs.
    rmdir(it->path().c_str());
  }
}

std::set<pid_t> ProcessesIn(const std::string& folder) {
  std::set<pid_t> pids;
  std::istringstream in(ReadGroupFileOr(folder + "/cgroup.procs", ""));
  for (pid_t pid = 0; in >> pid;)
    if (pid > 1) pids.insert(pid);
  return pids;
}

// Another agent that starts holds a group for a moment, to see whether it is abandoned.
bool LockedSoon(const Fd& group) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (flock(group.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK || std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

}  // namespace

std::string LegacyRule(const DeviceRule& rule) {
  const auto number = [](const std::optional<uint32_t>& n) {
    return n ? std::to_string(*n) : std::string("*");
  };
  return fmt::format("{} {}:{} {}", rule.type == DeviceRule::Type::kChar ? 'c' : 'b',
                     number(rule.major), number(rule.minor), rule.open ? "rwm" : "m");
}

std::unique_ptr<LegacyCgroups> LegacyCgroups::Open(const Options& options) {
  std::unique_ptr<LegacyCgroups> groups(new LegacyCgroups);
  CgroupAbilities& can = groups->abilities_;
  const auto take = [&](const std::string& controller, bool have, const char* what) {
    if (have) return false;
    const auto mount = MountOf(options.mounts, controller);
    if (!mount) return false;
    const std::string own = OwnPath(options.self, controller);
    Tree tree{*mount + (own == "/" ? "" : own) + "/" + options.name, {}};
    const std::string parent = fs::path(tree.base).parent_path();
    RemoveAbandoned(parent, options.name.substr(0, options.name.find('-') + 1));
    if (mkdir(tree.base.c_str(), 0755) != 0 && errno != EEXIST) {
      can.losses.push_back(fmt::format("{}: cannot make {}: {}", what, tree.base, strerror(errno)));
      return false;
    }
    tree.held = Fd(open(tree.base.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!tree.held.valid() || !LockedSoon(tree.held)) {
      can.losses.push_back(fmt::format("{}: another agent holds {}", what, tree.base));
      return false;
    }
    groups->trees_[controller] = std::move(tree);
    return true;
  };
  can.cpu = take("cpu", options.have.cpu, "cpu limits");
  can.memory = take("memory", options.have.memory, "memory limits");
  can.pids = take("pids", options.have.pids, "pids limits");
  can.devices = take("devices", options.have.devices, "device filters");
  can.kill = take("freezer", options.have.kill, "whole-group kill");
  can.groups = !groups->trees_.empty();
  return groups;
}

LegacyCgroups::~LegacyCgroups() {
  for (const auto& [controller, tree] : trees_) rmdir(tree.base.c_str());
}

Status LegacyCgroups::Fill(const std::string& id, const CgroupLimits& limits,
                           const std::vector<DeviceRule>& devices) const {
  if (abilities_.cpu) {
    const std::string path = PathOf("cpu", id);
    const auto shares = std::clamp<int64_t>(std::llround(limits.cpus * 1024), 2, 262'144);
    RETURN_IF_ERROR(WriteGroupFile(path + "/cpu.shares", fmt::format("{}", shares)));
    if (limits.cpus_hard && limits.cpus > 0) {
      RETURN_IF_ERROR(
          WriteGroupFile(path + "/cpu.cfs_period_us", fmt::format("{}", kCpuPeriodMicros)));
      RETURN_IF_ERROR(
          WriteGroupFile(path + "/cpu.cfs_quota_us",
                         fmt::format("{}", std::llround(limits.cpus * kCpuPeriodMicros))));
    }
  }
  if (abilities_.memory && limits.memory) {
    const std::string path = PathOf("memory", id), bytes = fmt::format("{}", *limits.memory);
    RETURN_IF_ERROR(WriteGroupFile(path + "/memory.limit_in_bytes", bytes));
    // Of memory and swap together, where swap is counted; it may not be less than the first.
    const std::string both = path + "/memory.memsw.limit_in_bytes";
    if (access(both.c_str(), F_OK) == 0) RETURN_IF_ERROR(WriteGroupFile(both, bytes));
  }
  if (abilities_.pids && limits.pids)
    RETURN_IF_ERROR(
        WriteGroupFile(PathOf("pids", id) + "/pids.max", fmt::format("{}", *limits.pids)));
  if (abilities_.devices) {
    const std::string path = PathOf("devices", id);
    RETURN_IF_ERROR(WriteGroupFile(path + "/devices.deny", "a"));
    for (const DeviceRule& rule : devices)
      RETURN_IF_ERROR(WriteGroupFile(path + "/devices.allow", LegacyRule(rule)));
  }
  return absl::OkStatus();
}

StatusOr<std::vector<std::string>> LegacyCgroups::Create(const std::string& id,
                                                         const CgroupLimits& limits,
                                                         const std::vector<DeviceRule>& devices) {
  std::vector<std::string> join;
  Status status = absl::OkStatus();
  for (const auto& [controller, tree] : trees_) {
    const std::string path = PathOf(controller, id);
    if (mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
      status = ErrnoStatus(errno, fmt::format("cannot make the cgroup {}", path));
      break;
    }
    const std::string procs = path + "/cgroup.procs";
    // Two controllers may be one tree ("cpu,memory").
    std::error_code error;
    const std::string real = fs::canonical(path, error).string() + "/cgroup.procs";
    const std::string& file = error ? procs : real;
    if (std::find(join.begin(), join.end(), file) == join.end()) join.push_back(file);
  }
  if (status.ok()) status = Fill(id, limits, devices);
  if (status.ok()) return join;
  Remove(id);
  return status;
}

void LegacyCgroups::Kill(const std::string& id) {
  const bool holds = trees_.contains("freezer");
  if (holds) (void)WriteGroupFile(PathOf("freezer", id) + "/freezer.state", "FROZEN");
  for (const auto& [controller, tree] : trees_)
    for (const pid_t pid : ProcessesIn(PathOf(controller, id))) kill(pid, SIGKILL);
  if (holds) (void)WriteGroupFile(PathOf("freezer", id) + "/freezer.state", "THAWED");
}

int64_t LegacyCgroups::OutOfMemoryKills(const std::string& id) const {
  if (!abilities_.memory) return 0;
  std::istringstream in(ReadGroupFileOr(PathOf("memory", id) + "/memory.oom_control", ""));
  int64_t count = 0;
  for (std::string name; in >> name >> count;)
    if (name == "oom_kill") return count;
  return 0;
}

bool LegacyCgroups::Remove(const std::string& id) {
  bool gone = true;
  for (const auto& [controller, tree] : trees_)
    gone = (rmdir(PathOf(controller, id).c_str()) == 0 || errno == ENOENT) && gone;
  return gone;
}

std::vector<std::string> LegacyCgroups::List() const {
  std::set<std::string> ids;
  for (const auto& [controller, tree] : trees_) {
    std::error_code error;
    for (fs::directory_iterator it(tree.base, error), end; !error && it != end; it.increment(error))
      if (it->is_directory(error)) ids.insert(it->path().filename().string());
  }
  return {ids.begin(), ids.end()};
}

}  // namespace allot::agent
