#include "scheduler/shell/wal.h"

#include <bit>
#include <cstring>
#include <optional>

namespace allot::scheduler {
namespace {

constexpr int64_t kHeadBytes = 32, kFrameHeadBytes = 24;
// The lowest bit tells the byte order in which checksums are computed: set is big-endian.
constexpr uint32_t kMagic = 0x377f0682;
constexpr uint32_t kVersion = 3'007'000;

uint32_t Big(std::string_view bytes, size_t at) {
  uint32_t value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return std::endian::native == std::endian::big ? value : __builtin_bswap32(value);
}

struct Sum {
  uint32_t a = 0, b = 0;
  bool operator==(const Sum&) const = default;

  // `bytes`: a multiple of eight.
  void Add(std::string_view bytes, bool big) {
    const bool swap = big != (std::endian::native == std::endian::big);
    for (size_t at = 0; at + 8 <= bytes.size(); at += 8) {
      uint32_t words[2];
      std::memcpy(words, bytes.data() + at, sizeof words);
      if (swap) {
        words[0] = __builtin_bswap32(words[0]);
        words[1] = __builtin_bswap32(words[1]);
      }
      a += words[0] + b;
      b += words[1] + a;
    }
  }
};

Sum SumAt(std::string_view bytes, size_t at) { return {Big(bytes, at), Big(bytes, at + 4)}; }

bool IsPageSize(uint32_t bytes) {
  return bytes >= 512 && bytes <= 65'536 && std::has_single_bit(bytes);
}

struct Head {
  bool fits = false;  // its checksum is right
  bool big = false;
  uint32_t page_bytes = 0;
  uint32_t salt[2] = {};
  Sum sum;
};

Head ReadHead(std::string_view bytes) {
  Head head;
  const uint32_t magic = Big(bytes, 0);
  head.big = (magic & 1) != 0;
  head.page_bytes = Big(bytes, 8);
  head.salt[0] = Big(bytes, 16);
  head.salt[1] = Big(bytes, 20);
  head.sum.Add(bytes.substr(0, 24), head.big);
  head.fits = (magic & ~1u) == kMagic && Big(bytes, 4) == kVersion && IsPageSize(head.page_bytes) &&
              head.sum == SumAt(bytes, 24);
  return head;
}

// Whether two frames in a row are there of which the second follows from the first: then the file
// holds frames, whatever its head says.
StatusOr<bool> HoldsFrames(const WalSource& read) {
  for (const bool big : {false, true}) {
    for (uint32_t page = 512; page <= 65'536; page *= 2) {
      const int64_t frame_bytes = kFrameHeadBytes + page;
      ASSIGN_OR_RETURN(const std::string_view two,
                       read(kHeadBytes, static_cast<size_t>(2 * frame_bytes)));
      if (static_cast<int64_t>(two.size()) < 2 * frame_bytes) break;
      const std::string_view second = two.substr(static_cast<size_t>(frame_bytes));
      Sum sum = SumAt(two, 16);
      sum.Add(second.substr(0, 8), big);
      sum.Add(second.substr(kFrameHeadBytes), big);
      if (sum == SumAt(second, 16) && Big(second, 0) != 0) return true;
    }
  }
  return false;
}

}  // namespace

int64_t WalReport::OffsetOf(int64_t frame) const {
  return kHeadBytes + (frame - 1) * (kFrameHeadBytes + page_bytes);
}

StatusOr<WalReport> ReadWal(const WalSource& read) {
  WalReport report;
  Head head;
  {
    ASSIGN_OR_RETURN(const std::string_view bytes, read(0, kHeadBytes));
    if (bytes.size() < kHeadBytes) return report;
    head = ReadHead(bytes);
  }
  if (!head.fits) {
    ASSIGN_OR_RETURN(report.damaged_head, HoldsFrames(read));
    return report;
  }
  report.page_bytes = head.page_bytes;
  const int64_t frame_bytes = kFrameHeadBytes + head.page_bytes;
  Sum sum = head.sum;         // up to the last frame that fits
  std::optional<Sum> before;  // beyond it: what the frame before, of this log, says of itself
  bool commit_seen = false;   // among those beyond
  for (int64_t number = 1;; ++number) {
    ASSIGN_OR_RETURN(const std::string_view frame,
                     read(report.OffsetOf(number), static_cast<size_t>(frame_bytes)));
    if (static_cast<int64_t>(frame.size()) < frame_bytes) break;
    const bool ours = Big(frame, 8) == head.salt[0] && Big(frame, 12) == head.salt[1];
    const bool commit = Big(frame, 4) != 0;
    const Sum said = SumAt(frame, 16);
    const auto follows = [&](Sum from) {
      from.Add(frame.substr(0, 8), head.big);
      from.Add(frame.substr(kFrameHeadBytes), head.big);
      return from == said;
    };
    if (report.damaged == 0) {
      if (ours && Big(frame, 0) != 0 && follows(sum)) {
        sum = said;
        report.frames = number;
        if (commit) report.committed = number;
        continue;
      }
      report.damaged = number;
    }
    if (!ours) {
      before.reset();
      continue;
    }
    // A transaction begins only when the one before was synced. So where a frame follows, checksum
    // on checksum, from a commit that SQLite would not come to, that commit was whole. What lies
    // about from transactions that were given up does not: each begins from the last good frame.
    if (before && follows(*before)) {
      report.damaged_inside |= commit_seen;
    } else {
      commit_seen = false;
    }
    commit_seen |= commit;
    before = said;
    report.lost = number - report.damaged + 1;
  }
  if (!report.damaged_inside) report.damaged = report.lost = 0;
  return report;
}

StatusOr<WalReport> ReadWal(std::string_view bytes) {
  return ReadWal([bytes](int64_t offset, size_t size) -> StatusOr<std::string_view> {
    if (offset >= static_cast<int64_t>(bytes.size())) return std::string_view();
    return bytes.substr(static_cast<size_t>(offset), size);
  });
}

}  // namespace allot::scheduler
