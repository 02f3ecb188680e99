#include "scheduler/shell/journal.h"

#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "scheduler/shell/record_codec.h"
#include "scheduler/shell/snapshot.h"

namespace allot::scheduler {
namespace {

// The compactor checkpoints in the background at a tenth of this. A writer that never pauses can
// keep it from finishing; then the writer does it itself, and one commit is slow.
constexpr int64_t kWalPagesMax = 16'384;  // 64 MiB
constexpr int64_t kWalPagesStep = 4'096;

// The files are gone, but as long as they are open all that was written is still to be had: it is
// put into a file of its own beside them, once. What it says is why nothing more will be written.
Status Rescue(const Status& lost, Database& db, int64_t last_seq) {
  const std::string folder = db.path().substr(0, db.path().rfind('/'));
  const std::string to = fmt::format("{}/rescued-{}.db", folder, last_seq);
  struct stat info {};
  if (stat(to.c_str(), &info) != 0) {
    const mode_t before = umask(0077);
    StatusOr<Statement> copy = Statement::Prepare(db, "VACUUM INTO ?");
    const Status copied = copy.ok() ? copy->BindText(1, to).Execute() : copy.status();
    umask(before);
    if (!copied.ok()) {
      unlink(to.c_str());
      return lost;
    }
  }
  return absl::DataLossError(
      fmt::format("{}. All that was acknowledged is in {}: `allot restore {} --store {}` goes on "
                  "with it",
                  MessageOf(lost), to, to, folder));
}

int OnWal(void* pages, sqlite3*, const char*, int count) {
  *static_cast<int64_t*>(pages) = count;
  return SQLITE_OK;
}

}  // namespace

StatusOr<std::unique_ptr<Journal>> Journal::Open(const std::string& state_dir) {
  std::unique_ptr<Journal> journal(new Journal);
  ASSIGN_OR_RETURN(journal->lock_, StoreLock::Take(state_dir));
  ASSIGN_OR_RETURN(const StoreFound found, InspectStore(state_dir));
  ASSIGN_OR_RETURN(const std::optional<MarkFacts> known, ReadMark(state_dir));
  RETURN_IF_ERROR(CheckAgainstMark(state_dir, found, known));
  // The mark before the store: whoever dies between leaves one that vouches for nothing yet.
  if (!known) RETURN_IF_ERROR(ReplaceMark(state_dir, {.store = NewStoreId()}));
  ASSIGN_OR_RETURN(journal->mark_, Mark::Open(state_dir));
  ASSIGN_OR_RETURN(journal->db_, Database::Open(StorePath(state_dir)));
  Database& db = *journal->db_;
  RETURN_IF_ERROR(PrepareStore(db, journal->mark_->facts().store));
  ASSIGN_OR_RETURN(journal->insert_record_,
                   Statement::Prepare(db, "INSERT INTO records VALUES (?, ?, ?)"));
  ASSIGN_OR_RETURN(journal->insert_history_,
                   Statement::Prepare(db, "INSERT OR REPLACE INTO history VALUES (?, ?, ?)"));
  ASSIGN_OR_RETURN(journal->prune_history_,
                   Statement::Prepare(db,
                                      "DELETE FROM history WHERE job IN (SELECT job FROM history"
                                      " WHERE finished < ? ORDER BY finished LIMIT ?)"));
  ASSIGN_OR_RETURN(const SnapshotMark mark, ReadSnapshotMark(db));
  ASSIGN_OR_RETURN(const int64_t last, db.Number("SELECT max(seq) FROM records"));
  journal->snapshot_seq_ = mark.seq;
  journal->last_seq_ = std::max(last, mark.seq);
  sqlite3_wal_hook(db.raw(), OnWal, &journal->wal_pages_);
  RETURN_IF_ERROR(journal->mark_->Advance(journal->last_seq_, /*now=*/true));
  journal->files_.emplace(state_dir);
  return journal;
}

Journal::~Journal() {
  // Best effort: a lower bound is none the less right for being low.
  if (mark_ != nullptr && files_ && files_->StillThere().ok())
    (void)mark_->Advance(last_seq_, /*now=*/true);
}

Status Journal::Reserve(JobId job, ReplicaId replica) {
  return mark_->Reserve(job.value(), replica.value());
}

Status Journal::LookAfter() {
  if (Status lost = files_->StillThere(); !lost.ok()) return Rescue(lost, *db_, last_seq_);
  return mark_->Advance(last_seq_);
}

Status Journal::Load(const std::function<void(ClusterState)>& snapshot,
                     const std::function<void(const Record&)>& record) {
  ASSIGN_OR_RETURN(const SnapshotMark mark, ReadSnapshotMark(*db_));
  ASSIGN_OR_RETURN(ClusterState state, ReadSnapshot(*db_, mark));
  snapshot(std::move(state));
  ASSIGN_OR_RETURN(last_seq_,
                   ReadRecords(*db_, mark.seq, std::numeric_limits<int64_t>::max(), record));
  return absl::OkStatus();
}

Status Journal::Append(const std::vector<const JournalBatch*>& batches) {
  if (Status lost = files_->StillThere(); !lost.ok()) return Rescue(lost, *db_, last_seq_);
  JobId job;
  ReplicaId replica;
  for (const JournalBatch* batch : batches) {
    for (const Record& record : batch->records) {
      if (const auto* accepted = std::get_if<JobAccepted>(&record))
        job = std::max(job, accepted->job);
      if (const auto* placed = std::get_if<ReplicaPlaced>(&record))
        replica = std::max(replica, placed->replica);
    }
  }
  RETURN_IF_ERROR(Reserve(job, replica));
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*db_));
  int64_t seq = last_seq_, finished = 0;
  Time newest;
  for (const JournalBatch* batch : batches) {
    for (const JobState& job : batch->finished) newest = std::max(newest, job.finished);
    finished += static_cast<int64_t>(batch->finished.size());
  }
  // Before anything is added, so that on a full disk there is room for it.
  RETURN_IF_ERROR(PruneHistory(newest, 2 * finished));
  for (const JournalBatch* batch : batches) {
    for (const Record& record : batch->records) RETURN_IF_ERROR(AppendRecord(record, ++seq));
    for (const JobState& job : batch->finished) RETURN_IF_ERROR(AppendHistory(job));
  }
  RETURN_IF_ERROR(transaction.Commit());
  last_seq_ = seq;
  BoundWal();
  // It may have gone into a file that nobody will find again.
  if (Status lost = files_->StillThere(); !lost.ok()) return Rescue(lost, *db_, last_seq_);
  // The commit stands whether or not the bound could be raised; the next one tries again.
  (void)mark_->Advance(seq);
  return absl::OkStatus();
}

