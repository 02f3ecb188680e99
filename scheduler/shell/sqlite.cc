#include "scheduler/shell/sqlite.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <utility>

namespace allot::scheduler {
namespace {

constexpr int kBusyTimeoutMs = 10'000;  // the other connection holds the lock for milliseconds

Status StatusOf(sqlite3* db, const std::string& path, std::string_view doing) {
  const int code = sqlite3_errcode(db) & 0xff;
  const std::string what = sqlite3_errmsg(db);
  switch (code) {
    case SQLITE_FULL:
      return ResourceExhausted("{}: {} failed: {}; free space on the disk of this folder", path,
                               doing, what);
    case SQLITE_IOERR:
      return Unavailable("{}: {} failed: {}; look at the disk of this folder", path, doing, what);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Internal(
          "{}: {} failed: {}; damaged from outside; restore a backup: `allot restore` "
          "(docs/operations.md, Backup)",
          path, doing, what);
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return PermissionDenied("{}: {} failed: {}; give the scheduler's user this folder", path,
                              doing, what);
    case SQLITE_BUSY:
      return Unavailable("{}: {} failed: {}; another program holds the store open for writing",
                         path, doing, what);
    default:
      return Internal("{}: {} failed: {} (sqlite {})", path, doing, what, code);
  }
}

}  // namespace

StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path) {
  std::unique_ptr<Database> db(new Database(path));
  const mode_t before = umask(0077);  // jobs' environments hold secrets
  const int opened = sqlite3_open_v2(
      path.c_str(), &db->raw_,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
      nullptr);
  umask(before);
  if (opened != SQLITE_OK) return db->ErrorHere("opening the store");
  sqlite3_busy_timeout(db->raw_, kBusyTimeoutMs);
  // wal_autocheckpoint=0: Journal and Compactor say when, so that no commit pays for it.
  RETURN_IF_ERROR(
      db->Run("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
              "PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-4096;"
              "PRAGMA foreign_keys=OFF; PRAGMA temp_store=MEMORY;"));
  return db;
}

StatusOr<std::unique_ptr<Database>> Database::Inspect(const std::string& path) {
  std::unique_ptr<Database> db(new Database(path));
  if (sqlite3_open_v2(path.c_str(), &db->raw_,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                      nullptr) != SQLITE_OK)
    return db->ErrorHere("opening the store");
  sqlite3_busy_timeout(db->raw_, kBusyTimeoutMs);
  sqlite3_db_config(db->raw_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  RETURN_IF_ERROR(db->Run("PRAGMA wal_autocheckpoint=0; PRAGMA temp_store=MEMORY;"));
  return db;
}

StatusOr<std::unique_ptr<Database>> Database::OpenFrozen(const std::string& path) {
  std::string uri = "file:";
  for (const char c : path) {
    if (c == '%' || c == '?' || c == '#')
      uri += fmt::format("%{:02x}", c);
    else
      uri += c;
  }
  std::unique_ptr<Database> db(new Database(path));
  if (sqlite3_open_v2(
          (uri + "?immutable=1").c_str(), &db->raw_,
          SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
          nullptr) != SQLITE_OK)
    return db->ErrorHere("opening it");
  return db;
}

Database::~Database() {
  if (raw_ != nullptr) sqlite3_close_v2(raw_);
}

Status Database::Run(const char* sql) {
  if (sqlite3_exec(raw_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return ErrorHere(sql);
  return absl::OkStatus();
}

StatusOr<int64_t> Database::Number(const std::string& sql) {
  ASSIGN_OR_RETURN(Statement query, Statement::Prepare(*this, sql.c_str()));
  ASSIGN_OR_RETURN(const bool row, query.Step());
  return row ? query.Integer(0) : 0;
}

Status Database::ErrorHere(std::string_view doing) const {
  if (raw_ == nullptr) return ResourceExhausted("{}: out of memory", path_);
  return StatusOf(raw_, path_, doing);
}

StatusOr<Statement> Statement::Prepare(Database& db, const char* sql) {
  Statement statement;
  statement.db_ = &db;
  if (sqlite3_prepare_v3(db.raw(), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement.raw_, nullptr) !=
      SQLITE_OK) {
    return db.ErrorHere(sql);
  }
  return statement;
}

Statement::~Statement() { sqlite3_finalize(raw_); }

Statement::Statement(Statement&& other) noexcept
    : db_(other.db_), raw_(std::exchange(other.raw_, nullptr)) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(db_, other.db_);
  std::swap(raw_, other.raw_);
  return *this;
}

Statement& Statement::Bind(int position, int64_t value) {
  sqlite3_bind_int64(raw_, position, value);
  return *this;
}

Statement& Statement::BindText(int position, std::string_view text) {
  sqlite3_bind_text64(raw_, position, text.empty() ? "" : text.data(), text.size(), SQLITE_STATIC,
                      SQLITE_UTF8);
  return *this;
}

Statement& Statement::Bind(int position, std::string_view blob) {
  // A null pointer would be stored as NULL.
  sqlite3_bind_blob64(raw_, position, blob.empty() ? "" : blob.data(), blob.size(), SQLITE_STATIC);
  return *this;
}

Status Statement::Execute() {
  const int code = sqlite3_step(raw_);
  // The error is read before the reset, which sets it again.
  Status status = code == SQLITE_DONE || code == SQLITE_ROW ? absl::OkStatus()
                                                            : db_->ErrorHere(sqlite3_sql(raw_));
  sqlite3_reset(raw_);
  return status;
}

StatusOr<bool> Statement::Step() {
  const int code = sqlite3_step(raw_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  Status status = db_->ErrorHere(sqlite3_sql(raw_));
  sqlite3_reset(raw_);
  return status;
}

int64_t Statement::Integer(int column) const { return sqlite3_column_int64(raw_, column); }

std::string_view Statement::Blob(int column) const {
  const void* data = sqlite3_column_blob(raw_, column);
  return {static_cast<const char*>(data), static_cast<size_t>(sqlite3_column_bytes(raw_, column))};
}

int Statement::columns() const { return sqlite3_column_count(raw_); }

void Statement::Reset() { sqlite3_reset(raw_); }

StatusOr<Transaction> Transaction::Begin(Database& db) {
  RETURN_IF_ERROR(db.Run("BEGIN IMMEDIATE"));
  return Transaction(&db);
}

Transaction::~Transaction() {
  // After an error SQLite may have rolled back by itself; then this one fails, and may.
  if (db_ != nullptr && sqlite3_get_autocommit(db_->raw()) == 0) {
    sqlite3_exec(db_->raw(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
}

Status Transaction::Commit() {
  RETURN_IF_ERROR(db_->Run("COMMIT"));
  db_ = nullptr;
  return absl::OkStatus();
}

}  // namespace allot::scheduler
