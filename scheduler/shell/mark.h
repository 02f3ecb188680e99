// What is known of a store outside of it: a small file beside scheduler.db that a copy of the
// store, or half of one, does not bring along.
//
//   <state_dir>/scheduler.mark   two lines of 512 bytes, each whole and with its checksum; the one
//                                with the higher count holds
//
// It says which store it is of, a lower bound of the durable sequence, and up to which numbers jobs
// and replicas may have been given. Bounds are synced about once a second, never a batch; between,
// they are written where the kernel keeps them if only this process dies. Numbers are reserved in
// blocks, and synced before one of the block is used: whatever becomes of the store, the mark knows
// a number above all that were ever told to anybody.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "common/base/status.h"

namespace allot::scheduler {

struct MarkFacts {
  uint64_t store = 0;               // of the store's meta table
  int64_t seq = 0;                  // the store has at least this record
  uint64_t jobs = 0, replicas = 0;  // reserved: no higher number was given
  // Numbers below were given by a life that the store has no record of; 0: there was none.
  uint64_t jobs_from = 0, replicas_from = 0;
  bool operator==(const MarkFacts&) const = default;

  // Nothing was ever kept under it: a store that was just begun, or is just being taken over.
  bool fresh() const { return seq == 0 && jobs == 0 && replicas == 0; }
};

std::string MarkPath(const std::string& state_dir);
uint64_t NewStoreId();  // at random; fits SQLite's integers

// Nothing where there is no mark. Errors: it is damaged (neither line is whole), or cannot be read.
StatusOr<std::optional<MarkFacts>> ReadMark(const std::string& state_dir);
// In place of the one there; by rename, synced.
Status ReplaceMark(const std::string& state_dir, const MarkFacts& facts);

// The mark of a store that is open. One thread at a time.
class Mark {
 public:
  static constexpr uint64_t kBlock = 1'000;
  static constexpr std::chrono::milliseconds kSyncEvery{1'000};

  // Of a mark that is there.
  static StatusOr<std::unique_ptr<Mark>> Open(const std::string& state_dir);
  ~Mark();
  Mark(const Mark&) = delete;
  Mark& operator=(const Mark&) = delete;

  const MarkFacts& facts() const { return facts_; }

  // Before numbers up to these are used. Synced if they are beyond what is reserved.
  Status Reserve(uint64_t job, uint64_t replica);
  // The store's records up to `seq` are durable. Synced when the last sync is long enough ago, or
  // `now`. An error leaves a bound that is lower than it could be, and is met again.
  Status Advance(int64_t seq, bool now = false);

 private:
  Mark(int file, std::string path, MarkFacts facts, uint64_t count, int slot)
      : file_(file), path_(std::move(path)), facts_(facts), count_(count), slot_(slot) {}
  Status Write(const MarkFacts& facts);
  Status Sync();

  const int file_;
  const std::string path_;
  MarkFacts facts_;
  uint64_t count_;
  int slot_;  // the line that is written next; the other one is on disk
  bool unsynced_ = false;
  std::chrono::steady_clock::time_point synced_ = std::chrono::steady_clock::now();
};

}  // namespace allot::scheduler
