// SQLite behind Status: a database, prepared statements, nothing that throws.
//
// A Database and its statements belong to one thread at a time. Errors name the file and, for a
// full disk or an I/O error, what to do; IsFull tells those apart by their code
// (ResourceExhausted).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace allot::scheduler {

class Database {
 public:
  // WAL, synchronous=FULL, busy timeout. Creates the file (mode 0600) if it is missing.
  static StatusOr<std::unique_ptr<Database>> Open(const std::string& path);
  // To look at a file that is there: changes nothing in it or in its write-ahead log, not by
  // closing either. Not for writing.
  static StatusOr<std::unique_ptr<Database>> Inspect(const std::string& path);
  // A file that nobody writes and that needs no log: nothing is made beside it.
  static StatusOr<std::unique_ptr<Database>> OpenFrozen(const std::string& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  Status Run(const char* sql);                       // one or more statements without parameters
  StatusOr<int64_t> Number(const std::string& sql);  // first column of the first row; 0 if none
  Status ErrorHere(std::string_view doing) const;    // of the last call
  const std::string& path() const { return path_; }
  sqlite3* raw() const { return raw_; }

 private:
  explicit Database(std::string path) : path_(std::move(path)) {}
  std::string path_;
  sqlite3* raw_ = nullptr;
};

// Prepared once, run often:
//   insert.Bind(1, seq).Bind(2, bytes); RETURN_IF_ERROR(insert.Execute());
// Bound blobs must live until Execute or Step returns.
class Statement {
 public:
  static StatusOr<Statement> Prepare(Database& db, const char* sql);
  Statement() = default;
  ~Statement();
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;

  Statement& Bind(int position, int64_t value);
  Statement& Bind(int position, std::string_view blob);
  Statement& BindText(int position, std::string_view text);
  Status Execute();       // to the end, then ready for the next use
  StatusOr<bool> Step();  // true: a row is there
  int64_t Integer(int column) const;
  int columns() const;
  std::string_view Blob(int column) const;  // until the next Step or Reset
  void Reset();

 private:
  Database* db_ = nullptr;
  sqlite3_stmt* raw_ = nullptr;
};

// A transaction that rolls back unless it was committed.
class Transaction {
 public:
  static StatusOr<Transaction> Begin(Database& db);  // BEGIN IMMEDIATE: takes the write lock
  Transaction(Transaction&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  Status Commit();

 private:
  explicit Transaction(Database* db) : db_(db) {}
  Database* db_;
};

}  // namespace allot::scheduler
