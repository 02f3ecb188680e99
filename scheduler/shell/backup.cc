#include "scheduler/shell/backup.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <utility>

#include "common/auth/tokens.h"
#include "common/base/version.h"
#include "scheduler/shell/clock.h"
#include "scheduler/shell/mark.h"
#include "scheduler/shell/record_log.h"
#include "scheduler/shell/store.h"
#include "scheduler/shell/store_check.h"

namespace allot::scheduler {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSumEvery = 1 << 20;
constexpr int64_t kFileBytesMax = 16 << 20;

Status GivenUp() { return absl::CancelledError("interrupted; nothing was changed"); }

bool Exists(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0;
}

int64_t SizeOf(const std::string& path) {
  std::error_code none;
  const auto size = fs::file_size(path, none);
  return none ? 0 : static_cast<int64_t>(size);
}

// Ends long statements when `progress` says so.
class Interruptible {
 public:
  Interruptible(Database& db, const Progress& progress, std::function<int64_t()> done,
                int64_t total)
      : db_(db), progress_(progress), done_(std::move(done)), total_(total) {
    sqlite3_progress_handler(
        db.raw(), 20'000,
        [](void* self) { return static_cast<Interruptible*>(self)->Ask() ? 0 : 1; }, this);
  }
  ~Interruptible() { sqlite3_progress_handler(db_.raw(), 0, nullptr, nullptr); }
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;
  Status Told(Status status) const { return given_up_ ? GivenUp() : status; }

 private:
  bool Ask() {
    given_up_ = given_up_ || !progress_(done_(), total_);
    return !given_up_;
  }
  Database& db_;
  const Progress& progress_;
  const std::function<int64_t()> done_;
  const int64_t total_;
  bool given_up_ = false;
};

// A file that goes unless it is kept, with what SQLite makes beside it.
class Draft {
 public:
  explicit Draft(std::string path) : path_(std::move(path)) { Remove(); }
  ~Draft() {
    if (!path_.empty()) Remove();
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  const std::string& path() const { return path_; }
  Status KeepAs(const std::string& path) {
    const int file = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    const bool synced = file >= 0 && fsync(file) == 0;
    if (file >= 0) close(file);
    if (!synced || rename(path_.c_str(), path.c_str()) != 0)
      return Unavailable("{}: {}; look at the disk", path, std::strerror(errno));
    path_.clear();
    const std::string folder = fs::path(path).parent_path().string();
    return SyncFolder(folder.empty() ? "." : folder);
  }

 private:
  void Remove() {
    for (const char* suffix : {"", "-wal", "-shm", "-journal"}) unlink((path_ + suffix).c_str());
  }
  std::string path_;
};

Status CopyStore(const std::string& state_dir, const std::string& to, const Progress& progress) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Database> db, Database::Inspect(StorePath(state_dir)));
  const Interruptible interruptible(
      *db, progress, [&to] { return SizeOf(to); },
      SizeOf(StorePath(state_dir)) + SizeOf(StorePath(state_dir) + "-wal"));
  const mode_t before = umask(0077);
  StatusOr<Statement> copy = Statement::Prepare(*db, "VACUUM INTO ?");
  Status status = copy.ok() ? copy->BindText(1, to).Execute() : copy.status();
  umask(before);
  return interruptible.Told(std::move(status));
}

