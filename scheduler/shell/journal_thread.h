// The thread that makes batches durable while the loop goes on.
//
// Batches are written in the order they came; whatever waits is merged into one transaction, so
// the dearer a sync is, the more each one carries. A batch that cannot be written (full disk) is
// tried again, for ever, with a growing pause: records are never dropped and nothing after them
// overtakes them. The owner hears of both and decides what to refuse meanwhile.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "scheduler/shell/journal.h"

namespace allot::scheduler {

class JournalThread {
 public:
  // Called on the journal's thread.
  struct Listener {
    // Every batch up to and including this ticket is on disk.
    std::function<void(uint64_t ticket, int64_t last_seq, int64_t wal_pages)> durable;
    // Will be tried again; DataLoss (the files are gone) will fail again.
    std::function<void(const Status& why)> failed;
    std::function<void(double seconds, size_t records)> committed;  // for metrics
  };
  struct Options {
    size_t merge_records_max = 20'000;  // in one transaction
    std::chrono::milliseconds retry_min{200}, retry_max{5'000};
    std::chrono::milliseconds look_after_every{1'000};  // while there is nothing to write
  };

  JournalThread(std::unique_ptr<Journal> journal, Options options, Listener listener);
  // Joins; what is still queued is dropped, as a crash would (use Drain for a clean end).
  ~JournalThread();

  // Tickets grow by one from 1. Never blocks; `waiting_records` is for the caller to bound.
  uint64_t Push(JournalBatch batch);
  size_t waiting_records() const { return waiting_records_.load(std::memory_order_relaxed); }

  // Waits until everything pushed is durable. An error: it could not be written just now; the
  // records that were acknowledged are safe all the same.
  Status Drain();

  // Runs `f` between two transactions, on the journal's thread (tests, limits).
  void WithJournal(std::function<void(Journal&)> f);

 private:
  void Run();
  bool WriteOnce(std::unique_lock<std::mutex>& lock);

  const Options options_;
  const Listener listener_;
  std::unique_ptr<Journal> journal_;
  std::atomic<size_t> waiting_records_{0};

  std::mutex mutex_;
  std::condition_variable wake_, written_;
  std::deque<JournalBatch> queue_;  // front has ticket durable_ + 1
  std::deque<std::function<void(Journal&)>> calls_;
  uint64_t pushed_ = 0, durable_ = 0;
  uint64_t attempts_failed_ = 0;
  Status last_error_;
  bool stop_ = false, hurry_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace allot::scheduler
