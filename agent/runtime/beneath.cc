#include "agent/runtime/beneath.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "common/base/check.h"

namespace allot::agent {
namespace {

std::atomic<int> without_openat2{0};

std::string Path(const std::string& folder, std::string_view name) {
  return fmt::format("{}/{}", folder, name);
}

int64_t MountOf(int fd) {
  struct statx info {};
  if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &info) != 0) return -1;
  return static_cast<int64_t>(info.stx_mnt_id);
}

// As openat2 would: a folder in which the next component is looked up is only looked at as a name
// (O_PATH), so neither a pipe nor a file system that does not answer holds us.
int OpenStepwise(int folder, std::string_view name, int flags, int mode) {
  Fd at(openat(folder, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!at.valid()) return -1;
  const int64_t mount = MountOf(at.get());
  for (;;) {
    const size_t slash = name.find('/');
    const std::string part(name.substr(0, slash));
    if (part.empty() || part == "." || part == "..") {
      errno = EXDEV;
      return -1;
    }
    // What it is, before it is opened: a link, and where it leads to, is never touched.
    const Fd found(openat(at.get(), part.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    const bool last = slash == name.npos;
    if (!found.valid() && !(last && errno == ENOENT && (flags & O_CREAT) != 0)) return -1;
    if (found.valid() && MountOf(found.get()) != mount) {
      errno = EXDEV;
      return -1;
    }
    if (last) return openat(at.get(), part.c_str(), flags, mode);
    Fd next(openat(at.get(), part.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next.valid()) return -1;
    at = std::move(next);
    name.remove_prefix(slash + 1);
  }
}

int OpenBelow(int folder, std::string_view name, int flags, int mode) {
  flags |= O_CLOEXEC | O_NOFOLLOW;
  if ((flags & O_PATH) == 0) flags |= O_NONBLOCK | O_NOCTTY;
  if (without_openat2 == 0) {
    open_how how{};
    how.flags = static_cast<uint64_t>(flags);
    how.mode = (flags & O_CREAT) != 0 ? static_cast<uint64_t>(mode) : 0;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    const std::string path(name);
    // EAGAIN: something was renamed on the way while we looked.
    for (int attempt = 0; attempt < 10; ++attempt) {
      const long fd = syscall(SYS_openat2, folder, path.c_str(), &how, sizeof how);
      if (fd >= 0) return static_cast<int>(fd);
      if (errno != EAGAIN) break;
    }
    // A filter that does not know the call answers EPERM, which a file may do as well: asked again.
    if (errno != ENOSYS && errno != EPERM) return -1;
  }
  return OpenStepwise(folder, name, flags, mode);
}

Status Refused(int error, const std::string& path) {
  switch (error) {
    case ELOOP:
      return FailedPrecondition("{} is a link, or behind one: not followed", path);
    case EXDEV:
      return FailedPrecondition("{} is on another mount: not entered", path);
    case EISDIR:
    case ENOTDIR:
      return FailedPrecondition("{}: a folder is in the place of a file, or a file in that of one",
                                path);
    default:
      return ErrnoStatus(error, fmt::format("cannot open {}", path));
  }
}

StatusOr<Fd> OpenOurs(const std::string& folder) {
  Fd at(open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!at.valid()) return ErrnoStatus(errno, fmt::format("cannot open {}", folder));
  return at;
}

// Looked at as a name first: to open a device does something to it already, whatever follows.
StatusOr<Fd> OpenRegular(int at, const std::string& folder, std::string_view name, int flags,
                         int mode) {
  CHECK((flags & O_TRUNC) == 0);
  const std::string path = Path(folder, name);
  Fd found;
  for (int attempt = 0; attempt < 10 && !found.valid(); ++attempt) {
    if ((flags & O_EXCL) == 0) {
      found = Fd(OpenBelow(at, name, O_PATH, 0));
      if (!found.valid() && (errno != ENOENT || (flags & O_CREAT) == 0))
        return Refused(errno, path);
    }
    if (found.valid()) break;
    Fd made(OpenBelow(at, name, flags | O_CREAT | O_EXCL, mode));
    if (made.valid()) return made;
    if (errno != EEXIST || (flags & O_EXCL) != 0) return Refused(errno, path);
  }
  if (!found.valid()) return Unavailable("{} comes and goes", path);
  struct stat info {};
  if (fstat(found.get(), &info) != 0)
    return ErrnoStatus(errno, fmt::format("cannot look at {}", path));
  if (S_ISLNK(info.st_mode)) return Refused(ELOOP, path);
  if (!S_ISREG(info.st_mode)) return FailedPrecondition("{} is not a regular file", path);
  if (info.st_nlink > 1)
    return FailedPrecondition("{} has {} names: it may be somebody else's file", path,
                              info.st_nlink);
  // The very file that was looked at, whatever stands at its name by now. A lease that a process
  // holds on it is not waited for.
  Fd fd(open(fmt::format("/proc/thread-self/fd/{}", found.get()).c_str(),
             (flags & ~(O_CREAT | O_EXCL)) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) return Refused(errno, path);
  return fd;
}

}  // namespace

StatusOr<Fd> OpenFileBeneath(const std::string& folder, std::string_view name, int flags,
                             int mode) {
  ASSIGN_OR_RETURN(const Fd at, OpenOurs(folder));
  return OpenRegular(at.get(), folder, name, flags, mode);
}

StatusOr<Fd> OpenFolderBeneath(const std::string& folder, std::string_view name) {
  ASSIGN_OR_RETURN(const Fd at, OpenOurs(folder));
  Fd fd(OpenBelow(at.get(), name, O_RDONLY | O_DIRECTORY, 0));
  if (!fd.valid()) return Refused(errno, Path(folder, name));
  return fd;
}

StatusOr<Fd> MakeFoldersBeneath(const std::string& folder, std::string_view name, int mode) {
  ASSIGN_OR_RETURN(Fd at, OpenOurs(folder));
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string part(name.substr(begin, end - begin));
    begin = end + 1;
    const std::string path = Path(folder, name.substr(0, end));
    if (part.empty() || part == "." || part == "..")
      return FailedPrecondition("{} is not a plain path", Path(folder, name));
    if (mkdirat(at.get(), part.c_str(), static_cast<mode_t>(mode)) != 0 && errno != EEXIST)
      return ErrnoStatus(errno, fmt::format("cannot create the folder {}", path));
    const bool last = begin > name.size();
    Fd next(OpenBelow(at.get(), part, (last ? O_RDONLY : O_PATH) | O_DIRECTORY, 0));
    if (!next.valid()) return Refused(errno, path);
    at = std::move(next);
  }
  return at;
}

bool IsEmptyFolder(Fd fd) {
  DIR* folder = fdopendir(fd.get());
  if (folder == nullptr) return false;
  (void)fd.Release();
  bool empty = true;
  while (const dirent* entry = readdir(folder)) {
    const std::string_view name = entry->d_name;
    empty = name == "." || name == "..";
    if (!empty) break;
  }
  closedir(folder);
  return empty;
}

StatusOr<std::string> ReadFileBeneath(const std::string& folder, std::string_view name,
                                      size_t bytes_max) {
  ASSIGN_OR_RETURN(const Fd fd, OpenFileBeneath(folder, name, O_RDONLY));
  return ReadAll(fd.get(), Path(folder, name), bytes_max);
}

Status ReplaceFileBeneath(const std::string& folder, std::string_view name,
                          std::string_view content, int mode) {
  ASSIGN_OR_RETURN(const Fd at, OpenOurs(folder));
  const size_t slash = name.rfind('/');
  Fd inner;
  if (slash != name.npos) {
    inner = Fd(OpenBelow(at.get(), name.substr(0, slash), O_RDONLY | O_DIRECTORY, 0));
    if (!inner.valid()) return Refused(errno, Path(folder, name.substr(0, slash)));
  }
  const int parent = inner.valid() ? inner.get() : at.get();
  const std::string last(slash == name.npos ? name : name.substr(slash + 1));
  const std::string temporary = last + ".new", path = Path(folder, name);
  if (unlinkat(parent, temporary.c_str(), 0) != 0 && errno != ENOENT)
    return ErrnoStatus(errno, fmt::format("cannot replace {}.new", path));
  {
    Fd fd(openat(parent, temporary.c_str(),
                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, mode));
    if (!fd.valid()) return ErrnoStatus(errno, fmt::format("cannot create {}.new", path));
    (void)fchmod(fd.get(), static_cast<mode_t>(mode));  // whatever our umask
    if (const Status written = WriteAll(fd.get(), content, path + ".new"); !written.ok()) {
      unlinkat(parent, temporary.c_str(), 0);
      return written;
    }
  }
  if (renameat(parent, temporary.c_str(), parent, last.c_str()) != 0) {
    const Status status = ErrnoStatus(errno, fmt::format("cannot replace {}", path));
    unlinkat(parent, temporary.c_str(), 0);
    return status;
  }
  return absl::OkStatus();
}

WithoutOpenat2::WithoutOpenat2() { ++without_openat2; }
WithoutOpenat2::~WithoutOpenat2() { --without_openat2; }

}  // namespace allot::agent