// Over all rows of all tables, in their order.
StatusOr<std::string> SumOf(Database& db) {
  constexpr const char* kTables[] = {
      "SELECT key, value FROM meta ORDER BY key",
      "SELECT seq, crc, bytes FROM records ORDER BY seq",
      "SELECT generation, part, crc, bytes FROM snapshot ORDER BY generation, part",
      "SELECT job, finished, bytes FROM history ORDER BY job",
      "SELECT name, bytes FROM backup_files ORDER BY name",
      "SELECT key, value FROM backup WHERE key <> 'sha256' ORDER BY key"};
  std::string sum, pending;
  for (const char* table : kTables) {
    pending += table;
    ASSIGN_OR_RETURN(Statement query, Statement::Prepare(db, table));
    for (;;) {
      ASSIGN_OR_RETURN(const bool row, query.Step());
      if (!row) break;
      for (int column = 0; column < query.columns(); ++column) {
        const std::string_view value = query.Blob(column);
        pending += fmt::format("{}:", value.size());
        pending += value;
      }
      if (static_cast<int64_t>(pending.size()) < kSumEvery) continue;
      sum = auth::Sha256Hex(sum + pending);
      pending.clear();
    }
  }
  return auth::Sha256Hex(sum + pending);
}

StatusOr<std::map<std::string, std::string>> ReadWords(Database& db) {
  std::map<std::string, std::string> words;
  ASSIGN_OR_RETURN(Statement query, Statement::Prepare(db, "SELECT key, value FROM backup"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return words;
    words[std::string(query.Blob(0))] = std::string(query.Blob(1));
  }
}

// Folds the store. Where a record does not fit, `good` is the number of the last that does.
StatusOr<ClusterState> FoldStore(Database& db, int64_t* good = nullptr) {
  ASSIGN_OR_RETURN(const SnapshotMark mark, ReadSnapshotMark(db));
  ASSIGN_OR_RETURN(ClusterState state, ReadSnapshot(db, mark));
  int64_t last = mark.seq;
  if (good != nullptr) *good = last;
  RETURN_IF_ERROR(
      ReadRecords(db, mark.seq, std::numeric_limits<int64_t>::max(), [&](const Record& record) {
        state.Apply(record);
        ++last;
        if (good != nullptr) *good = last;
      }).status());
  return state;
}

StatusOr<int64_t> LastSeq(Database& db) {
  ASSIGN_OR_RETURN(const SnapshotMark mark, ReadSnapshotMark(db));
  ASSIGN_OR_RETURN(const int64_t last, db.Number("SELECT max(seq) FROM records"));
  return std::max(last, mark.seq);
}

void Describe(const ClusterState& state, BackupFacts* facts) {
  facts->job_count = state.jobs().size();
  facts->last_job = state.last_job().value();
  facts->last_replica = state.last_replica().value();
}

Status BadBackup(const std::string& file, const Status& why) {
  return InvalidArgument("{}: not a good backup: {}. Nothing was changed; take another one", file,
                         MessageOf(why));
}

// ---- restoring

struct Old {
  bool there = false;  // a database, or what is left of one
  bool readable = false;
  uint64_t store = 0;  // its id; 0: none, or it had none yet
  ClusterState state;
  int64_t seq = 0;
  std::optional<MarkFacts> mark;
  bool mark_known = true;  // it could be read, if there is one
};

Old LookAtOld(const std::string& state_dir) {
  Old old;
  StatusOr<std::optional<MarkFacts>> mark = ReadMark(state_dir);
  old.mark_known = mark.ok();
  if (mark.ok()) old.mark = *mark;
  for (const char* suffix : {"", "-wal"}) old.there |= SizeOf(StorePath(state_dir) + suffix) > 0;
  if (SizeOf(StorePath(state_dir)) == 0) return old;
  const StatusOr<std::unique_ptr<Database>> db = Database::Inspect(StorePath(state_dir));
  if (!db.ok()) return old;
  StatusOr<ClusterState> state = FoldStore(**db);
  const StatusOr<int64_t> seq = LastSeq(**db);
  if (!state.ok() || !seq.ok()) return old;
  const StatusOr<int64_t> id = (*db)->Number("SELECT value FROM meta WHERE key = 'store'");
  if (!id.ok()) return old;
  old.store = static_cast<uint64_t>(*id);
  old.readable = true;
  old.state = *std::move(state);
  old.seq = *seq;
  return old;
}

// What numbers the lost life may have given is known where its mark is; or where its store is, and
// it never had a mark.
void ChooseNumbers(const Old& old, const ClusterState& kept, RestoreReport* report) {
  const MarkFacts mark = old.mark.value_or(MarkFacts());
  const auto first = [](std::initializer_list<uint64_t> given) { return std::max(given) + 1; };
  report->jobs_from =
      first({kept.last_job().value(), old.state.last_job().value(), report->backup.jobs, mark.jobs,
             std::max<uint64_t>(mark.jobs_from, 1) - 1});
  report->replicas_from =
      first({kept.last_replica().value(), old.state.last_replica().value(), report->backup.replicas,
             mark.replicas, std::max<uint64_t>(mark.replicas_from, 1) - 1});
  const bool known =
      old.mark ? !mark.fresh() || old.readable : old.mark_known && old.readable && old.store == 0;
  report->guessed = !known;
  if (known) return;
  report->jobs_from += kWideMargin;
  report->replicas_from += kWideMargin;
}

void CountLost(const Old& old, const ClusterState& kept, RestoreReport* report) {
  report->old_readable = old.readable;
  report->old_seq = std::max(old.seq, old.mark ? old.mark->seq : 0);
  for (const auto& [id, job] : old.state.jobs()) {
    if (id <= kept.last_job()) continue;
    if (report->jobs_lost++ == 0) report->first_lost = id.value();
    report->last_lost = id.value();
  }
}

Status CopyFile(const std::string& from, const std::string& to, const Progress& progress) {
  const int64_t total = SizeOf(from);
  std::ifstream in(from, std::ios::binary);
  const mode_t before = umask(0077);
  std::ofstream out(to, std::ios::binary | std::ios::trunc);
  umask(before);
  std::vector<char> buffer(1 << 20);
  for (int64_t done = 0; in;) {
    in.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    out.write(buffer.data(), in.gcount());
    done += in.gcount();
    if (!out) return ResourceExhausted("{}: cannot be written; free space on its disk", to);
    if (!progress(done, total)) return GivenUp();
  }
  out.close();
  if (!out || SizeOf(to) != total)
    return ResourceExhausted("{}: cannot be written; free space on its disk", to);
  return absl::OkStatus();
}

// The copy becomes a store of its own, with a new id: the one it was copied from may live on.
Status MakeStoreOf(const std::string& path, uint64_t id) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Database> db, Database::Open(path));
  RETURN_IF_ERROR(
      db->Run("DROP TABLE IF EXISTS backup; DROP TABLE IF EXISTS backup_files;"
              "DELETE FROM meta WHERE key = 'store'"));
  RETURN_IF_ERROR(PrepareStore(*db, id));
  // Whole in one file before it is put in place.
  return db->Run("PRAGMA wal_checkpoint(TRUNCATE)");
}

