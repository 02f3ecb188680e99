#include "agent/isolation/cgroups.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <sstream>
#include <thread>

#include "agent/isolation/group_files.h"

namespace allot::agent {
namespace {

constexpr size_t kFiltersKept = 256;
constexpr std::string_view kHeld = "another agent holds";

bool Has(const std::string& words, std::string_view word) {
  std::istringstream in(words);
  for (std::string each; in >> each;)
    if (each == word) return true;
  return false;
}

// Where cgroup v2 is mounted: alone, or beside v1 ("unified").
std::optional<std::string> MountPoint(const std::string& mounts) {
  std::istringstream in(ReadGroupFileOr(mounts, ""));
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string device, point, type;
    if (words >> device >> point >> type && type == "cgroup2") return point;
  }
  return std::nullopt;
}

// Our own cgroup: the line "0::/path".
std::optional<std::string> OwnPath(const std::string& self) {
  std::istringstream in(ReadGroupFileOr(self, ""));
  for (std::string line; std::getline(in, line);)
    if (line.rfind("0::/", 0) == 0) return line.substr(3);
  return std::nullopt;
}

// cgroup v2 weights: 100 is the default of a group, 1 to 10,000; we give 100 for each CPU.
int64_t WeightOf(double cpus) { return std::clamp<int64_t>(std::llround(cpus * 100), 1, 10'000); }

// Another agent that starts holds an abandoned group for a moment (RemoveAbandoned); one that keeps
// it has the same name.
Status Lock(const Fd& fd, const std::string& base, std::chrono::milliseconds patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus(errno, fmt::format("cannot lock {}", base));
    if (std::chrono::steady_clock::now() >= end)
      return Unavailable("{} {}: is its state_dir a copy of this one's?", kHeld, base);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return absl::OkStatus();
}

// Makes <base>/tasks and locks <base> for as long as the descriptor lives: the lock tells agents
// that start which groups have an owner.
StatusOr<Fd> Hold(const std::string& base, std::chrono::milliseconds patience) {
  Status failed;
  for (int attempt = 0; attempt < 3; ++attempt) {  // Another may just be removing it.
    failed = absl::OkStatus();
    for (const std::string& folder : {base, base + "/tasks"})
      if (failed.ok() && mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST)
        failed = ErrnoStatus(errno, fmt::format("cannot make {}", folder));
    Fd fd(open(base.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (failed.ok() && !fd.valid())
      failed = ErrnoStatus(errno, fmt::format("cannot open {}", base));
    if (failed.ok()) failed = Lock(fd, base, patience);
    if (failed.ok() && access((base + "/tasks").c_str(), F_OK) == 0) return fd;
  }
  return failed.ok() ? Unavailable("{} is removed as often as it is made", base) : failed;
}

// Empty groups of agents that were killed and have not come back.
void RemoveAbandoned(const std::string& mount, const std::string& prefix) {
  std::error_code error;
  for (std::filesystem::directory_iterator it(mount, error), end; !error && it != end;
       it.increment(error)) {
    if (!it->path().filename().string().starts_with(prefix)) continue;
    const Fd fd(open(it->path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid() || flock(fd.get(), LOCK_EX | LOCK_NB) != 0) continue;
    const std::filesystem::path tasks = it->path() / "tasks";
    std::error_code ignored;
    for (std::filesystem::directory_iterator task(tasks, ignored), last; !ignored && task != last;
         task.increment(ignored))
      rmdir(task->path().c_str());  // Refused where something runs.
    rmdir(tasks.c_str());
    rmdir(it->path().c_str());
  }
}

}  // namespace

std::unique_ptr<Cgroups> Cgroups::Open(const Options& options) {
  auto without = [](std::string why) {
    std::unique_ptr<Cgroups> none(new Cgroups("", ""));
    none->abilities_.losses = {
        fmt::format("device filters, limits and whole-group kill: {}", std::move(why))};
    return none;
  };
  const auto mount = MountPoint(options.mounts);
  if (!mount) return without("this host has no cgroup v2");
  const auto own = OwnPath(options.self);
  if (!own) return without("this process is in no cgroup v2");

  // Started again by systemd, we may find ourselves in the leaf that the agent before us made.
  std::string base = *mount + (*own == "/" ? "" : *own);
  const bool in_leaf = base.ends_with("/agent") &&
                       std::filesystem::exists(base.substr(0, base.size() - 6) + "/tasks");
  if (in_leaf) base.resize(base.size() - 6);
  const bool root = base == *mount;
  if (root) base += "/" + options.name;
  StatusOr<Fd> held = Hold(base, options.patience);
  if (absl::IsUnavailable(held.status())) {
    std::unique_ptr<Cgroups> none = without(MessageOf(held.status()));
    // Below a session or a unit any agent of it may be the other; this name is of one state alone.
    if (root && MessageOf(held.status()).starts_with(kHeld))
      none->abilities_.held_by_another = base;
    return none;
  }
  if (!held.ok())
    return without(fmt::format("{}; under systemd, set Delegate=yes", MessageOf(held.status())));
  if (root) RemoveAbandoned(*mount, options.name.substr(0, options.name.find('-') + 1));
  if (!root && !in_leaf) {
    // A group with processes of its own hands no controllers to the groups below it.
    if (mkdir((base + "/agent").c_str(), 0755) != 0 && errno != EEXIST)
      return without(fmt::format("cannot make {}/agent: {}", base, strerror(errno)));
    if (const Status moved = WriteGroupFile(base + "/agent/cgroup.procs", "0"); !moved.ok())
      return without(MessageOf(moved));
  }

  std::unique_ptr<Cgroups> groups(new Cgroups(base, base + "/tasks"));
  groups->held_ = *std::move(held);
  CgroupAbilities& can = groups->abilities_;
  const std::string probe = groups->PathOf("probe");
  if (mkdir(probe.c_str(), 0755) != 0 && errno != EEXIST)
    return without(fmt::format("cannot make {}: {}", probe, strerror(errno)));
  can.groups = true;
  auto enable = [&](const char* controller, bool* able) {
    std::vector<std::string> chain = {base, base + "/tasks"};
    if (root) chain.insert(chain.begin(), *mount);
    for (const std::string& folder : chain) {
      if (!Has(ReadGroupFileOr(folder + "/cgroup.controllers", ""), controller)) {
        can.losses.push_back(
            fmt::format("{} limits: {} has no {} controller (cgroup v1 has it, "
                        "or it is not delegated)",
                        controller, folder, controller));
        return;
      }
      const Status on =
          WriteGroupFile(folder + "/cgroup.subtree_control", fmt::format("+{}", controller));
      if (!on.ok()) {
        can.losses.push_back(fmt::format("{} limits: {}", controller, MessageOf(on)));
        return;
      }
    }
    *able = true;
  };
  enable("cpu", &can.cpu);
  enable("memory", &can.memory);
  enable("pids", &can.pids);
  can.kill = access((probe + "/cgroup.kill").c_str(), W_OK) == 0;
  if (!can.kill) can.losses.push_back("whole-group kill: this kernel has no cgroup.kill");
  groups->ProbeDevices();
  rmdir(probe.c_str());
  return groups;
}

void Cgroups::ProbeDevices() {
  const Fd folder(open(PathOf("probe").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const Status attached = folder.valid() ? Filter(folder.get(), StandardDevices())
                                         : ErrnoStatus(errno, "cannot open the probe's cgroup");
  abilities_.devices = attached.ok();
  if (!attached.ok())
    abilities_.losses.push_back(fmt::format("device filters: {}", MessageOf(attached)));
}

Cgroups::~Cgroups() {
  if (!abilities_.groups) return;
  rmdir(tasks_.c_str());
  rmdir(base_.c_str());
}

Status Cgroups::Filter(int cgroup, const std::vector<DeviceRule>& devices) {
  auto filter = filters_.find(devices);
  if (filter == filters_.end()) {
    ASSIGN_OR_RETURN(Fd loaded, LoadDeviceFilter(CompileDeviceFilter(devices)));
    if (filters_.size() >= kFiltersKept) filters_.clear();
    filter = filters_.emplace(devices, std::move(loaded)).first;
  }
  return AttachDeviceFilter(cgroup, filter->second.get());
}

StatusOr<Fd> Cgroups::Create(const std::string& id, const CgroupLimits& limits,
                             const std::vector<DeviceRule>& devices) {
  if (!abilities_.groups) return Fd();
  const std::string path = PathOf(id);
  if (mkdir(path.c_str(), 0755) != 0 && errno != EEXIST)
    return ErrnoStatus(errno, fmt::format("cannot make the cgroup {}", path));
  auto fill = [&]() -> StatusOr<Fd> {
    if (abilities_.cpu) {
      RETURN_IF_ERROR(
          WriteGroupFile(path + "/cpu.weight", fmt::format("{}", WeightOf(limits.cpus))));
      if (limits.cpus_hard && limits.cpus > 0)
        RETURN_IF_ERROR(WriteGroupFile(
            path + "/cpu.max",
            fmt::format("{} {}", std::llround(limits.cpus * kCpuPeriodMicros), kCpuPeriodMicros)));
    }
    if (abilities_.memory && limits.memory) {
      RETURN_IF_ERROR(WriteGroupFile(path + "/memory.max", fmt::format("{}", *limits.memory)));
      RETURN_IF_ERROR(WriteGroupFile(path + "/memory.oom.group", "1"));
    }
    if (abilities_.pids && limits.pids)
      RETURN_IF_ERROR(WriteGroupFile(path + "/pids.max", fmt::format("{}", *limits.pids)));
    Fd folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.valid()) return ErrnoStatus(errno, fmt::format("cannot open {}", path));
    if (abilities_.devices) RETURN_IF_ERROR(Filter(folder.get(), devices));
    return folder;
  };
  StatusOr<Fd> filled = fill();
  if (!filled.ok()) rmdir(path.c_str());
  return filled;
}

void Cgroups::Kill(const std::string& id) {
  if (abilities_.kill) (void)WriteGroupFile(PathOf(id) + "/cgroup.kill", "1");
}

int64_t Cgroups::OutOfMemoryKills(const std::string& id) const {
  if (!abilities_.memory) return 0;
  std::istringstream in(ReadGroupFileOr(PathOf(id) + "/memory.events", ""));
  int64_t count = 0;
  for (std::string name; in >> name >> count;)
    if (name == "oom_kill") return count;
  return 0;
}

bool Cgroups::Remove(const std::string& id) {
  if (!abilities_.groups) return true;
  return rmdir(PathOf(id).c_str()) == 0 || errno == ENOENT;
}

std::vector<std::string> Cgroups::List() const {
  std::vector<std::string> ids;
  if (!abilities_.groups) return ids;
  std::error_code error;
  for (std::filesystem::directory_iterator it(tasks_, error), end; !error && it != end;
       it.increment(error))
    if (it->is_directory(error)) ids.push_back(it->path().filename().string());
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace allot::agent
