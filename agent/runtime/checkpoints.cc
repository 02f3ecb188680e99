#include "agent/runtime/checkpoints.h"

#include <cerrno>
#include <filesystem>

#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/runtime/beneath.h"
#include "agent/runtime/people.h"

namespace allot::agent {
namespace {

namespace fs = std::filesystem;

enum class Whose {
  kUsers,    // made, or found as it should be
  kOthers,   // of an attempt that ran as somebody else
  kUnknown,  // not made, or no folder: for the task to find out
};

// Where root is nobody (a server of files that squashes it) the task makes its folder itself.
bool RootIsNobody(int error) { return error == EACCES || error == EPERM; }

Status NotMade(int error, const std::string& path) {
  return ErrnoStatus(error, fmt::format("cannot create the checkpoint folder {}", path));
}

// In the operator's folder `parent`, where only the agent makes anything.
StatusOr<Whose> MakeForUser(int parent, const std::string& name, const RunAs& as, bool* empty) {
  constexpr int kFolder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  if (mkdirat(parent, name.c_str(), 0700) == 0) {
    const Fd made(openat(parent, name.c_str(), kFolder));
    if (made.valid() && fchown(made.get(), as.uid, as.gid) == 0) {
      *empty = true;
      return Whose::kUsers;
    }
    const int error = errno;
    unlinkat(parent, name.c_str(), AT_REMOVEDIR);
    if (!RootIsNobody(error)) return NotMade(error, name);
    return Whose::kUnknown;
  }
  if (errno != EEXIST && !RootIsNobody(errno)) return NotMade(errno, name);
  struct stat info {};
  if (fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(info.st_mode))
    return Whose::kUnknown;
  if (info.st_uid != as.uid) return Whose::kOthers;
  Fd found(openat(parent, name.c_str(), kFolder));
  if (!found.valid()) return Whose::kUnknown;
  *empty = IsEmptyFolder(std::move(found));
  return Whose::kUsers;
}

// By the kernel's own calls, which are this thread's alone.
bool LooksEmptyTo(const RunAs& as, const std::string& path) {
  if (syscall(SYS_setgroups, as.groups.size(), as.groups.data()) != 0) return false;
  setfsgid(as.gid);
  setfsuid(as.uid);
  if (setfsuid(static_cast<uid_t>(-1)) != static_cast<int>(as.uid)) return false;
  Fd found(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC));
  if (!found.valid()) return errno == ENOENT;
  return IsEmptyFolder(std::move(found));
}

}  // namespace

bool IsFolderOfJob(std::string_view path, JobId job) {
  std::string_view name = path.substr(path.rfind('/') + 1);
  const std::string number = ToString(job);
  if (!name.starts_with(number)) return false;
  name.remove_prefix(number.size());
  return name.empty() || (name.front() == '.' && ParseIncarnation(name.substr(1)));
}

Status PrepareCheckpoints(const CheckpointFolder& folder, bool* empty) {
  const fs::path path = folder.path;
  std::error_code error;
  if (!folder.as) {
    fs::create_directories(path, error);
    if (error) return NotMade(error.value(), folder.path);
    *empty = fs::is_empty(path, error);
    return absl::OkStatus();
  }
  if (folder.clusters) {
    const fs::path parent = path.parent_path();
    if (fs::create_directories(parent, error)) (void)!chmod(parent.c_str(), 0711);
    if (error && !RootIsNobody(error.value())) return NotMade(error.value(), folder.path);
    const Fd at(open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    Whose whose = Whose::kUnknown;
    if (at.valid()) {
      ASSIGN_OR_RETURN(whose, MakeForUser(at.get(), path.filename(), *folder.as, empty));
    }
    if (whose == Whose::kUsers) return absl::OkStatus();
    if (whose == Whose::kOthers)
      RETURN_IF_ERROR(GiveFolder(folder.path, folder.as->uid, folder.as->gid));
  }
  *empty = LooksEmptyTo(*folder.as, folder.path);
  return absl::OkStatus();
}

Status PrepareCheckpointsNear(const CheckpointFolder& folder, const std::string& mount,
                              bool* empty) {
  const size_t skip = mount == "/" ? 1 : mount.size() + 1;
  if (folder.path.size() <= skip || folder.path.front() != '/')
    return FailedPrecondition("{} is a mount, or relative", folder.path);
  const std::string below = folder.path.substr(skip);
  if (!folder.as) {
    ASSIGN_OR_RETURN(Fd made, MakeFoldersBeneath(mount, below));
    *empty = IsEmptyFolder(std::move(made));
    return absl::OkStatus();
  }
  const size_t slash = below.rfind('/');
  if (!folder.clusters || slash == below.npos)
    return FailedPrecondition("{} is not for the agent to open", folder.path);
  ASSIGN_OR_RETURN(const Fd parent, MakeFoldersBeneath(mount, below.substr(0, slash), 0711));
  ASSIGN_OR_RETURN(const Whose whose,
                   MakeForUser(parent.get(), below.substr(slash + 1), *folder.as, empty));
  if (whose == Whose::kOthers) return FailedPrecondition("{} is somebody else's", folder.path);
  return absl::OkStatus();
}

}  // namespace allot::agent