StatusOr<std::string> MoveAside(const std::string& state_dir) {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char when[32];
  std::strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", &parts);
  std::string folder;
  for (int i = 0;; ++i) {
    folder = fmt::format("{}/replaced-{}{}", state_dir, when,
                         i == 0 ? "" : fmt::format("-{}", i));
    if (mkdir(folder.c_str(), 0700) == 0) break;
    if (errno != EEXIST)
      return PermissionDenied("{}: {}; give the scheduler's user this folder", folder,
                              std::strerror(errno));
  }
  return folder;
}

Status MoveInto(const std::string& folder, const std::string& path) {
  if (!Exists(path)) return absl::OkStatus();
  const std::string to = folder + "/" + fs::path(path).filename().string();
  if (rename(path.c_str(), to.c_str()) != 0)
    return Unavailable("{}: {}; restore again once that is mended", path, std::strerror(errno));
  return absl::OkStatus();
}

// The files that a backup of a whole head has; none that is there is written over.
Status PutFiles(const std::string& backup, const std::string& folder,
                std::vector<std::string>* put) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Database> db, Database::OpenFrozen(backup));
  std::error_code made;
  fs::create_directories(folder, made);
  ASSIGN_OR_RETURN(Statement query,
                   Statement::Prepare(*db, "SELECT name, bytes FROM backup_files"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return absl::OkStatus();
    const std::string name(query.Blob(0));
    if (name.empty() || name.front() == '.' || name.find('/') != std::string::npos)
      return InvalidArgument("{}: a file named {} is in it; it was not made by `allot backup`", backup,
                             Quoted(name));
    const std::string path = folder + "/" + name;
    const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0)
      return AlreadyExists("{}: {}; name another folder with --files-to", path,
                           std::strerror(errno));
    const std::string_view bytes = query.Blob(1);
    const bool written =
        write(file, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()) &&
        fsync(file) == 0;
    close(file);
    if (!written) return Unavailable("{}: {}", path, std::strerror(errno));
    put->push_back(path);
  }
}

}  // namespace

