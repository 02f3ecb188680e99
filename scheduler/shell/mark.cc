#include "scheduler/shell/mark.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <limits>

#include "common/base/check.h"
#include "scheduler/shell/store.h"

namespace allot::scheduler {
namespace {

// A line is written in one piece and within a sector: a power cut leaves the old one or the new
// one, or one that its checksum gives away; the other line is not touched until this one is on
// disk.
constexpr size_t kLine = 512;
constexpr char kMagic[] = "allotrope-mark 1";

struct Line {
  MarkFacts facts;
  uint64_t count = 0;
};

std::string Encode(const Line& line) {
  std::string text =
      fmt::format("{} count={} store={} seq={} jobs={} replicas={} jobs_from={} replicas_from={}",
                  kMagic, line.count, line.facts.store, line.facts.seq, line.facts.jobs,
                  line.facts.replicas, line.facts.jobs_from, line.facts.replicas_from);
  text += fmt::format(" crc={:08x}", Checksum(text));
  CHECK(text.size() < kLine);
  text.resize(kLine - 1, ' ');
  return text + "\n";
}

template <class T>
bool ReadNumber(std::string_view text, T* value, int base = 10) {
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, *value, base);
  return error == std::errc() && at == end;
}

std::optional<Line> Decode(std::string_view text) {
  const size_t crc_at = text.find(" crc=");
  if (crc_at == std::string_view::npos || text.size() < crc_at + 13) return std::nullopt;
  uint32_t crc = 0;
  if (!ReadNumber(text.substr(crc_at + 5, 8), &crc, 16) ||
      crc != Checksum(text.substr(0, crc_at)) || !text.starts_with(kMagic))
    return std::nullopt;
  Line line;
  const auto take = [](std::string_view word, std::string_view name, auto* value) {
    return word.size() > name.size() && word.starts_with(name) && word[name.size()] == '=' &&
           ReadNumber(word.substr(name.size() + 1), value);
  };
  // Words that a later version adds are passed over.
  for (std::string_view rest = text.substr(0, crc_at); !rest.empty();) {
    const size_t end = std::min(rest.find(' '), rest.size());
    const std::string_view word = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    (void)(take(word, "count", &line.count) || take(word, "store", &line.facts.store) ||
           take(word, "seq", &line.facts.seq) || take(word, "jobs", &line.facts.jobs) ||
           take(word, "replicas", &line.facts.replicas) ||
           take(word, "jobs_from", &line.facts.jobs_from) ||
           take(word, "replicas_from", &line.facts.replicas_from));
  }
  return line;
}

Status Trouble(const std::string& path) {
  const int why = errno;
  if (why == EACCES || why == EPERM || why == EROFS)
    return PermissionDenied("{}: {}; give the scheduler's user this folder", path,
                            std::strerror(why));
  if (why == ENOSPC || why == EDQUOT)
    return ResourceExhausted("{}: {}; free space on the disk of this folder", path,
                             std::strerror(why));
  return Unavailable("{}: {}; look at the disk of this folder", path, std::strerror(why));
}

struct Found {
  Line line;
  int slot;  // which of the two it is
};
// `file` of a mark.
StatusOr<Found> ReadLines(int file, const std::string& path) {
  std::array<char, 2 * kLine> bytes{};
  const ssize_t length = pread(file, bytes.data(), bytes.size(), 0);
  if (length < 0) return Trouble(path);
  std::optional<Found> best;
  for (int slot = 0; slot < 2; ++slot) {
    const std::optional<Line> line = Decode({bytes.data() + slot * kLine, kLine});
    if (line && (!best || line->count > best->line.count)) best = Found{*line, slot};
  }
  if (best) return *best;
  return Internal(
      "{}: damaged from outside, neither of its lines is whole. Without it nobody knows whether "
      "the "
      "store beside it is all that was acknowledged. Nothing was changed. `allot restore --accept "
      "--store {}` goes on with the store as it is, `allot restore FILE --store {}` with a backup",
      path, path.substr(0, path.rfind('/')), path.substr(0, path.rfind('/')));
}

}  // namespace

