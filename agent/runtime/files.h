// Small files of the state folder: read whole, written whole. Errors name the path.
#pragma once

#include <string>

#include "common/base/status.h"

namespace allot::agent {

// Owns a descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.Release()) {}
  Fd& operator=(Fd&& other) noexcept {
    Reset(other.Release());
    return *this;
  }
  ~Fd() { Reset(); }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void Reset(int fd = -1);

 private:
  int fd_ = -1;
};

// absl status of an errno, with what was attempted: "cannot open /x/y: No space left on device".
Status ErrnoStatus(int error, std::string_view what);

// NotFound if there is none; OutOfRange if larger than `bytes_max`; FailedPrecondition if it is no
// regular file: a pipe would be waited for. For paths of ours, or that an operator named: what
// tasks and users may have put somewhere is opened by beneath.h.
StatusOr<std::string> ReadWholeFile(const std::string& path, size_t bytes_max = 16 << 20);
// A reader sees the old content or the new, never half of it; both survive a power cut.
Status ReplaceFile(const std::string& path, std::string_view content, int mode = 0640);
// As above for readers, but a power cut may take it: for what only a running process reads. Does
// not wait for the disk.
Status ReplaceFileUnsynced(const std::string& path, std::string_view content);
Status MakeFolder(const std::string& path, int mode = 0750);  // fine if it exists
// A name in `folder` that nothing has: "NAME.<number>".
std::string FreshName(const std::string& folder, const std::string& name);
StatusOr<std::string> ReadAll(int fd, const std::string& path, size_t bytes_max);
Status WriteAll(int fd, std::string_view bytes, const std::string& path);

}  // namespace allot::agent