StatusOr<BackupFacts> MakeBackup(const BackupRequest& request) {
  const std::string& dir = request.state_dir;
  if (Exists(request.to))
    return AlreadyExists("{}: there is such a file; name another one", request.to);
  if (SizeOf(StorePath(dir)) == 0)
    return NotFound("{}: there is no store in this folder; --store is a scheduler's state_dir",
                    dir);
  // Beside a scheduler that runs its log cannot be looked at from outside; its rows can, below.
  if (const auto lock = StoreLock::Take(dir); lock.ok()) {
    ASSIGN_OR_RETURN(const StoreFound found, InspectStore(dir));
    ASSIGN_OR_RETURN(const std::optional<MarkFacts> mark, ReadMark(dir));
    RETURN_IF_ERROR(CheckAgainstMark(dir, found, mark));
  } else if (!absl::IsFailedPrecondition(lock.status())) {
    return lock.status();
  }
  Draft draft(request.to + ".part");
  RETURN_IF_ERROR(CopyStore(dir, draft.path(), request.progress));
  BackupFacts facts{.made_by = kVersion, .taken = MachineTime()};
  {
    ASSIGN_OR_RETURN(const std::unique_ptr<Database> db, Database::Open(draft.path()));
    RETURN_IF_ERROR(
        db->Run("PRAGMA journal_mode=DELETE;"
                "CREATE TABLE backup (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
                "CREATE TABLE backup_files (name TEXT PRIMARY KEY, bytes BLOB NOT NULL)"));
    ASSIGN_OR_RETURN(const ClusterState state, FoldStore(*db));
    ASSIGN_OR_RETURN(facts.seq, LastSeq(*db));
    Describe(state, &facts);
    // Read after the copy was made, so it knows of no fewer numbers.
    ASSIGN_OR_RETURN(const std::optional<MarkFacts> mark, ReadMark(dir));
    facts.jobs = std::max(facts.last_job, mark ? mark->jobs : 0);
    facts.replicas = std::max(facts.last_replica, mark ? mark->replicas : 0);
    ASSIGN_OR_RETURN(Statement file,
                     Statement::Prepare(*db, "INSERT INTO backup_files VALUES (?, ?)"));
    for (const BackupRequest::File& each : request.files) {
      if (SizeOf(each.path) > kFileBytesMax)
        return InvalidArgument("{}: larger than {} bytes", each.path, kFileBytesMax);
      std::ifstream in(each.path, std::ios::binary);
      if (!in) return NotFound("{}: {}", each.path, std::strerror(errno));
      const std::string bytes{std::istreambuf_iterator<char>(in), {}};
      RETURN_IF_ERROR(file.BindText(1, each.name).Bind(2, bytes).Execute());
      facts.files.push_back(each.name);
    }
    ASSIGN_OR_RETURN(Statement word, Statement::Prepare(*db, "INSERT INTO backup VALUES (?, ?)"));
    for (const auto& [key, value] : {std::pair<const char*, std::string>{"format", "1"},
                                     {"made_by", facts.made_by},
                                     {"taken", std::to_string(ToMicros(facts.taken))},
                                     {"seq", std::to_string(facts.seq)},
                                     {"jobs", std::to_string(facts.jobs)},
                                     {"replicas", std::to_string(facts.replicas)}})
      RETURN_IF_ERROR(word.BindText(1, key).BindText(2, value).Execute());
    ASSIGN_OR_RETURN(facts.sha256, SumOf(*db));
    RETURN_IF_ERROR(word.BindText(1, "sha256").BindText(2, facts.sha256).Execute());
  }
  // As it will be read.
  ASSIGN_OR_RETURN(const BackupFacts read, CheckBackup(draft.path(), request.progress));
  facts.bytes = read.bytes;
  RETURN_IF_ERROR(draft.KeepAs(request.to));
  return facts;
}

