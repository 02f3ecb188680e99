// The layout of state_dir/scheduler.db, shared by Journal, Compactor and History.
//
//   meta(key, value)                       schema; snapshot_generation, snapshot_seq; store, the
//                                          id that its mark must have (mark.h); snapshot_parts, how
//                                          many the snapshot of generation snapshot_parts_of has
//   records(seq, crc, bytes)               records::Record, seq without gaps
//   snapshot(generation, part, crc, bytes) records::SnapshotPart; only the generation in meta
//   history(job, finished, bytes)          records::JobState of finished jobs, for accounting; rows
//                                          older than Journal::KeepHistory go as new ones come
//
// The state is the snapshot of meta's generation and every record after meta's snapshot_seq.
// Records at or before it may still be there: a crash interrupted their deletion.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "scheduler/core/cluster_state.h"
#include "scheduler/shell/sqlite.h"

namespace allot::scheduler {

// "<state_dir>/scheduler.db"
std::string StorePath(const std::string& state_dir);

// Makes the tables of an empty file; refuses a file of another schema version. `store` becomes its
// id if it has none yet.
Status PrepareStore(Database& db, uint64_t store);

// Who runs as root for another user (restoring) leaves the file to whom its folder belongs.
void BelongAsFolder(const std::string& path);
// Syncs what was made, renamed or removed in it.
Status SyncFolder(const std::string& path);

uint32_t Checksum(std::string_view bytes);

struct SnapshotMark {
  int64_t generation = 0;        // 0: no snapshot yet
  int64_t seq = 0;               // the last record folded into it
  std::optional<int64_t> parts;  // absent: an earlier version wrote it
};
StatusOr<SnapshotMark> ReadSnapshotMark(Database& db);

// Reads the snapshot of `mark`; an empty state where there is none.
StatusOr<ClusterState> ReadSnapshot(Database& db, SnapshotMark mark);
// Calls `visit` for the records (after, upto] in order, without holding a read transaction for
// more than a chunk of them. A record that is missing, damaged or unknown is an error naming it.
// Returns the last number seen, `after` if there is none.
StatusOr<int64_t> ReadRecords(Database& db, int64_t after, int64_t upto,
                              const std::function<void(const Record&)>& visit);

// One process at a time owns a state folder: an flock on <state_dir>/scheduler.lock, which the
// kernel drops however the process ends.
class StoreLock {
 public:
  static StatusOr<std::unique_ptr<StoreLock>> Take(const std::string& state_dir);
  ~StoreLock();

 private:
  explicit StoreLock(int file) : file_(file) {}
  int file_;
};

}  // namespace allot::scheduler
