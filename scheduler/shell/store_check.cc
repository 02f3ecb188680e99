#include "scheduler/shell/store_check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "scheduler/shell/store.h"
#include "scheduler/shell/wal.h"

namespace allot::scheduler {
namespace {

std::string WaysOut(const std::string& state_dir) {
  return fmt::format(
      "Nothing was changed. `allot restore FILE --store {0}` goes back to a backup, `allot restore "
      "--accept --store {0}` goes on with what is left of it (docs/operations.md, Backup)",
      state_dir);
}

int64_t SizeOf(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 ? static_cast<int64_t>(info.st_size) : -1;
}

// Through a window that moves on; the log is read from its begin to its end, once.
StatusOr<WalReport> ReadWalFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    if (errno == ENOENT) return WalReport();
    return PermissionDenied("{}: {}; give the scheduler's user this folder", path,
                            std::strerror(errno));
  }
  std::string window;
  int64_t begin = 0;
  StatusOr<WalReport> report =
      ReadWal([&](int64_t offset, size_t bytes) -> StatusOr<std::string_view> {
        const bool there = offset >= begin && offset + static_cast<int64_t>(bytes) <=
                                                  begin + static_cast<int64_t>(window.size());
        if (!there) {
          begin = offset;
          window.resize(std::max<size_t>(bytes, 1 << 20));
          size_t got = 0;
          while (got < window.size()) {
            const ssize_t n = pread(file, window.data() + got, window.size() - got,
                                    offset + static_cast<off_t>(got));
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return Unavailable("{}: {}; look at the disk", path, std::strerror(errno));
            if (n == 0) break;
            got += static_cast<size_t>(n);
          }
          window.resize(got);
        }
        return std::string_view(window).substr(static_cast<size_t>(offset - begin), bytes);
      });
  close(file);
  return report;
}

Status CheckWal(const std::string& state_dir, const WalReport& wal) {
  const std::string path = StorePath(state_dir) + "-wal";
  if (wal.damaged_head)
    return Internal(
        "{}: its first 32 bytes were damaged from outside, so that everything in it would be taken "
        "for nothing. {}",
        path, WaysOut(state_dir));
  if (wal.damaged_inside)
    return Internal(
        "{}: frame {} (at byte {}) was damaged from outside; with the {} frames behind it, which "
        "were on disk, it would be passed over. {}",
        path, wal.damaged, wal.OffsetOf(wal.damaged), wal.lost - 1, WaysOut(state_dir));
  return absl::OkStatus();
}

}  // namespace

Status CheckPages(Database& db, const char* pragma) {
  ASSIGN_OR_RETURN(Statement query,
                   Statement::Prepare(db, fmt::format("PRAGMA {}(1)", pragma).c_str()));
  ASSIGN_OR_RETURN(const bool row, query.Step());
  const std::string said(row ? query.Blob(0) : "nothing");
  return said == "ok" ? absl::OkStatus() : Internal("{}: {}", db.path(), said);
}

StatusOr<StoreFound> InspectStore(const std::string& state_dir, bool tolerant) {
  const std::string path = StorePath(state_dir);
  ASSIGN_OR_RETURN(const WalReport wal, ReadWalFile(path + "-wal"));
  if (!tolerant) RETURN_IF_ERROR(CheckWal(state_dir, wal));
  StoreFound found;
  const int64_t size = SizeOf(path);
  if (size <= 0) {
    if (wal.committed > 0 && !tolerant)
      return Internal("{}: {}, while scheduler.db-wal beside it holds {} frames of it. {}", path,
                      size < 0 ? "missing" : "empty", wal.committed, WaysOut(state_dir));
    return found;
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<Database> db, Database::Inspect(path));
  ASSIGN_OR_RETURN(const int64_t tables,
                   db->Number("SELECT count(*) FROM sqlite_master WHERE name = 'meta'"));
  if (!tolerant && size <= kQuickCheckBytesMax) {
    if (Status status = CheckPages(*db, "quick_check"); !status.ok())
      return Internal("{}; damaged from outside. {}", MessageOf(status), WaysOut(state_dir));
  }
  if (tables == 0) return found;
  found.there = true;
  ASSIGN_OR_RETURN(const int64_t store, db->Number("SELECT value FROM meta WHERE key = 'store'"));
  found.store = static_cast<uint64_t>(store);
  ASSIGN_OR_RETURN(const SnapshotMark snapshot, ReadSnapshotMark(*db));
  ASSIGN_OR_RETURN(const int64_t last, db->Number("SELECT max(seq) FROM records"));
  found.last_seq = std::max(last, snapshot.seq);
  return found;
}

namespace {

template <class... Args>
Status Lost(fmt::format_string<Args...> format, Args&&... args) {
  return absl::DataLossError(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace

Status CheckAgainstMark(const std::string& state_dir, const StoreFound& found,
                        const std::optional<MarkFacts>& mark) {
  const std::string path = StorePath(state_dir);
  if (!mark) {
    if (found.store == 0) return absl::OkStatus();  // new, or of a version that knew no marks
    return Lost(
        "{}: the mark beside it (scheduler.mark) is missing: it is a copy, or the mark was "
        "removed, "
        "and numbers of jobs that were given since would be given again. {}",
        path, WaysOut(state_dir));
  }
  if (mark->fresh()) return absl::OkStatus();
  if (!found.there)
    return Lost(
        "{}: the store is gone; the mark beside it says that it had at least "
        "{} records. {}",
        path, mark->seq, WaysOut(state_dir));
  if (found.store != mark->store)
    return Lost(
        "{}: this store, with {} records, is not the one that was here, which had at least {} (so "
        "says scheduler.mark beside it); numbers of jobs that were given since would be given "
        "again. {}",
        path, found.last_seq, mark->seq, WaysOut(state_dir));
  if (found.last_seq < mark->seq)
    return Lost(
        "{}: the store ends with record {}, but record {} was acknowledged (so says scheduler.mark "
        "beside it): it is an older copy, or its end was lost. {}",
        path, found.last_seq, mark->seq, WaysOut(state_dir));
  return absl::OkStatus();
}

StoreFiles::StoreFiles(const std::string& state_dir) {
  for (const char* suffix : {"", "-wal", "-shm"}) files_.push_back({StorePath(state_dir) + suffix});
  files_.push_back({MarkPath(state_dir)});
  files_.push_back({state_dir + "/scheduler.lock"});
  (void)StillThere();
}

Status StoreFiles::StillThere() {
  if (!lost_.ok()) return lost_;
  for (File& file : files_) {
    struct stat info {};
    const bool there = stat(file.path.c_str(), &info) == 0;
    if (!there && errno != ENOENT && errno != ENOTDIR) continue;  // unknown is not gone
    if (file.inode == 0 && there) {
      file.device = info.st_dev;
      file.inode = info.st_ino;
    }
    if (file.inode == 0 || (there && info.st_dev == file.device && info.st_ino == file.inode))
      continue;
    lost_ = absl::DataLossError(fmt::format(
        "{} was {} while the scheduler ran; what is written now would be lost, so nothing after "
        "that "
        "is acknowledged. Stop whatever did it, then put the file back if it was moved, or restore "
        "(docs/operations.md, Backup)",
        file.path, there ? "replaced" : "removed"));
    return lost_;
  }
  return absl::OkStatus();
}

}  // namespace allot::scheduler