StatusOr<BackupFacts> CheckBackup(const std::string& file, const Progress& progress,
                                  ClusterState* state) {
  if (!Exists(file)) return NotFound("{}: there is no such file", file);
  StatusOr<std::unique_ptr<Database>> opened = Database::OpenFrozen(file);
  if (!opened.ok()) return BadBackup(file, opened.status());
  Database& db = **opened;
  BackupFacts facts;
  facts.bytes = SizeOf(file);
  {
    const Interruptible interruptible(
        db, progress, [] { return 0; }, 0);
    const Status pages = interruptible.Told(CheckPages(db, "integrity_check"));
    if (absl::IsCancelled(pages)) return pages;
    if (!pages.ok()) return BadBackup(file, pages);
  }
  const auto tables = [&db](const char* name) {
    return db.Number(fmt::format("SELECT count(*) FROM sqlite_master WHERE name = '{}'", name));
  };
  ASSIGN_OR_RETURN(const int64_t store, tables("meta"));
  if (store == 0)
    return InvalidArgument("{}: no backup of a scheduler, but another SQLite file", file);
  ASSIGN_OR_RETURN(const int64_t described, tables("backup"));
  facts.plain = described == 0;
  StatusOr<ClusterState> folded = FoldStore(db);
  if (!folded.ok()) return BadBackup(file, folded.status());
  Describe(*folded, &facts);
  if (state != nullptr) *state = *std::move(folded);
  ASSIGN_OR_RETURN(facts.seq, LastSeq(db));
  if (facts.plain) {
    facts.jobs = facts.last_job;
    facts.replicas = facts.last_replica;
    return facts;
  }
  ASSIGN_OR_RETURN(const auto words, ReadWords(db));
  const auto number = [&words](const char* key) {
    int64_t value = 0;
    if (const auto it = words.find(key); it != words.end())
      std::from_chars(it->second.data(), it->second.data() + it->second.size(), value);
    return value;
  };
  if (number("format") != 1)
    return FailedPrecondition(
        "{}: a backup of another format; restore it with the version that "
        "made it ({})",
        file, words.contains("made_by") ? words.at("made_by") : "unknown");
  if (words.contains("made_by")) facts.made_by = words.at("made_by");
  facts.taken = FromMicros(number("taken"));
  facts.jobs = static_cast<uint64_t>(number("jobs"));
  facts.replicas = static_cast<uint64_t>(number("replicas"));
  ASSIGN_OR_RETURN(facts.sha256, SumOf(db));
  if (!words.contains("sha256") || words.at("sha256") != facts.sha256 || number("seq") != facts.seq)
    return BadBackup(file, Internal("its content does not fit its SHA-256"));
  ASSIGN_OR_RETURN(Statement names, Statement::Prepare(db, "SELECT name FROM backup_files"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, names.Step());
    if (!row) break;
    facts.files.emplace_back(names.Blob(0));
  }
  return facts;
}

