#include "scheduler/shell/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/crc.hpp>
#include <cerrno>
#include <cstring>
#include <limits>

#include "scheduler/shell/record_codec.h"
#include "scheduler/shell/snapshot.h"

namespace allot::scheduler {
namespace {

constexpr int64_t kSchema = 1;
// What is too old is found without reading what is not.
constexpr char kHistoryIndex[] =
    "CREATE INDEX IF NOT EXISTS history_finished ON history (finished)";
constexpr int64_t kChunk = 4'096;  // rows read in one transaction

Status Damaged(const Database& db, std::string_view what, int64_t number, std::string_view why) {
  return Internal(
      "{}: {} {} {}; the store was damaged from outside. Nothing was changed. Restore a backup: "
      "`allot restore FILE --store {}` (docs/operations.md, Backup)",
      db.path(), what, number, why, db.path().substr(0, db.path().rfind('/')));
}

}  // namespace

std::string StorePath(const std::string& state_dir) { return state_dir + "/scheduler.db"; }

namespace {

Status NameStore(Database& db, uint64_t store) {
  ASSIGN_OR_RETURN(Statement insert,
                   Statement::Prepare(db, "INSERT OR IGNORE INTO meta VALUES ('store', ?)"));
  return insert.Bind(1, static_cast<int64_t>(store)).Execute();
}

}  // namespace

void BelongAsFolder(const std::string& path) {
  struct stat folder {};
  if (geteuid() != 0 || stat(path.substr(0, path.rfind('/')).c_str(), &folder) != 0) return;
  // What fails here is met, and told, by the user who cannot open it.
  (void)!lchown(path.c_str(), folder.st_uid, folder.st_gid);
}

Status SyncFolder(const std::string& path) {
  const int folder = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = folder >= 0 && fsync(folder) == 0;
  const int why = errno;
  if (folder >= 0) close(folder);
  return synced ? absl::OkStatus()
                : Unavailable("{}: {}; look at the disk of this folder", path, std::strerror(why));
}

Status PrepareStore(Database& db, uint64_t store) {
  ASSIGN_OR_RETURN(const int64_t tables,
                   db.Number("SELECT count(*) FROM sqlite_master WHERE name = 'meta'"));
  if (tables == 0) {
    ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(db));
    RETURN_IF_ERROR(
        db.Run("CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
               "CREATE TABLE records (seq INTEGER PRIMARY KEY, crc INTEGER NOT NULL,"
               "                      bytes BLOB NOT NULL);"
               "CREATE TABLE snapshot (generation INTEGER NOT NULL, part INTEGER NOT NULL,"
               "  crc INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (generation, part));"
               "CREATE TABLE history (job INTEGER PRIMARY KEY, finished INTEGER NOT NULL,"
               "                      bytes BLOB NOT NULL);"
               "INSERT INTO meta VALUES ('schema', 1), ('snapshot_generation', 0),"
               "                        ('snapshot_seq', 0);"));
    RETURN_IF_ERROR(db.Run(kHistoryIndex));
    RETURN_IF_ERROR(NameStore(db, store));
    return transaction.Commit();
  }
  ASSIGN_OR_RETURN(const int64_t schema, db.Number("SELECT value FROM meta WHERE key = 'schema'"));
  if (schema != kSchema) {
    return FailedPrecondition(
        "{}: the store has schema {}, this program reads {}; run the version that wrote it, or "
        "choose another state_dir",
        db.path(), schema, kSchema);
  }
  RETURN_IF_ERROR(NameStore(db, store));
  return db.Run(kHistoryIndex);
}

uint32_t Checksum(std::string_view bytes) {
  boost::crc_32_type crc;
  crc.process_bytes(bytes.data(), bytes.size());
  return crc.checksum();
}

StatusOr<SnapshotMark> ReadSnapshotMark(Database& db) {
  SnapshotMark mark;
  ASSIGN_OR_RETURN(Statement query, Statement::Prepare(db, "SELECT key, value FROM meta"));
  int64_t parts = 0, parts_of = 0;
  for (;;) {  // one statement: all values are of one moment
    ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) break;
    if (query.Blob(0) == "snapshot_generation") mark.generation = query.Integer(1);
    if (query.Blob(0) == "snapshot_seq") mark.seq = query.Integer(1);
    if (query.Blob(0) == "snapshot_parts") parts = query.Integer(1);
    if (query.Blob(0) == "snapshot_parts_of") parts_of = query.Integer(1);
  }
  // An earlier version that has folded since leaves those of the snapshot before.
  if (parts_of == mark.generation && mark.generation != 0) mark.parts = parts;
  return mark;
}