std::string MarkPath(const std::string& state_dir) { return state_dir + "/scheduler.mark"; }

uint64_t NewStoreId() {
  uint64_t id = 0;
  while (id == 0) {
    CHECK(getrandom(&id, sizeof id, 0) == sizeof id);
    id &= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  }
  return id;
}

StatusOr<std::optional<MarkFacts>> ReadMark(const std::string& state_dir) {
  const std::string path = MarkPath(state_dir);
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    if (errno == ENOENT) return std::nullopt;
    return Trouble(path);
  }
  const StatusOr<Found> found = ReadLines(file, path);
  close(file);
  RETURN_IF_ERROR(found.status());
  return found->line.facts;
}

Status ReplaceMark(const std::string& state_dir, const MarkFacts& facts) {
  const std::string path = MarkPath(state_dir), draft = path + ".new";
  const int file = open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return Trouble(draft);
  // Both lines at once: from now on the file never grows, so that a full disk does not stop it.
  const std::string text = Encode({facts, 1}) + Encode({facts, 0});
  bool written = write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                 fsync(file) == 0;
  Status status = written ? absl::OkStatus() : Trouble(draft);
  close(file);
  BelongAsFolder(draft);
  if (status.ok() && rename(draft.c_str(), path.c_str()) != 0) status = Trouble(path);
  if (!status.ok()) {
    unlink(draft.c_str());
    return status;
  }
  return SyncFolder(state_dir);
}

StatusOr<std::unique_ptr<Mark>> Mark::Open(const std::string& state_dir) {
  const std::string path = MarkPath(state_dir);
  const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return Trouble(path);
  StatusOr<Found> found = ReadLines(file, path);
  // What a dead process wrote last may be in memory only, and the next write goes over the other.
  if (found.ok() && fdatasync(file) != 0) found = Trouble(path);
  if (!found.ok()) {
    close(file);
    return found.status();
  }
  return std::unique_ptr<Mark>(
      new Mark(file, path, found->line.facts, found->line.count, 1 - found->slot));
}

Mark::~Mark() { close(file_); }

Status Mark::Write(const MarkFacts& facts) {
  const std::string text = Encode({facts, count_ + 1});
  if (pwrite(file_, text.data(), text.size(), slot_ * static_cast<off_t>(kLine)) !=
      static_cast<ssize_t>(text.size()))
    return Trouble(path_);
  facts_ = facts;
  ++count_;
  unsynced_ = true;
  return absl::OkStatus();
}

Status Mark::Sync() {
  if (fdatasync(file_) != 0) return Trouble(path_);
  synced_ = std::chrono::steady_clock::now();
  unsynced_ = false;
  slot_ = 1 - slot_;
  return absl::OkStatus();
}

Status Mark::Reserve(uint64_t job, uint64_t replica) {
  if (job <= facts_.jobs && replica <= facts_.replicas) return absl::OkStatus();
  MarkFacts facts = facts_;
  const auto block = [](uint64_t wanted, uint64_t* reserved) {
    if (wanted > *reserved) *reserved = wanted + kBlock - 1;
  };
  block(job, &facts.jobs);
  block(replica, &facts.replicas);
  const MarkFacts before = facts_;
  RETURN_IF_ERROR(Write(facts));
  if (Status status = Sync(); !status.ok()) {
    facts_ = before;  // it may not be there: the next call writes it again
    return status;
  }
  return absl::OkStatus();
}

Status Mark::Advance(int64_t seq, bool now) {
  if (seq > facts_.seq) {
    MarkFacts facts = facts_;
    facts.seq = seq;
    RETURN_IF_ERROR(Write(facts));
  }
  if (!unsynced_) return absl::OkStatus();
  return now || std::chrono::steady_clock::now() - synced_ >= kSyncEvery ? Sync()
                                                                         : absl::OkStatus();
}

}  // namespace allot::scheduler