Status Journal::AppendRecord(const Record& record, int64_t seq) {
  records::Record out;
  EncodeRecord(record, &out);
  out.SerializeToString(&bytes_);
  return insert_record_.Bind(1, seq).Bind(2, int64_t{Checksum(bytes_)}).Bind(3, bytes_).Execute();
}

Status Journal::AppendHistory(const JobState& job) {
  records::JobState out;
  EncodeJobState(job, &out);
  out.SerializeToString(&bytes_);
  return insert_history_.Bind(1, static_cast<int64_t>(job.id.value()))
      .Bind(2, ToMicros(job.finished))
      .Bind(3, bytes_)
      .Execute();
}

// In the transaction of the jobs that end, so it costs no sync of its own, and a store that gets
// nothing new loses nothing.
Status Journal::PruneHistory(Time newest, int64_t rows_max) {
  if (history_kept_ == Duration::zero() || rows_max == 0 || newest < history_pruned_from_)
    return absl::OkStatus();
  return prune_history_.Bind(1, ToMicros(newest - history_kept_)).Bind(2, rows_max).Execute();
}

Status Journal::TurnHistoryBack(Time now) {
  ASSIGN_OR_RETURN(Statement turn, Statement::Prepare(*db_,
                                                      "UPDATE history SET finished = ?1"
                                                      " WHERE finished > ?1"));
  return turn.Bind(1, ToMicros(now)).Execute();
}

void Journal::BoundWal() {
  if (wal_pages_ < kWalPagesStep) wal_pages_tried_ = 0;
  if (wal_pages_ < kWalPagesMax || wal_pages_ < wal_pages_tried_ + kWalPagesStep) return;
  wal_pages_tried_ = wal_pages_;
  // Passive: where a reader is in the way it copies what it can. The commit stands either way, so
  // an error here is met again, and told, by the next one.
  sqlite3_wal_checkpoint_v2(db_->raw(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
}

Status Journal::SetPagesMax(int64_t pages) {
  const int64_t most = pages == 0 ? 0xfffffffe : pages;
  return db_->Number("PRAGMA max_page_count=" + std::to_string(most)).status();
}

StatusOr<std::unique_ptr<History>> History::Open(const std::string& state_dir) {
  auto history = std::make_unique<History>();
  ASSIGN_OR_RETURN(history->db_, Database::Open(StorePath(state_dir)));
  ASSIGN_OR_RETURN(history->find_,
                   Statement::Prepare(*history->db_, "SELECT bytes FROM history WHERE job = ?"));
  return history;
}

StatusOr<JobState> History::Find(JobId job) {
  find_.Bind(1, static_cast<int64_t>(job.value()));
  ASSIGN_OR_RETURN(const bool row, find_.Step());
  if (!row) {
    find_.Reset();
    return NotFound(
        "{} is not known; `allot jobs` lists jobs, and history_kept says how long finished ones "
        "are",
        ToString(job));
  }
  records::JobState parsed;
  const std::string_view bytes = find_.Blob(0);
  const bool good = parsed.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  find_.Reset();
  if (!good) return Internal("{}: the history of {} is garbage", db_->path(), ToString(job));
  return DecodeJobState(parsed);
}

}  // namespace allot::scheduler
