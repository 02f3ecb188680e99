#include "agent/shell/separation.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <sstream>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/devices/parts.h"
#include "agent/runtime/files.h"
#include "common/base/logging.h"
#include "common/base/thread.h"

namespace allot::agent {
namespace {

namespace fs = std::filesystem;

// Whether a process may have mounts of its own: tried, since a container's profile may forbid what
// its capabilities allow. On a thread, which alone has them then.
std::string WhyNoMounts() {
  std::string why;
  StartThread([&why] {
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0)
      why = strerror(errno);
  }).join();
  return why;
}

// Where something is mounted below /proc, a new /proc would hide it: containers put drivers' files
// there, and cover others.
bool ProcIsPlain() {
  const StatusOr<std::string> mounts = ReadWholeFile("/proc/self/mounts");
  if (!mounts.ok()) return false;
  std::istringstream in(*mounts);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string device, point;
    words >> device >> point;
    if (point.starts_with("/proc/") && point != "/proc/sys/fs/binfmt_misc") return false;
  }
  return true;
}

// The first folder on the way to `path` that other users may not go through.
std::string ClosedOnTheWay(const std::string& path) {
  for (fs::path at = path; !at.empty(); at = at.parent_path()) {
    struct stat info {};
    if (stat(at.c_str(), &info) == 0 && (info.st_mode & S_IXOTH) == 0) return at.string();
    if (at == at.parent_path()) break;
  }
  return "";
}

Status MakeFolderOf(const std::string& path, uint32_t uid, uint32_t gid, bool* made) {
  *made = mkdir(path.c_str(), 0700) == 0;
  if (!*made)
    return errno == EEXIST ? absl::OkStatus()
                           : ErrnoStatus(errno, fmt::format("cannot create {}", path));
  if (lchown(path.c_str(), uid, gid) == 0) return absl::OkStatus();
  const Status failed = ErrnoStatus(errno, fmt::format("cannot give {} to its user", path));
  rmdir(path.c_str());
  return failed;
}

}  // namespace

bool BelowTmp(std::string_view path) {
  for (const std::string_view place : {"/tmp", "/var/tmp"})
    if (path.starts_with(place) && (path.size() == place.size() || path[place.size()] == '/'))
      return true;
  return false;
}

std::vector<uint32_t> GroupsOfLease(const std::vector<Device>& node,
                                    const std::vector<std::string>& leased) {
  std::vector<uint32_t> groups;
  const LeasedFiles files = FilesOf(node, leased);
  for (const auto* paths : {&files.own, &files.shared})
    for (const std::string& path : *paths) {
      struct stat info {};
      constexpr mode_t kGroup = S_IRGRP | S_IWGRP, kOthers = S_IROTH | S_IWOTH;
      if (stat(path.c_str(), &info) != 0 || info.st_gid == 0) continue;
      if ((info.st_mode & kGroup) == kGroup && (info.st_mode & kOthers) != kOthers)
        groups.push_back(info.st_gid);
    }
  std::sort(groups.begin(), groups.end());
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
  return groups;
}

Separation::Separation(Options options, const StateFolder& folder,
                       std::optional<int64_t> processes_max)
    : options_([&] {
        const auto& limits = options.limits;
        const bool set = std::any_of(limits.begin(), limits.end(), [](const ProcessLimit& limit) {
          return limit.resource == RLIMIT_NPROC;
        });
        if (processes_max && !set && options.people.separation != People::Separation::kOff)
          options.limits.push_back({RLIMIT_NPROC, static_cast<uint64_t>(*processes_max),
                                    static_cast<uint64_t>(*processes_max)});
        return std::move(options);
      }()),
      folder_(folder),
      people_(options_.people, folder.path() + "/users", PowersOfThisProcess()) {
  losses_ = people_.losses();
  if (people_.apart()) {
    const std::string why = WhyNoMounts();
    mounts_ = why.empty();
    hides_ = mounts_ && ProcIsPlain();
    if (!options_.private_tmp) {
      losses_.push_back("a /tmp of its own: users.private_tmp is false in the agent's config");
    } else if (!mounts_) {
      losses_.push_back(fmt::format("a /tmp of its own: {}", why));
    } else if (BelowTmp(folder_.path())) {
      losses_.push_back(
          fmt::format("a /tmp of its own: state_dir is {}, below it", folder_.path()));
    }
    if (!hides_)
      losses_.push_back(
          "the list of processes: a /proc of its own cannot be had here, so everybody sees with "
          "which words others' processes were started");
  }
  for (const std::string& loss : losses_) SPDLOG_WARN("isolation: not on this host: {}", loss);
}

