// The durable log of records: SQLite in state_dir/scheduler.db.
//
// Append returns OK only when the batch is on disk (one transaction, one sync), whole. After an
// error nothing of the batch counts and the same call may be made again. One thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/core/cluster_state.h"
#include "scheduler/shell/mark.h"
#include "scheduler/shell/store.h"
#include "scheduler/shell/store_check.h"

namespace allot::scheduler {

struct JournalBatch {
  std::vector<Record> records;
  std::vector<JobState> finished;  // as they were when they finished; for the history table
  bool empty() const { return records.empty() && finished.empty(); }
};

class Journal {
 public:
  // Takes the folder's lock for as long as the journal lives. Errors: another scheduler holds it,
  // no permission, not a store of ours, damaged, not all that was acknowledged (store_check.h);
  // then nothing was changed.
  static StatusOr<std::unique_ptr<Journal>> Open(const std::string& state_dir);
  ~Journal();

  // What was appended so far: the snapshot, then every later record. Once, before Append.
  Status Load(const std::function<void(ClusterState)>& snapshot,
              const std::function<void(const Record&)>& record);

  // Numbers up to these were given, or are about to be.
  Status Reserve(JobId job, ReplicaId replica);
  // As Restarted wants them.
  const MarkFacts& marked() const { return mark_->facts(); }

  // ResourceExhausted: the disk is full. DataLoss: the files are gone, and no further call will do.
  // Anything else: look at the disk.
  Status Append(const std::vector<const JournalBatch*>& batches);

  // Finished jobs older than this, counted back from the newest, are deleted as new ones come, at
  // most twice as many as came, and none before `from`. 0, the default: none.
  void KeepHistory(Duration kept, Time from = {}) {
    history_kept_ = kept;
    history_pruned_from_ = from;
  }
  // What ended later than this ended now: it was written by a clock that was ahead.
  Status TurnHistoryBack(Time now);

  // Now and then while there is nothing to append. DataLoss as above.
  Status LookAfter();

  int64_t last_seq() const { return last_seq_; }
  int64_t snapshot_seq() const { return snapshot_seq_; }  // as it was at Load
  int64_t wal_pages() const { return wal_pages_; }        // after the last Append

  // A cap on the size of the store, in pages of 4 KiB; beyond it Append says the disk is full.
  // 0: none. It is also how a test fills the disk.
  Status SetPagesMax(int64_t pages);

 private:
  Journal() = default;
  Status AppendRecord(const Record& record, int64_t seq);
  Status AppendHistory(const JobState& job);
  Status PruneHistory(Time newest, int64_t rows_max);
  void BoundWal();

  std::unique_ptr<StoreLock> lock_;
  std::unique_ptr<Mark> mark_;
  std::unique_ptr<Database> db_;
  std::optional<StoreFiles> files_;
  Statement insert_record_, insert_history_, prune_history_;
  Duration history_kept_{};
  Time history_pruned_from_;
  std::string bytes_;  // reused for every row
  int64_t last_seq_ = 0, snapshot_seq_ = 0;
  int64_t wal_pages_ = 0, wal_pages_tried_ = 0;
};

// Finished jobs that ClusterState has forgotten. Reads through a connection of its own; one
// thread (the loop's: a look-up by key takes tens of microseconds).
class History {
 public:
  static StatusOr<std::unique_ptr<History>> Open(const std::string& state_dir);
  StatusOr<JobState> Find(JobId job);  // NotFound

 private:
  std::unique_ptr<Database> db_;
  Statement find_;
};

}  // namespace allot::scheduler
