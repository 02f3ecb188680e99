// Keeps the store small: folds old records into a new snapshot, deletes what was folded, and
// copies the write-ahead log back into the database file.
//
// The fold is ClusterState::Apply over the old snapshot and the records, on a thread and a
// connection of its own: the loop never pauses for it and keeps no second copy of the state. A
// crash at any point leaves a store that loads to the same state. Every transaction is short, with
// a pause after it, so that the journal's commits find room between them.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "scheduler/shell/store.h"

namespace allot::scheduler {

struct CompactionOptions {
  int64_t records_max = 200'000;       // fold when so many are unfolded
  std::chrono::seconds age_max{3600};  // or when this time has passed and records_few are there
  int64_t records_few = 1'000;
  int64_t wal_pages = 1'600;   // checkpoint beyond (6 MiB)
  int64_t rows_chunk = 1'000;  // written or deleted in one transaction
};

// Folds every record up to `upto` (those that are there) into a new snapshot, on this thread.
// `pause` is called between transactions; if it returns false the fold is given up (Cancelled) and
// leaves rows that the next one removes.
Status CompactStore(Database& db, int64_t upto, const CompactionOptions& options,
                    const std::function<bool()>& pause);

class Compactor {
 public:
  struct Listener {  // called on the compactor's thread
    std::function<void(int64_t snapshot_seq, double seconds)> folded;
    std::function<void(const Status& why)> failed;
  };
  static StatusOr<std::unique_ptr<Compactor>> Start(const std::string& state_dir,
                                                    CompactionOptions options, Listener listener);
  ~Compactor();

  // The journal has come so far. Cheap; from any thread.
  void Progressed(int64_t last_seq, int64_t wal_pages);

 private:
  Compactor(std::unique_ptr<Database> db, CompactionOptions options, Listener listener,
            int64_t snapshot_seq);
  void Run();
  void Fold(int64_t upto);
  void Checkpoint();
  bool Pause();

  const CompactionOptions options_;
  const Listener listener_;
  std::unique_ptr<Database> db_;
  int64_t snapshot_seq_;

  std::mutex mutex_;
  std::condition_variable wake_;
  int64_t last_seq_, wal_pages_ = 0;
  bool stop_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace allot::scheduler
