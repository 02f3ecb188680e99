#include "common/transport/locked_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <system_error>

namespace allot::transport {
namespace {

std::string ErrorText(int error) { return std::generic_category().message(error); }

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

StatusOr<std::string> ReadAll(int fd, const std::string& path, std::string_view what) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) {
    return Unavailable("cannot read {} {}: {}", what, path, ErrorText(errno));
  }
  if ((info.st_mode & S_IWOTH) != 0) {
    return PermissionDenied("{} {} may be written by everybody; run: chmod o-w {}", what, path,
                            path);
  }
  std::string text;
  char buffer[65536];
  for (;;) {
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got == 0) return text;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Unavailable("cannot read {} {}: {}", what, path, ErrorText(errno));
    text.append(buffer, static_cast<size_t>(got));
  }
}

Status WriteAll(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t put = ::write(fd, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return Unavailable("cannot write {}: {}", path, ErrorText(errno));
    text.remove_prefix(static_cast<size_t>(put));
  }
  if (::fsync(fd) != 0) return Unavailable("cannot write {}: {}", path, ErrorText(errno));
  return absl::OkStatus();
}

struct Owner {
  uid_t user;
  gid_t group;
};

Status Replace(const std::string& path, std::string_view text, mode_t mode,
               std::optional<Owner> owner) {
  std::string temporary = path + ".XXXXXX";
  {
    const File file(::mkostemp(temporary.data(), O_CLOEXEC));
    if (file.fd() < 0) {
      return Unavailable("cannot write beside {}: {}", path, ErrorText(errno));
    }
    Status written = WriteAll(file.fd(), text, path);
    if (written.ok() && ::fchmod(file.fd(), mode) != 0) {
      written = Unavailable("cannot set the mode of {}: {}", path, ErrorText(errno));
    }
    // Only root may give a file away, and only root needs to.
    if (written.ok() && owner && ::geteuid() == 0 &&
        ::fchown(file.fd(), owner->user, owner->group) != 0) {
      written = Unavailable("cannot set the owner of {}: {}", path, ErrorText(errno));
    }
    if (written.ok() && ::rename(temporary.c_str(), path.c_str()) != 0) {
      written = Unavailable("cannot replace {}: {}", path, ErrorText(errno));
    }
    if (!written.ok()) {
      ::unlink(temporary.c_str());
      return written;
    }
  }
  const File directory(::open(FolderOf(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.fd() >= 0) ::fsync(directory.fd());  // Best effort: the file itself is whole.
  return absl::OkStatus();
}

}  // namespace

StatusOr<std::string> ReadGuarded(const std::string& path, std::string_view what) {
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd() < 0) {
    if (errno == ENOENT) return NotFound("{} {} does not exist", what, path);
    return Unavailable("cannot open {} {}: {}", what, path, ErrorText(errno));
  }
  return ReadAll(file.fd(), path, what);
}

Status EditLocked(const std::string& path, std::string_view what, bool create,
                  const std::function<Status(std::string*)>& edit) {
  for (;;) {
    const File file(::open(path.c_str(), O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0644));
    if (file.fd() < 0) {
      if (errno == ENOENT && !create) return NotFound("{} {} does not exist", what, path);
      return Unavailable("cannot open {} {}: {}", what, path, ErrorText(errno));
    }
    if (::flock(file.fd(), LOCK_EX) != 0) {
      return Unavailable("cannot lock {} {}: {}", what, path, ErrorText(errno));
    }
    // Another editor may have renamed its new list over the file while we waited.
    struct stat locked {
    }, current{};
    if (::fstat(file.fd(), &locked) != 0 || ::stat(path.c_str(), &current) != 0 ||
        locked.st_ino != current.st_ino || locked.st_dev != current.st_dev) {
      continue;
    }
    ASSIGN_OR_RETURN(std::string text, ReadAll(file.fd(), path, what));
    Owner owner{locked.st_uid, locked.st_gid};
    struct stat folder {};
    const bool is_new = text.empty();
    if (is_new && ::stat(FolderOf(path).c_str(), &folder) == 0) {
      owner = {folder.st_uid, folder.st_gid};
    }
    RETURN_IF_ERROR(edit(&text));
    return Replace(path, text, locked.st_mode & 07777, owner);
  }
}

Status ReplaceFile(const std::string& path, std::string_view text, unsigned mode) {
  return Replace(path, text, mode, std::nullopt);
}

}  // namespace allot::transport
