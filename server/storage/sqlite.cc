#include "server/storage/sqlite.h"

#include <sqlite3.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "engine/base/status.h"
#include "server/base/errors.h"

namespace tome::server {
namespace {

// `error`: what the system told, if it did: SQLite has a code for a full disk in some calls only.
absl::Status ErrorOf(int code, int error, const std::string& path, const char* message) {
  const std::string text = fmt::format("{}: {} (SQLite error {})", path, message, code);
  const auto of_system = [&](int known) {
    return StorageError(known, fmt::format("{}: {}", text, std::generic_category().message(known)));
  };
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return MakeError(absl::StatusCode::kDataLoss, text, {.reason = "STORED_DATA_DAMAGED"});
    case SQLITE_FULL:
      return MakeError(absl::StatusCode::kResourceExhausted, text, {.reason = "DISK_FULL"});
    case SQLITE_IOERR:
      return of_system(error == ENOSPC || error == EDQUOT ? error : EIO);
    case SQLITE_CANTOPEN:
      return of_system(error == 0 ? ENOENT : error);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return MakeError(absl::StatusCode::kUnavailable, text,
                       {.reason = "STORAGE_BUSY", .retry_delay = absl::Seconds(1)});
    case SQLITE_NOMEM:
      return absl::ResourceExhaustedError(text);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return absl::PermissionDeniedError(text);
    default:
      return absl::InternalError(text);
  }
}

}  // namespace

Database::Database(Database&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)), path_(std::move(other.path_)) {}

Database& Database::operator=(Database&& other) noexcept {
  std::swap(handle_, other.handle_);
  std::swap(path_, other.path_);
  return *this;
}

Database::~Database() { sqlite3_close(handle_); }

absl::StatusOr<Database> Database::Open(const std::string& path, Mode mode) {
  Database database;
  database.path_ = path;
  const int flags = SQLITE_OPEN_NOMUTEX | (mode == Mode::kRead ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) |
                    (mode == Mode::kCreate ? SQLITE_OPEN_CREATE : 0);
  errno = 0;
  if (const int code = sqlite3_open_v2(path.c_str(), &database.handle_, flags, nullptr); code != SQLITE_OK) {
    return ErrorOf(code, errno, path, sqlite3_errstr(code));
  }
  sqlite3_extended_result_codes(database.handle_, 1);
  if (mode == Mode::kOpen) {
    TOME_RETURN_IF_ERROR(database.Execute("PRAGMA journal_mode=WAL; PRAGMA journal_size_limit=4194304;"));
  }
  TOME_RETURN_IF_ERROR(
      database.Execute("PRAGMA synchronous=FULL; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;"));
  return database;
}

absl::Status Database::Error(int code) const { return ErrorOf(code, errno, path_, sqlite3_errmsg(handle_)); }

absl::Status Database::Execute(const char* sql) {
  errno = 0;
  const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Error(code);
}

absl::StatusOr<Statement> Database::Prepare(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  errno = 0;
  const int code = sqlite3_prepare_v2(handle_, sql, -1, &statement, nullptr);
  if (code != SQLITE_OK) return Error(code);
  return Statement(this, statement);
}

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_), handle_(std::exchange(other.handle_, nullptr)), bind_error_(other.bind_error_) {}

Statement::~Statement() { sqlite3_finalize(handle_); }

void Statement::Note(int code) {
  if (bind_error_ == SQLITE_OK) bind_error_ = code;
}

Statement& Statement::BindInt(int parameter, std::int64_t value) {
  Note(sqlite3_bind_int64(handle_, parameter + 1, value));
  return *this;
}

Statement& Statement::BindText(int parameter, std::string_view value) {
  Note(sqlite3_bind_text64(handle_, parameter + 1, value.data() ? value.data() : "", value.size(), SQLITE_TRANSIENT,
                           SQLITE_UTF8));
  return *this;
}

Statement& Statement::BindBlob(int parameter, std::string_view value) {
  Note(sqlite3_bind_blob64(handle_, parameter + 1, value.data() ? value.data() : "", value.size(), SQLITE_STATIC));
  return *this;
}

absl::StatusOr<bool> Statement::Step() {
  errno = 0;
  if (bind_error_ != SQLITE_OK) return database_->Error(bind_error_);
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return database_->Error(code);
}

absl::Status Statement::Run() { return Step().status(); }

std::int64_t Statement::Int(int column) const { return sqlite3_column_int64(handle_, column); }

std::string_view Statement::Text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
  return text ? std::string_view(text, sqlite3_column_bytes(handle_, column)) : std::string_view();
}

std::string_view Statement::Blob(int column) const {
  const auto* blob = static_cast<const char*>(sqlite3_column_blob(handle_, column));
  return blob ? std::string_view(blob, sqlite3_column_bytes(handle_, column)) : std::string_view();
}

absl::StatusOr<Transaction> Transaction::Begin(Database& database) {
  TOME_RETURN_IF_ERROR(database.Execute("BEGIN IMMEDIATE"));
  return Transaction(database);
}

Transaction::Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}

Transaction::~Transaction() {
  // SQLite may have rolled back by itself; then this is an error without consequence.
  if (database_) database_->Execute("ROLLBACK").IgnoreError();
}

absl::Status Transaction::Commit() {
  TOME_RETURN_IF_ERROR(database_->Execute("COMMIT"));
  database_ = nullptr;
  return absl::OkStatus();
}

}  // namespace tome::server
