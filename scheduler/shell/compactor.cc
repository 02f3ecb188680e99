#include "scheduler/shell/compactor.h"

#include <sqlite3.h>

#include <utility>
#include <vector>

#include "common/base/thread.h"
#include "scheduler/shell/snapshot.h"

namespace allot::scheduler {
namespace {

// Rows of a snapshot are encoded before the transaction begins: it holds the write lock.
class SnapshotWriter {
 public:
  SnapshotWriter(Database& db, int64_t generation, const CompactionOptions& options,
                 const std::function<bool()>& pause)
      : db_(db), generation_(generation), options_(options), pause_(pause) {}

  Status Add(const records::SnapshotPart& part) {
    rows_.push_back(part.SerializeAsString());
    return static_cast<int64_t>(rows_.size()) < options_.rows_chunk ? absl::OkStatus() : Flush();
  }

  Status Flush() {
    ASSIGN_OR_RETURN(Statement insert,
                     Statement::Prepare(db_, "INSERT INTO snapshot VALUES (?, ?, ?, ?)"));
    ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(db_));
    for (const std::string& row : rows_) {
      insert.Bind(1, generation_).Bind(2, part_++).Bind(3, int64_t{Checksum(row)}).Bind(4, row);
      RETURN_IF_ERROR(insert.Execute());
    }
    RETURN_IF_ERROR(transaction.Commit());
    rows_.clear();
    return pause_() ? absl::OkStatus() : absl::CancelledError("the scheduler stops");
  }

  int64_t parts() const { return part_; }

 private:
  Database& db_;
  const int64_t generation_;
  const CompactionOptions& options_;
  const std::function<bool()>& pause_;
  std::vector<std::string> rows_;
  int64_t part_ = 0;
};

// Deletes in chunks until nothing is left; `sql` takes the limit as ?1 and the mark as ?2.
Status DeleteAll(Database& db, const char* sql, int64_t mark, const CompactionOptions& options,
                 const std::function<bool()>& pause) {
  ASSIGN_OR_RETURN(Statement erase, Statement::Prepare(db, sql));
  for (;;) {
    RETURN_IF_ERROR(erase.Bind(1, options.rows_chunk).Bind(2, mark).Execute());
    if (sqlite3_changes(db.raw()) == 0) return absl::OkStatus();
    if (!pause()) return absl::CancelledError("the scheduler stops");
  }
}

constexpr char kDeleteOtherSnapshots[] =
    "DELETE FROM snapshot WHERE (generation, part) IN"
    " (SELECT generation, part FROM snapshot WHERE generation <> ?2 LIMIT ?1)";
constexpr char kDeleteFoldedRecords[] =
    "DELETE FROM records WHERE seq <= ?2 AND seq < (SELECT min(seq) FROM records) + ?1";

}  // namespace

Status CompactStore(Database& db, int64_t upto, const CompactionOptions& options,
                    const std::function<bool()>& pause) {
  ASSIGN_OR_RETURN(SnapshotMark mark, ReadSnapshotMark(db));
  // What a fold that was interrupted left behind.
  RETURN_IF_ERROR(DeleteAll(db, kDeleteOtherSnapshots, mark.generation, options, pause));
  {
    ASSIGN_OR_RETURN(ClusterState state, ReadSnapshot(db, mark));
    ASSIGN_OR_RETURN(
        const int64_t folded,
        ReadRecords(db, mark.seq, upto, [&state](const Record& record) { state.Apply(record); }));
    mark = {.generation = mark.generation + 1, .seq = folded, .parts = 0};
    SnapshotWriter writer(db, mark.generation, options, pause);
    RETURN_IF_ERROR(StateCodec::Write(
        state, [&writer](const records::SnapshotPart& part) { return writer.Add(part); }));
    RETURN_IF_ERROR(writer.Flush());
    mark.parts = writer.parts();
  }
  {
    ASSIGN_OR_RETURN(Statement set,
                     Statement::Prepare(db, "INSERT OR REPLACE INTO meta VALUES (?1, ?2)"));
    ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(db));
    for (const auto& [key, value] :
         {std::pair<const char*, int64_t>{"snapshot_generation", mark.generation},
          {"snapshot_seq", mark.seq},
          {"snapshot_parts", *mark.parts},
          {"snapshot_parts_of", mark.generation}}) {
      RETURN_IF_ERROR(set.BindText(1, key).Bind(2, value).Execute());
    }
    RETURN_IF_ERROR(transaction.Commit());
  }
  RETURN_IF_ERROR(DeleteAll(db, kDeleteFoldedRecords, mark.seq, options, pause));
  return DeleteAll(db, kDeleteOtherSnapshots, mark.generation, options, pause);
}

