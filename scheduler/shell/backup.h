// Copies of a store, whole and checked, and the way back from one.
//
// A backup is one SQLite file: the store's tables (compacted, of one moment), a few files of the
// scheduler's if wanted (table backup_files), and what it is (table backup): version, sequence,
// time, SHA-256 over all rows. It is made from the store's folder, beside a scheduler that runs or
// where none does; no scheduler is asked, for whoever may read the store may copy it.
//
// Restoring puts a backup in the store's place and the old store aside, and sees to it that no
// number of a job or a replica that the lost life gave is given again.
//
// Errors say what to do next. Any thread; `progress` is asked every so often and ends it where it
// says false (Cancelled; nothing is left behind).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/base/units.h"
#include "scheduler/core/cluster_state.h"

namespace allot::scheduler {

// `done` of `total` bytes, as far as that is known.
using Progress = std::function<bool(int64_t done, int64_t total)>;

struct BackupFacts {
  bool plain = false;   // a copy of a store that says nothing of itself: made by other means
  std::string made_by;  // version
  Time taken;
  int64_t seq = 0;
  uint64_t jobs = 0, replicas = 0;  // reserved when it was taken: no higher number was given
  uint64_t job_count = 0, last_job = 0, last_replica = 0;
  std::vector<std::string> files;  // names
  int64_t bytes = 0;               // of the file
  std::string sha256;              // over the rows
};

struct BackupRequest {
  struct File {
    std::string name, path;
  };
  std::string state_dir, to;
  std::vector<File> files;
  Progress progress = [](int64_t, int64_t) { return true; };
};
// AlreadyExists: there is a file `to`.
StatusOr<BackupFacts> MakeBackup(const BackupRequest& request);

// Every page, every row's checksum, the sum over all; folds it, so it can be started from.
StatusOr<BackupFacts> CheckBackup(const std::string& file, const Progress& progress,
                                  ClusterState* state = nullptr);

struct RestoreRequest {
  std::string file;  // empty: the store that is there is accepted as it is
  std::string state_dir;
  std::string files_to;  // where the scheduler's files go; empty: nowhere
  bool dry_run = false;
  Progress progress = [](int64_t, int64_t) { return true; };
};
struct RestoreReport {
  BackupFacts backup;
  bool old_readable = false;  // the store that was there
  int64_t old_seq = 0;        // of it, or the mark's bound
  uint64_t jobs_lost = 0;     // that it had and the backup has not; if it could be read
  uint64_t first_lost = 0, last_lost = 0;
  int64_t records_dropped = 0;  // accepted in place: behind the first that was damaged
  uint64_t jobs_from = 0, replicas_from = 0;  // numbers from now on
  bool guessed = false;            // nobody knows what was given: they jump by a wide margin
  std::string moved_to;            // where the old store is now; empty: there was none
  std::vector<std::string> files;  // that were put into files_to
};
// Numbers that nobody knows of are fewer than this.
inline constexpr uint64_t kWideMargin = 1'000'000;

// FailedPrecondition: a scheduler runs on the folder. Interrupted at any point it leaves the old
// store, or one that says that it has to be done again.
StatusOr<RestoreReport> RestoreStore(const RestoreRequest& request);

}  // namespace allot::scheduler
