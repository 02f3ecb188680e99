#include "agent/runtime/files.h"

#include <atomic>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace allot::agent {

void Fd::Reset(int fd) {
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
}

Status ErrnoStatus(int error, std::string_view what) {
  switch (error) {
    case ENOENT:
      return NotFound("{}: {}", what, strerror(error));
    case EACCES:
    case EPERM:
    case EROFS:
      return PermissionDenied("{}: {}", what, strerror(error));
    case EEXIST:
      return AlreadyExists("{}: {}", what, strerror(error));
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case EAGAIN:
    case ENOMEM:
      return ResourceExhausted("{}: {}", what, strerror(error));
    default:
      return Unavailable("{}: {}", what, strerror(error));
  }
}

StatusOr<std::string> ReadWholeFile(const std::string& path, size_t bytes_max) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) return ErrnoStatus(errno, fmt::format("cannot open {}", path));
  struct stat info {};
  if (fstat(fd.get(), &info) != 0)
    return ErrnoStatus(errno, fmt::format("cannot look at {}", path));
  if (!S_ISREG(info.st_mode)) return FailedPrecondition("{} is not a regular file", path);
  return ReadAll(fd.get(), path, bytes_max);
}

StatusOr<std::string> ReadAll(int fd, const std::string& path, size_t bytes_max) {
  std::string content;
  char buffer[16 << 10];
  for (;;) {
    const ssize_t size = read(fd, buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return ErrnoStatus(errno, fmt::format("cannot read {}", path));
    if (size == 0) return content;
    content.append(buffer, static_cast<size_t>(size));
    if (content.size() > bytes_max)
      return OutOfRange("{} is larger than {} bytes", path, bytes_max);
  }
}

Status WriteAll(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t size = write(fd, bytes.data(), bytes.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return ErrnoStatus(errno, fmt::format("cannot write {}", path));
    bytes.remove_prefix(static_cast<size_t>(size));
  }
  return absl::OkStatus();
}

namespace {

Status Replace(const std::string& path, std::string_view content, int mode, bool sync) {
  const std::string temporary = path + ".new";
  unlink(temporary.c_str());  // Of one that was killed; never written to, whatever it is by now.
  {
    const Fd fd(
        open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!fd.valid()) return ErrnoStatus(errno, fmt::format("cannot create {}", temporary));
    RETURN_IF_ERROR(WriteAll(fd.get(), content, temporary));
    if (sync && fsync(fd.get()) != 0)
      return ErrnoStatus(errno, fmt::format("cannot sync {}", temporary));
  }
  if (rename(temporary.c_str(), path.c_str()) != 0)
    return ErrnoStatus(errno, fmt::format("cannot replace {}", path));
  return absl::OkStatus();
}

}  // namespace

Status ReplaceFile(const std::string& path, std::string_view content, int mode) {
  return Replace(path, content, mode, /*sync=*/true);
}

Status ReplaceFileUnsynced(const std::string& path, std::string_view content) {
  return Replace(path, content, 0640, /*sync=*/false);
}

Status MakeFolder(const std::string& path, int mode) {
  if (mkdir(path.c_str(), static_cast<mode_t>(mode)) == 0) {
    // Whatever our umask: what lies in it may be meant for others, or not for them.
    (void)chmod(path.c_str(), static_cast<mode_t>(mode));
    return absl::OkStatus();
  }
  const int error = errno;
  struct stat info {};
  if (error == EEXIST && stat(path.c_str(), &info) == 0 && !S_ISDIR(info.st_mode))
    return FailedPrecondition("cannot create the folder {}: something else is in its place", path);
  if (error == EEXIST) return absl::OkStatus();
  return ErrnoStatus(error, fmt::format("cannot create the folder {}", path));
}

std::string FreshName(const std::string& folder, const std::string& name) {
  static std::atomic<uint64_t> last{0};
  struct stat info {};
  for (;;) {
    std::string path = fmt::format("{}/{}.{}", folder, name, ++last);
    if (lstat(path.c_str(), &info) != 0) return path;
  }
}

}  // namespace allot::agent
