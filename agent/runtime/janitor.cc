#include "agent/runtime/janitor.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/runtime/beneath.h"

namespace allot::agent {
namespace {

namespace fs = std::filesystem;

constexpr off_t kHoleBytes = 64 << 10;  // a multiple of any file system's block

struct Ended {
  timespec written;
  std::string path;
};

constexpr Bytes kKeptWhenShort = 8 * kMiB;

// Written over the last bytes of what is given back, so what follows is as it was. A reader of the
// file finds zeros before it: ReadLogPiece leaves them out.
void SayCut(int fd, off_t given, Bytes bytes_max) {
  const std::string line = fmt::format(
      "\n[allotrope] the {} before this line were given back: a log keeps {} at most "
      "(log_max), less when the disk is full\n",
      FormatBytes(given), FormatBytes(bytes_max));
  (void)!pwrite(fd, line.data(), line.size(), given - static_cast<off_t>(line.size()));
}

// The log keeps its length and its readers their offsets; only the space of the old part goes.
// What is kept is counted from the end: of a log that was cut before, most of the length is a hole.
void GiveBackBeginning(const std::string& path, const struct stat& info, Bytes kept,
                       Bytes bytes_max) {
  // The process may have put anything in the place of its log.
  const size_t slash = path.rfind('/');
  const StatusOr<Fd> opened =
      OpenFileBeneath(path.substr(0, slash), path.substr(slash + 1), O_WRONLY);
  // Whole blocks only: of a block cut in two the first part would read as zeros.
  const off_t given = (info.st_size - kept) / kHoleBytes * kHoleBytes;
  if (!opened.ok() || given <= 0) return;
  const Fd& fd = *opened;
  if (fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, given) == 0) {
    SayCut(fd.get(), given, bytes_max);
  } else if (errno == EOPNOTSUPP) {
    // A file system without holes: better no beginning than a full disk. The process appends.
    if (ftruncate(fd.get(), 0) != 0) return;
    const std::string line =
        fmt::format("[allotrope] the {} before this line were given back (log_max {})\n",
                    FormatBytes(info.st_size), FormatBytes(bytes_max));
    (void)!pwrite(fd.get(), line.data(), line.size(), 0);
  }
  // Its age is that of its last line; if one comes in this moment, the next will set it right.
  const timespec times[] = {info.st_atim, info.st_mtim};
  (void)futimens(fd.get(), times);
}

Bytes FreeIn(const std::string& folder) {
  struct statvfs disk {};
  if (statvfs(folder.c_str(), &disk) != 0) return INT64_MAX;
  return static_cast<Bytes>(disk.f_bavail * disk.f_frsize);
}

void MakeRoom(const std::string& logs, const std::vector<Ended>& ended, Bytes wanted) {
  for (const Ended& log : ended) {
    if (FreeIn(logs) >= wanted) return;
    unlink(log.path.c_str());
  }
  std::error_code error;
  for (fs::directory_iterator it(logs, error), end; !error && it != end && FreeIn(logs) < wanted;
       it.increment(error)) {
    const std::string path = it->path().string();
    struct stat info {};
    if (lstat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
        static_cast<Bytes>(info.st_blocks) * 512 > 2 * kKeptWhenShort)
      GiveBackBeginning(path, info, kKeptWhenShort, 2 * kKeptWhenShort);
  }
}

}  // namespace

void SweepLogFolder(const std::string& logs, const std::string& processes, const LogLimits& limits,
                    const std::string& trash) {
  std::vector<Ended> ended;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const int64_t kept_seconds = limits.kept.count() / 1'000'000;
  std::error_code error;
  for (fs::directory_iterator it(logs, error), end; !error && it != end; it.increment(error)) {
    const std::string path = it->path().string();
    struct stat info {};
    if (lstat(path.c_str(), &info) != 0) continue;
    if (!S_ISREG(info.st_mode)) {
      if (!trash.empty() && info.st_mtim.tv_sec + kept_seconds <= now.tv_sec)
        (void)rename(path.c_str(), FreshName(trash, it->path().filename().string()).c_str());
      continue;
    }
    const bool held = access((processes + "/" + it->path().stem().string()).c_str(), F_OK) == 0;
    const Bytes allocated = static_cast<Bytes>(info.st_blocks) * 512;
    if (!held && info.st_mtim.tv_sec + kept_seconds <= now.tv_sec) {
      unlink(path.c_str());
      continue;
    }
    // A process may have written a lot between the last sweep and its end.
    if (allocated > limits.bytes_max)
      GiveBackBeginning(path, info, limits.bytes_max / 2, limits.bytes_max);
    if (!held) ended.push_back({info.st_mtim, path});
  }
  std::sort(ended.begin(), ended.end(), [](const Ended& a, const Ended& b) {
    return std::pair(a.written.tv_sec, a.written.tv_nsec) <
           std::pair(b.written.tv_sec, b.written.tv_nsec);
  });
  for (size_t i = 0; i + limits.files_max < ended.size(); ++i) unlink(ended[i].path.c_str());
  if (FreeIn(logs) < limits.free_wanted) MakeRoom(logs, ended, limits.free_wanted);
}

}  // namespace allot::agent
