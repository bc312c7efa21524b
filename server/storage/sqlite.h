// A thin, safe layer over SQLite: connections and statements that close themselves, and errors as statuses.
#ifndef TOME_SERVER_STORAGE_SQLITE_H_
#define TOME_SERVER_STORAGE_SQLITE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct sqlite3;
struct sqlite3_stmt;

namespace tome::server {

class Statement;

// A connection. Used by one thread at a time, as are its statements, which must be gone before it closes. Movable.
class Database {
 public:
  enum class Mode {
    kCreate,  // a file that may not be there yet; it is whole by itself after each commit
    kOpen,    // a file that is there, in write-ahead mode: commits may be in a second file beside it
    kRead,    // nothing is written; the file is one that nobody changes, and not in write-ahead mode
  };

  // Opens a file with full synchronisation: what was committed survives a loss of power.
  // Errors, here and below: DATA_LOSS/STORED_DATA_DAMAGED for a damaged file or one that is no database,
  // DATA_LOSS/DISK_FAILED, RESOURCE_EXHAUSTED/DISK_FULL, UNAVAILABLE/STORAGE_BUSY, PERMISSION_DENIED, NOT_FOUND, else
  // INTERNAL; the message names the file.
  static absl::StatusOr<Database> Open(const std::string& path, Mode mode);

  Database() = default;
  Database(Database&& other) noexcept;
  Database& operator=(Database&& other) noexcept;
  ~Database();

  absl::Status Execute(const char* sql);
  absl::StatusOr<Statement> Prepare(const char* sql);

  // The error of a call that has just failed, in words and with details. The call was made with errno at 0.
  absl::Status Error(int code) const;

 private:
  sqlite3* handle_ = nullptr;
  std::string path_;
};

// A prepared statement. Parameters and columns count from 0.
class Statement {
 public:
  Statement(const Database* database, sqlite3_stmt* handle) : database_(database), handle_(handle) {}
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  Statement& BindInt(int parameter, std::int64_t value);
  Statement& BindText(int parameter, std::string_view value);  // copied
  Statement& BindBlob(int parameter, std::string_view value);  // not copied: must live until Step

  // True when there is a row, false at the end.
  absl::StatusOr<bool> Step();
  // For statements without rows.
  absl::Status Run();

  std::int64_t Int(int column) const;
  // Valid until the next Step.
  std::string_view Text(int column) const;
  std::string_view Blob(int column) const;

 private:
  void Note(int code);

  const Database* database_;
  sqlite3_stmt* handle_;
  int bind_error_ = 0;  // the first error of a Bind, told by Step
};

// Begins a transaction and rolls it back unless it was committed.
class Transaction {
 public:
  static absl::StatusOr<Transaction> Begin(Database& database);
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  absl::Status Commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_STORAGE_SQLITE_H_
