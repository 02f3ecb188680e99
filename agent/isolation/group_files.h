// The files of a cgroup, of either version. Internal to agent/isolation.
#pragma once

#include <fcntl.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <utility>

#include "agent/runtime/files.h"
#include "fmt/format.h"

namespace allot::agent {

// Opened with O_CREAT, which a real cgroup refuses for a file it does not have, and which lets a
// test look at what was written into a plain folder.
inline Status WriteGroupFile(const std::string& path, std::string_view text) {
  const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd.valid()) return ErrnoStatus(errno, fmt::format("cannot open {}", path));
  return WriteAll(fd.get(), text, path);
}

inline std::string ReadGroupFileOr(const std::string& path, std::string otherwise) {
  auto content = ReadWholeFile(path);
  return content.ok() ? *std::move(content) : std::move(otherwise);
}

// Microseconds of processor time that are counted together; the kernel's own default.
inline constexpr int64_t kCpuPeriodMicros = 100'000;

}  // namespace allot::agent