StatusOr<ClusterState> ReadSnapshot(Database& db, SnapshotMark mark) {
  if (mark.generation == 0) return ClusterState();
  ASSIGN_OR_RETURN(Statement query,
                   Statement::Prepare(db,
                                      "SELECT part, crc, bytes FROM snapshot WHERE generation = ?"
                                      " AND part > ? ORDER BY part LIMIT ?"));
  StateCodec::Reader reader;
  records::SnapshotPart part;
  int64_t last = -1;
  for (int64_t rows = kChunk; rows == kChunk;) {
    query.Bind(1, mark.generation).Bind(2, last).Bind(3, kChunk);
    for (rows = 0;; ++rows) {
      ASSIGN_OR_RETURN(const bool row, query.Step());
      if (!row) break;
      const int64_t number = query.Integer(0);
      if (number != last + 1) return Damaged(db, "snapshot part", last + 1, "is missing");
      const std::string_view bytes = query.Blob(2);
      if (Checksum(bytes) != static_cast<uint32_t>(query.Integer(1)) ||
          !part.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
        return Damaged(db, "snapshot part", number, "is garbage");
      }
      if (Status status = reader.Add(part); !status.ok()) {
        return Damaged(db, "snapshot part", number, "does not fit: " + MessageOf(status));
      }
      last = number;
    }
    query.Reset();
  }
  if (mark.parts && last + 1 != *mark.parts)
    return Damaged(db, "snapshot part", last + 1, fmt::format("is missing, of {}", *mark.parts));
  StatusOr<ClusterState> state = reader.Finish();
  if (!state.ok()) return Damaged(db, "snapshot", mark.generation, MessageOf(state.status()));
  return state;
}

StatusOr<int64_t> ReadRecords(Database& db, int64_t after, int64_t upto,
                              const std::function<void(const Record&)>& visit) {
  ASSIGN_OR_RETURN(
      Statement query,
      Statement::Prepare(db,
                         "SELECT seq, crc, bytes FROM records WHERE seq > ? AND seq <= ?"
                         " ORDER BY seq LIMIT ?"));
  records::Record parsed;
  int64_t last = after;
  for (int64_t rows = kChunk; rows == kChunk;) {
    query.Bind(1, last).Bind(2, upto).Bind(3, kChunk);
    for (rows = 0;; ++rows) {
      ASSIGN_OR_RETURN(const bool row, query.Step());
      if (!row) break;
      const int64_t seq = query.Integer(0);
      if (seq != last + 1) return Damaged(db, "record", last + 1, "is missing");
      const std::string_view bytes = query.Blob(2);
      if (Checksum(bytes) != static_cast<uint32_t>(query.Integer(1)) ||
          !parsed.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
        return Damaged(db, "record", seq, "is garbage");
      }
      StatusOr<Record> record = DecodeRecord(parsed);
      if (!record.ok()) {
        return Damaged(db, "record", seq, "cannot be read: " + MessageOf(record.status()));
      }
      visit(*record);
      last = seq;
    }
    query.Reset();
  }
  return last;
}

StatusOr<std::unique_ptr<StoreLock>> StoreLock::Take(const std::string& state_dir) {
  const std::string path = state_dir + "/scheduler.lock";
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) {
    return PermissionDenied("{}: {}; state_dir must be a folder that the scheduler may write", path,
                            std::strerror(errno));
  }
  BelongAsFolder(path);
  if (flock(file, LOCK_EX | LOCK_NB) != 0) {
    char owner[32] = {};
    const ssize_t length = read(file, owner, sizeof owner - 1);
    close(file);
    return FailedPrecondition(
        "{}: another allot-scheduler (process {}) uses this state folder; stop it first, or choose "
        "another state_dir",
        path, length > 0 ? owner : "unknown");
  }
  const std::string pid = std::to_string(getpid());
  if (ftruncate(file, 0) != 0 ||
      pwrite(file, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    // The number only helps whoever meets the lock; the lock itself holds.
  }
  return std::unique_ptr<StoreLock>(new StoreLock(file));
}

StoreLock::~StoreLock() { close(file_); }

}  // namespace allot::scheduler
