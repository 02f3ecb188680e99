#include "agent/runtime/log_file.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/runtime/beneath.h"

namespace allot::agent {
namespace {

constexpr int64_t kZerosMax = 256 << 10;  // looked over for the end of what was given back

// Of the block in which the hole ends, what stands before the line that tells of it: where the
// zeros from `offset` on end. Bounded: a process may write zeros without end.
int64_t AfterZeros(int fd, int64_t offset) {
  char block[4096];
  for (int64_t at = offset; at < offset + kZerosMax;) {
    const ssize_t size = pread(fd, block, sizeof block, at);
    if (size <= 0) return at;
    const std::string_view piece(block, static_cast<size_t>(size));
    if (const size_t end = piece.find_first_not_of('\0'); end != piece.npos)
      return at + static_cast<int64_t>(end);
    at += size;
  }
  return offset;
}

}  // namespace

StatusOr<LogPiece> ReadLogPiece(const std::string& logs, const std::string& name, int64_t offset,
                                size_t bytes_max) {
  LogPiece piece{.offset = std::max<int64_t>(offset, 0)};
  const StatusOr<Fd> fd = OpenFileBeneath(logs, name, O_RDONLY);
  if (absl::IsNotFound(fd.status())) return piece;
  RETURN_IF_ERROR(fd.status());
  const auto failed = [&] {
    return ErrnoStatus(errno, fmt::format("cannot read {}/{}", logs, name));
  };
  struct stat info {};
  if (fstat(fd->get(), &info) != 0) return failed();
  if (piece.offset >= info.st_size) return piece;
  // What was given back is a hole; nobody wants its zeros.
  if (const off_t data = lseek(fd->get(), piece.offset, SEEK_DATA); data > piece.offset)
    piece.offset = data;
  char first = 'x';
  if (pread(fd->get(), &first, 1, piece.offset) == 1 && first == '\0' &&
      lseek(fd->get(), 0, SEEK_DATA) > 0)
    piece.offset = AfterZeros(fd->get(), piece.offset);
  if (piece.offset >= info.st_size) return piece;
  piece.data.resize(std::min<size_t>(bytes_max, static_cast<size_t>(info.st_size - piece.offset)));
  const ssize_t size = pread(fd->get(), piece.data.data(), piece.data.size(), piece.offset);
  if (size < 0) return failed();
  piece.data.resize(static_cast<size_t>(size));
  return piece;
}

StatusOr<LogPiece> ReadLogPiece(const std::string& path, int64_t offset, size_t bytes_max) {
  const size_t slash = path.rfind('/');
  return ReadLogPiece(path.substr(0, slash), path.substr(slash + 1), offset, bytes_max);
}

}  // namespace allot::agent