std::vector<std::string> Separation::losses() const { return losses_; }

std::string Separation::refusal() const {
  if (std::string why = people_.refusal(); !why.empty() || !apart()) return why;
  if (const std::string closed = ClosedOnTheWay(folder_.path()); !closed.empty())
    return fmt::format(
        "users: {} is closed to the users that tasks run as, and state_dir is in it; move "
        "state_dir, open that folder (chmod o+x), or set users.separation",
        closed);
  return "";
}

Status Separation::MakeHome(const Person& person, ProcessFiles* files) const {
  files->home = person.home;
  if (!files->home.empty()) return absl::OkStatus();
  const std::string homes = folder_.path() + "/homes";
  RETURN_IF_ERROR(MakeFolder(homes, 0711));
  files->home = fmt::format("{}/{}", homes, person.uid);
  bool made = false;
  return MakeFolderOf(files->home, person.uid, person.gid, &made);
}

// The files themselves are the agent's, and stay closed.
Status Separation::CopyTokens(const EnvironmentBase& node, const std::vector<std::string>& leased,
                              ProcessFiles* files, ProcessSpec* spec) const {
  for (const std::string& device : leased) {
    const auto it = node.endpoint_token_files.find(device);
    if (it == node.endpoint_token_files.end()) continue;
    ASSIGN_OR_RETURN(std::string token, ReadWholeFile(it->second, 64 << 10));
    const std::string name = fmt::format(".allot-endpoint-token-{}", spec->files.size());
    files->endpoint_token_files[device] = fmt::format("{}/{}", files->scratch, name);
    spec->files.emplace_back(name, std::move(token));
  }
  return absl::OkStatus();
}

// Whoever works below the host's /tmp is there by his own word, and must find it.
bool Separation::OwnTmp(const ProcessSpec& spec) const {
  return options_.private_tmp && mounts_ && !BelowTmp(folder_.path()) && !BelowTmp(spec.work_dir) &&
         (spec.argv.empty() || !BelowTmp(spec.argv.front()));
}

Status Separation::Apply(const Asker& asker, const EnvironmentBase& node,
                         const std::vector<std::string>& leased, ProcessFiles* files,
                         ProcessSpec* spec) {
  spec->limits = options_.limits;
  if (const std::string why = people_.refusal(); !why.empty()) return Unavailable("{}", why);
  if (!apart()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const Person person, people_.Of(asker.tenant, asker.token));
  RETURN_IF_ERROR(MakeHome(person, files));
  RETURN_IF_ERROR(CopyTokens(node, leased, files, spec));
  files->user = person.name;
  files->shell = person.shell;
  RunAs as{.uid = person.uid, .gid = person.gid, .groups = person.groups};
  for (const uint32_t group : GroupsOfLease(node.devices, leased))
    if (std::find(as.groups.begin(), as.groups.end(), group) == as.groups.end())
      as.groups.push_back(group);
  as.capabilities = options_.capabilities;
  as.own_tmp = OwnTmp(*spec);
  as.hide_others = hides_;
  spec->umask = options_.umask;
  spec->as = std::move(as);
  return absl::OkStatus();
}

CheckpointFolder Separation::CheckpointsOf(JobId job, bool named, const std::string& folder,
                                           ProcessSpec* spec) {
  if (spec->as) {
    if (BelowTmp(folder)) spec->as->own_tmp = false;
    spec->as->make_folder = folder;  // Nothing is left to do for it where it is there.
  }
  // A scheduler of an earlier build does not say who has named it. Only a folder that has the job's
  // name is surely the cluster's.
  return {folder, !named && IsFolderOfJob(folder, job), spec->as};
}

}  // namespace allot::agent
