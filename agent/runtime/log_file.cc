#include "agent/runtime/log_file.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/runtime/files.h"

namespace allot::agent {

StatusOr<LogPiece> ReadLogPiece(const std::string& path, int64_t offset, size_t bytes_max) {
  LogPiece piece{.offset = std::max<int64_t>(offset, 0)};
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) {
    if (errno == ENOENT) return piece;
    return ErrnoStatus(errno, fmt::format("cannot open {}", path));
  }
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return ErrnoStatus(errno, fmt::format("cannot read {}", path));
  if (piece.offset >= info.st_size) return piece;
  // What the janitor gave back is a hole; nobody wants its zeros.
  if (const off_t data = lseek(fd.get(), piece.offset, SEEK_DATA); data > piece.offset)
    piece.offset = data;
  piece.data.resize(std::min<size_t>(bytes_max, static_cast<size_t>(info.st_size - piece.offset)));
  const ssize_t size = pread(fd.get(), piece.data.data(), piece.data.size(), piece.offset);
  if (size < 0) return ErrnoStatus(errno, fmt::format("cannot read {}", path));
  piece.data.resize(static_cast<size_t>(size));
  // Of the block in which the hole ends, what stands before the line that tells of it.
  if (piece.data.starts_with('\0') && lseek(fd.get(), 0, SEEK_DATA) > 0) {
    const size_t zeros = std::min(piece.data.find_first_not_of('\0'), piece.data.size());
    return ReadLogPiece(path, piece.offset + static_cast<int64_t>(zeros), bytes_max);
  }
  return piece;
}

}  // namespace allot::agent
