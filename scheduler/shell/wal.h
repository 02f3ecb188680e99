// Reads the write-ahead log of a SQLite database as SQLite will, but says what SQLite passes over:
// it takes the first frame that does not fit for the end, so that a damaged frame in the middle
// costs everything after it without a word. Format: https://sqlite.org/fileformat2.html, section 4.
//
// Pure; any bytes may be given.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "common/base/status.h"

namespace allot::scheduler {

struct WalReport {
  uint32_t page_bytes = 0;
  int64_t frames = 0;     // that fit, from the first on
  int64_t committed = 0;  // of them up to the last commit: what SQLite takes
  // Frames after them are of this log and were written after a later commit had been synced: so
  // what lies between was whole once. `damaged` is the number of the first that does not fit.
  bool damaged_inside = false;
  int64_t damaged = 0, lost = 0;  // lost: frames from there to the last one of this log
  // The header does not fit its checksum, though there are frames behind it.
  bool damaged_head = false;

  bool sound() const { return !damaged_inside && !damaged_head; }
  // Of a frame, counted from 1, in the file.
  int64_t OffsetOf(int64_t frame) const;
};

// `read(offset, bytes)` gives `bytes` bytes of the file, fewer at its end. What is not begun yet
// (no file, less than a header) has no frames and is sound.
using WalSource = std::function<StatusOr<std::string_view>(int64_t offset, size_t bytes)>;
StatusOr<WalReport> ReadWal(const WalSource& read);
StatusOr<WalReport> ReadWal(std::string_view bytes);

}  // namespace allot::scheduler