StatusOr<RestoreReport> RestoreStore(const RestoreRequest& request) {
  const std::string& dir = request.state_dir;
  const std::string store = StorePath(dir);
  std::error_code made;
  if (!request.dry_run && !request.file.empty()) fs::create_directories(dir, made);
  if (made) return PermissionDenied("{}: {}", dir, made.message());
  ASSIGN_OR_RETURN(const std::unique_ptr<StoreLock> lock, StoreLock::Take(dir));
  RestoreReport report;
  ClusterState kept;
  Draft draft(dir + "/restoring.db");
  const Old old = LookAtOld(dir);
  if (request.file.empty()) {
    if (SizeOf(store) == 0)
      return NotFound(
          "{}: there is no store to accept; `allot restore FILE --store {}` restores a "
          "backup",
          store, dir);
    if (Status copied = CopyStore(dir, draft.path(), request.progress); !copied.ok()) {
      if (absl::IsCancelled(copied)) return copied;
      return Internal(
          "{}; nothing of it can be accepted. Restore a backup: `allot restore FILE "
          "--store {}`",
          MessageOf(copied), dir);
    }
    ASSIGN_OR_RETURN(const std::unique_ptr<Database> db, Database::Open(draft.path()));
    int64_t good = 0;
    StatusOr<ClusterState> folded = FoldStore(*db, &good);
    ASSIGN_OR_RETURN(const int64_t last, LastSeq(*db));
    if (!folded.ok()) {
      ASSIGN_OR_RETURN(const SnapshotMark snapshot, ReadSnapshotMark(*db));
      ASSIGN_OR_RETURN(Statement drop,
                       Statement::Prepare(*db, "DELETE FROM records WHERE seq > ?"));
      RETURN_IF_ERROR(drop.Bind(1, std::max(good, snapshot.seq)).Execute());
      report.records_dropped = last - good;
      folded = FoldStore(*db);
      if (!folded.ok())
        return Internal(
            "{}; nothing of it can be accepted. Restore a backup: `allot restore FILE "
            "--store {}`",
            MessageOf(folded.status()), dir);
    }
    kept = *std::move(folded);
    report.backup = {.plain = true, .seq = last - report.records_dropped};
    Describe(kept, &report.backup);
  } else {
    ASSIGN_OR_RETURN(report.backup, CheckBackup(request.file, request.progress, &kept));
    if (!request.files_to.empty() && report.backup.files.empty())
      return InvalidArgument("{}: no files are in it; it was made without --with-config",
                             request.file);
  }
  CountLost(old, kept, &report);
  ChooseNumbers(old, kept, &report);
  if (request.dry_run) return report;
  if (!request.file.empty()) {
    RETURN_IF_ERROR(CopyFile(request.file, draft.path(), request.progress));
    if (!request.files_to.empty())
      RETURN_IF_ERROR(PutFiles(request.file, request.files_to, &report.files));
  }
  const MarkFacts mark{.store = NewStoreId(),
                       .seq = report.backup.seq,
                       .jobs = report.jobs_from - 1,
                       .replicas = report.replicas_from - 1,
                       .jobs_from = report.jobs_from,
                       .replicas_from = report.replicas_from};
  RETURN_IF_ERROR(MakeStoreOf(draft.path(), mark.store));
  BelongAsFolder(draft.path());
  if (!request.progress(0, 0)) return GivenUp();
  // From here on it is done whole: the new mark first, beside which neither the old store nor none
  // at all is opened, and whose numbers a second try takes over.
  if (old.there || old.mark || !old.mark_known) {
    ASSIGN_OR_RETURN(report.moved_to, MoveAside(dir));
    BelongAsFolder(report.moved_to);
    if (Exists(MarkPath(dir)))
      fs::copy_file(MarkPath(dir), report.moved_to + "/scheduler.mark", made);
  }
  RETURN_IF_ERROR(ReplaceMark(dir, mark));
  if (!report.moved_to.empty()) {
    for (const char* suffix : {"-wal", "-shm", ""})
      RETURN_IF_ERROR(MoveInto(report.moved_to, store + suffix));
    RETURN_IF_ERROR(SyncFolder(dir));
  }
  RETURN_IF_ERROR(draft.KeepAs(store));
  return report;
}

}  // namespace allot::scheduler