StatusOr<std::unique_ptr<Compactor>> Compactor::Start(const std::string& state_dir,
                                                      CompactionOptions options,
                                                      Listener listener) {
  ASSIGN_OR_RETURN(std::unique_ptr<Database> db, Database::Open(StorePath(state_dir)));
  // Synced as the journal is, though nothing here has to survive a power cut: so that at most one
  // transaction of the write-ahead log is ever unsynced, and whatever lies before is damage where
  // it does not fit (wal.h).
  ASSIGN_OR_RETURN(const SnapshotMark mark, ReadSnapshotMark(*db));
  return std::unique_ptr<Compactor>(
      new Compactor(std::move(db), options, std::move(listener), mark.seq));
}

Compactor::Compactor(std::unique_ptr<Database> db, CompactionOptions options, Listener listener,
                     int64_t snapshot_seq)
    : options_(options),
      listener_(std::move(listener)),
      db_(std::move(db)),
      snapshot_seq_(snapshot_seq),
      last_seq_(snapshot_seq),
      thread_(StartThread([this] { Run(); })) {}

Compactor::~Compactor() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Compactor::Progressed(int64_t last_seq, int64_t wal_pages) {
  bool due;
  {
    std::lock_guard lock(mutex_);
    last_seq_ = last_seq;
    wal_pages_ = wal_pages;
    due = wal_pages > options_.wal_pages || last_seq - snapshot_seq_ > options_.records_max;
  }
  if (due) wake_.notify_one();
}

void Compactor::Run() {
  using std::chrono::steady_clock;
  auto tried = steady_clock::now();
  std::unique_lock lock(mutex_);
  while (!stop_) {
    wake_.wait_for(lock, std::chrono::seconds(60), [&] {
      return stop_ || wal_pages_ > options_.wal_pages ||
             last_seq_ - snapshot_seq_ > options_.records_max;
    });
    if (stop_) return;
    const int64_t last = last_seq_, unfolded = last - snapshot_seq_;
    const bool old = steady_clock::now() - tried > options_.age_max;
    const bool checkpoint = std::exchange(wal_pages_, 0) > options_.wal_pages;
    lock.unlock();
    if (checkpoint) Checkpoint();
    if (unfolded > options_.records_max || (old && unfolded > options_.records_few)) {
      Fold(last);
      tried = steady_clock::now();
    }
    lock.lock();
  }
}

void Compactor::Fold(int64_t upto) {
  const auto before = std::chrono::steady_clock::now();
  Status status = CompactStore(*db_, upto, options_, [this] { return Pause(); });
  if (absl::IsCancelled(status)) return;
  if (!status.ok()) {
    listener_.failed(status);
    std::unique_lock lock(mutex_);
    // A full disk or damage does not heal by trying again at once.
    wake_.wait_for(lock, std::chrono::seconds(60), [this] { return stop_; });
    return;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - before;
  {
    std::lock_guard lock(mutex_);
    snapshot_seq_ = upto;
  }
  listener_.folded(upto, took.count());
}

void Compactor::Checkpoint() {
  if (sqlite3_wal_checkpoint_v2(db_->raw(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr) !=
      SQLITE_OK) {
    listener_.failed(db_->ErrorHere("copying the write-ahead log back"));
  }
}

bool Compactor::Pause() {
  // Long enough for a commit of the journal, which otherwise polls for the lock in vain.
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, std::chrono::milliseconds(5), [this] { return stop_; });
}

}  // namespace allot::scheduler
