#include "server/storage/session_store.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "engine/base/crc32c.h"
#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "server/base/errors.h"

namespace tome::server {
namespace {

constexpr std::int64_t kApplicationId = 0x546F6D65;  // "Tome"
constexpr std::int64_t kFormatVersion = 5;
constexpr std::int64_t kFirstFormatVersion = 1;
// Version 1 had neither region_tokens nor region memory; its sessions have 64 and none.
constexpr char kFrom1To2[] = R"sql(
  ALTER TABLE session ADD COLUMN region_tokens INTEGER NOT NULL DEFAULT 64;
  ALTER TABLE session ADD COLUMN region_memory TEXT NOT NULL DEFAULT 'off';
  PRAGMA user_version = 2;
)sql";
constexpr char kFrom2To3[] = R"sql(
  CREATE TABLE snapshots (
    number INTEGER PRIMARY KEY, create_time INTEGER NOT NULL, size_bytes INTEGER NOT NULL,
    ingested_bytes INTEGER NOT NULL, ingested_tokens INTEGER NOT NULL, digest TEXT NOT NULL) STRICT;
  PRAGMA user_version = 3;
)sql";
constexpr char kFrom3To4[] = R"sql(
  ALTER TABLE session ADD COLUMN attention TEXT NOT NULL DEFAULT 'dense';
  ALTER TABLE session ADD COLUMN position_encoding TEXT NOT NULL DEFAULT '';
  PRAGMA user_version = 4;
)sql";
constexpr char kFrom4To5[] = R"sql(
  ALTER TABLE session ADD COLUMN time_to_live INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE session ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE session ADD COLUMN last_use_time INTEGER NOT NULL DEFAULT 0;
  UPDATE session SET last_use_time = update_time;
  CREATE TABLE bases (ordinal INTEGER PRIMARY KEY, file TEXT NOT NULL UNIQUE) STRICT;
  PRAGMA user_version = 5;
)sql";

// Times are microseconds, since 1970 where they are no duration. A chunk's crc32c is that of its data. Later versions
// must read the chunks of bases as they are here.
constexpr char kSchema[] = R"sql(
  PRAGMA application_id = 1416588645;
  PRAGMA user_version = 5;
  CREATE TABLE session (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    id TEXT NOT NULL, request_id TEXT NOT NULL, display_name TEXT NOT NULL, version INTEGER NOT NULL,
    create_time INTEGER NOT NULL, update_time INTEGER NOT NULL,
    sink_tokens INTEGER NOT NULL, window_tokens INTEGER NOT NULL, segment_tokens INTEGER NOT NULL,
    model_digest TEXT NOT NULL, tokenizer_digest TEXT NOT NULL, region_tokens INTEGER NOT NULL,
    region_memory TEXT NOT NULL, attention TEXT NOT NULL, position_encoding TEXT NOT NULL,
    time_to_live INTEGER NOT NULL, pinned INTEGER NOT NULL, last_use_time INTEGER NOT NULL) STRICT;
  CREATE TABLE labels (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE documents (
    ordinal INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, sealed INTEGER NOT NULL,
    invalid_utf8 INTEGER NOT NULL, create_time INTEGER NOT NULL) STRICT;
  CREATE TABLE chunks (
    chunk INTEGER PRIMARY KEY, document INTEGER NOT NULL, offset INTEGER NOT NULL, crc32c INTEGER NOT NULL,
    data BLOB NOT NULL) STRICT;
  CREATE UNIQUE INDEX chunks_by_offset ON chunks (document, offset);
  CREATE TABLE snapshots (
    number INTEGER PRIMARY KEY, create_time INTEGER NOT NULL, size_bytes INTEGER NOT NULL,
    ingested_bytes INTEGER NOT NULL, ingested_tokens INTEGER NOT NULL, digest TEXT NOT NULL) STRICT;
  CREATE TABLE bases (ordinal INTEGER PRIMARY KEY, file TEXT NOT NULL UNIQUE) STRICT;
)sql";
constexpr char kSelectSession[] =
    "SELECT id, request_id, display_name, version, create_time, update_time, sink_tokens, window_tokens, "
    "segment_tokens, model_digest, tokenizer_digest, region_tokens, region_memory, attention, position_encoding, "
    "time_to_live, pinned, last_use_time FROM session";
static_assert(kApplicationId == 1416588645 && kFormatVersion == 5, "as in the schema");

std::int64_t ToMicros(absl::Time time) { return absl::ToUnixMicros(time); }

absl::Status InsertLabels(Database& database, const std::map<std::string, std::string>& labels) {
  for (const auto& [key, value] : labels) {
    TOME_ASSIGN_OR_RETURN(Statement insert, database.Prepare("INSERT INTO labels (key, value) VALUES (?, ?)"));
    TOME_RETURN_IF_ERROR(insert.BindText(0, key).BindText(1, value).Run());
  }
  return absl::OkStatus();
}

absl::Status InsertDocument(Database& database, std::int64_t ordinal, const StoredDocument& document) {
  TOME_ASSIGN_OR_RETURN(Statement insert, database.Prepare("INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?)"));
  return insert.BindInt(0, ordinal)
      .BindText(1, document.name)
      .BindInt(2, static_cast<std::int64_t>(document.size))
      .BindInt(3, document.sealed)
      .BindInt(4, static_cast<std::int64_t>(document.invalid_utf8))
      .BindInt(5, ToMicros(document.create_time))
      .Run();
}

absl::Status InsertSnapshot(Database& database, const SnapshotInfo& snapshot) {
  TOME_ASSIGN_OR_RETURN(Statement insert, database.Prepare("INSERT INTO snapshots VALUES (?, ?, ?, ?, ?, ?)"));
  return insert.BindInt(0, static_cast<std::int64_t>(snapshot.number))
      .BindInt(1, ToMicros(snapshot.create_time))
      .BindInt(2, static_cast<std::int64_t>(snapshot.size_bytes))
      .BindInt(3, static_cast<std::int64_t>(snapshot.ingested_bytes))
      .BindInt(4, static_cast<std::int64_t>(snapshot.ingested_tokens))
      .BindText(5, snapshot.digest)
      .Run();
}

absl::StatusOr<std::int64_t> ReadPragma(Database& database, const char* sql) {
  TOME_ASSIGN_OR_RETURN(Statement statement, database.Prepare(sql));
  TOME_ASSIGN_OR_RETURN(const bool row, statement.Step());
  return row ? statement.Int(0) : 0;
}

bool IsBaseName(const std::string& name) {
  return name.starts_with(kBasePrefix) && std::all_of(name.begin() + kBasePrefix.size(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
         });
}

bool IsPositiveInt(std::int64_t value) { return value > 0 && value <= std::numeric_limits<int>::max(); }

}  // namespace

absl::Status SessionStore::Create(const std::string& path, const StoredSession& session) {
  TOME_ASSIGN_OR_RETURN(Database database, Database::Open(path, Database::Mode::kCreate));
  TOME_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(database));
  TOME_RETURN_IF_ERROR(database.Execute(kSchema));
  {
    TOME_ASSIGN_OR_RETURN(
        Statement insert,
        database.Prepare("INSERT INTO session VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
    TOME_RETURN_IF_ERROR(insert.BindText(0, session.id)
                             .BindText(1, session.request_id)
                             .BindText(2, session.display_name)
                             .BindInt(3, session.version)
                             .BindInt(4, ToMicros(session.create_time))
                             .BindInt(5, ToMicros(session.update_time))
                             .BindInt(6, session.options.sink_tokens)
                             .BindInt(7, session.options.window_tokens)
                             .BindInt(8, session.options.segment_tokens)
                             .BindText(9, session.model_digest)
                             .BindText(10, session.tokenizer_digest)
                             .BindInt(11, session.options.region_tokens)
                             .BindText(12, FormatRegionMemoryOptions(session.options.regions))
                             .BindText(13, session.options.attention)
                             .BindText(14, session.options.position_encoding)
                             .BindInt(15, absl::ToInt64Microseconds(session.time_to_live))
                             .BindInt(16, session.pinned)
                             .BindInt(17, ToMicros(session.last_use_time))
                             .Run());
  }
  TOME_RETURN_IF_ERROR(InsertLabels(database, session.labels));
  for (std::size_t i = 0; i < session.documents.size(); ++i) {
    TOME_RETURN_IF_ERROR(InsertDocument(database, static_cast<std::int64_t>(i), session.documents[i]));
  }
  for (const SnapshotInfo& snapshot : session.snapshots) {
    TOME_RETURN_IF_ERROR(InsertSnapshot(database, snapshot));
  }
  for (std::size_t i = 0; i < session.bases.size(); ++i) {
    TOME_ASSIGN_OR_RETURN(Statement insert, database.Prepare("INSERT INTO bases VALUES (?, ?)"));
    TOME_RETURN_IF_ERROR(insert.BindInt(0, static_cast<std::int64_t>(i)).BindText(1, session.bases[i]).Run());
  }
  return transaction.Commit();
}

absl::StatusOr<SessionStore> SessionStore::Open(const std::string& path, SessionId id) {
  TOME_ASSIGN_OR_RETURN(Database database, Database::Open(path, Database::Mode::kOpen));
  SessionStore store(std::move(database), std::move(id));
  TOME_RETURN_IF_ERROR(store.CheckFormat());
  TOME_RETURN_IF_ERROR(store.Migrate());
  TOME_ASSIGN_OR_RETURN(const std::vector<std::string> bases, store.LoadBases());
  const std::string folder = path.substr(0, path.rfind('/') + 1);
  for (auto base = bases.rbegin(); base != bases.rend(); ++base) {
    absl::StatusOr<Database> opened = Database::Open(folder + *base, Database::Mode::kRead);
    if (absl::IsNotFound(opened.status())) {
      return store.DamagedSession(fmt::format("{} is missing, with bytes of its documents", *base));
    }
    TOME_RETURN_IF_ERROR(opened.status());
    store.bases_.push_back(*std::move(opened));
  }
  return store;
}

absl::Status SessionStore::CheckFormat() {
  TOME_ASSIGN_OR_RETURN(const std::int64_t application, ReadPragma(database_, "PRAGMA application_id"));
  TOME_ASSIGN_OR_RETURN(format_, ReadPragma(database_, "PRAGMA user_version"));
  if (application != kApplicationId) {
    return DamagedSession("session.db is not a session's file");
  }
  if (format_ < kFirstFormatVersion || format_ > kFormatVersion) {
    return FailedPrecondition("session {}: session.db has format {}, this server reads formats {} to {}", id_, format_,
                              kFirstFormatVersion, kFormatVersion);
  }
  return absl::OkStatus();
}

absl::Status SessionStore::Migrate() {
  if (format_ == kFormatVersion) return absl::OkStatus();
  TOME_ASSIGN_OR_RETURN(Transaction transaction, Begin());
  if (format_ < 2) TOME_RETURN_IF_ERROR(database_.Execute(kFrom1To2));
  if (format_ < 3) TOME_RETURN_IF_ERROR(database_.Execute(kFrom2To3));
  if (format_ < 4) TOME_RETURN_IF_ERROR(database_.Execute(kFrom3To4));
  TOME_RETURN_IF_ERROR(database_.Execute(kFrom4To5));
  TOME_RETURN_IF_ERROR(transaction.Commit());
  format_ = kFormatVersion;
  return absl::OkStatus();
}

absl::Status SessionStore::CheckIntegrity() {
  const auto check = [&](Database& database, const std::string& file) -> absl::Status {
    TOME_ASSIGN_OR_RETURN(Statement check, database.Prepare("PRAGMA integrity_check(1)"));
    TOME_ASSIGN_OR_RETURN(const bool row, check.Step());
    if (row && check.Text(0) == "ok") return absl::OkStatus();
    return DamagedSession(fmt::format("{}: {}", file, std::string(row ? check.Text(0) : "no answer")));
  };
  TOME_RETURN_IF_ERROR(check(database_, "session.db"));
  TOME_ASSIGN_OR_RETURN(const std::vector<std::string> bases, LoadBases());
  for (std::size_t i = 0; i < bases_.size(); ++i) {
    TOME_RETURN_IF_ERROR(check(bases_[i], bases[bases.size() - 1 - i]));
  }
  return absl::OkStatus();
}

absl::StatusOr<StoredSession> SessionStore::Load() {
  StoredSession session;
  TOME_RETURN_IF_ERROR(LoadSession(&session));
  TOME_RETURN_IF_ERROR(LoadDocuments(&session));
  TOME_ASSIGN_OR_RETURN(session.snapshots, LoadSnapshots());
  TOME_ASSIGN_OR_RETURN(session.bases, LoadBases());
  TOME_ASSIGN_OR_RETURN(Statement labels, database_.Prepare("SELECT key, value FROM labels"));
  for (;;) {
    TOME_ASSIGN_OR_RETURN(const bool row, labels.Step());
    if (!row) return session;
    session.labels.emplace(labels.Text(0), labels.Text(1));
  }
}

absl::Status SessionStore::LoadSession(StoredSession* session) {
  TOME_ASSIGN_OR_RETURN(Statement select, database_.Prepare(kSelectSession));
  TOME_ASSIGN_OR_RETURN(const bool row, select.Step());
  if (row && select.Text(0) != id_) {
    return FailedPrecondition("session {}: its folder holds session '{}'; give the folder that name back", id_,
                              std::string(select.Text(0)));
  }
  const absl::StatusOr<RegionMemoryOptions> regions = ParseRegionMemoryOptions(std::string(row ? select.Text(12) : ""));
  const bool good = row && IsPositiveInt(select.Int(6)) && IsPositiveInt(select.Int(7)) &&
                    IsPositiveInt(select.Int(8)) && IsPositiveInt(select.Int(11)) && regions.ok();
  if (!good) {
    return DamagedSession("the stored metadata is damaged");
  }
  session->id = id_;
  session->request_id = select.Text(1);
  session->display_name = select.Text(2);
  session->version = select.Int(3);
  session->create_time = absl::FromUnixMicros(select.Int(4));
  session->update_time = absl::FromUnixMicros(select.Int(5));
  session->options = {.sink_tokens = static_cast<int>(select.Int(6)),
                      .window_tokens = static_cast<int>(select.Int(7)),
                      .segment_tokens = static_cast<int>(select.Int(8)),
                      .region_tokens = static_cast<int>(select.Int(11)),
                      .regions = *regions,
                      .attention = std::string(select.Text(13)),
                      .position_encoding = std::string(select.Text(14))};
  session->model_digest = select.Text(9);
  session->tokenizer_digest = select.Text(10);
  session->time_to_live = absl::Microseconds(std::max<std::int64_t>(0, select.Int(15)));
  session->pinned = select.Int(16) != 0;
  session->last_use_time = absl::FromUnixMicros(select.Int(17));
  return absl::OkStatus();
}

absl::Status SessionStore::LoadDocuments(StoredSession* session) {
  TOME_ASSIGN_OR_RETURN(Statement select,
                        database_.Prepare("SELECT ordinal, name, size, sealed, invalid_utf8, create_time "
                                          "FROM documents ORDER BY ordinal"));
  for (;;) {
    TOME_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return absl::OkStatus();
    StoredDocument document;
    document.name = select.Text(1);
    document.size = static_cast<ByteOffset>(std::max<std::int64_t>(0, select.Int(2)));
    document.sealed = select.Int(3) != 0;
    document.invalid_utf8 = static_cast<Utf8Policy>(select.Int(4));
    document.create_time = absl::FromUnixMicros(select.Int(5));
    const bool good = select.Int(0) == static_cast<std::int64_t>(session->documents.size()) && select.Int(2) >= 0 &&
                      (document.invalid_utf8 == Utf8Policy::kRefuse || document.invalid_utf8 == Utf8Policy::kReplace);
    if (!good) return Damaged(document, 0, document.size, "its entry in the list of documents is damaged");
    session->documents.push_back(std::move(document));
  }
}

absl::Status SessionStore::SaveMetadata(const StoredSession& session) {
  TOME_ASSIGN_OR_RETURN(Transaction transaction, Begin());
  {
    TOME_ASSIGN_OR_RETURN(Statement update,
                          database_.Prepare("UPDATE session SET display_name = ?, version = ?, update_time = ?, "
                                            "time_to_live = ?, pinned = ?, last_use_time = ?"));
    TOME_RETURN_IF_ERROR(update.BindText(0, session.display_name)
                             .BindInt(1, session.version)
                             .BindInt(2, ToMicros(session.update_time))
                             .BindInt(3, absl::ToInt64Microseconds(session.time_to_live))
                             .BindInt(4, session.pinned)
                             .BindInt(5, ToMicros(session.last_use_time))
                             .Run());
  }
  TOME_RETURN_IF_ERROR(database_.Execute("DELETE FROM labels"));
  TOME_RETURN_IF_ERROR(InsertLabels(database_, session.labels));
  return transaction.Commit();
}

absl::StatusOr<bool> SessionStore::HasChunks() {
  TOME_ASSIGN_OR_RETURN(Statement select, database_.Prepare("SELECT 1 FROM chunks LIMIT 1"));
  return select.Step();
}

absl::Status SessionStore::SaveLastUse(absl::Time last_use_time) {
  TOME_ASSIGN_OR_RETURN(Statement update, database_.Prepare("UPDATE session SET last_use_time = ?"));
  return update.BindInt(0, ToMicros(last_use_time)).Run();
}

absl::StatusOr<std::vector<std::string>> SessionStore::LoadBases() {
  TOME_ASSIGN_OR_RETURN(Statement select, database_.Prepare("SELECT file FROM bases ORDER BY ordinal"));
  std::vector<std::string> bases;
  for (;;) {
    TOME_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return bases;
    bases.emplace_back(select.Text(0));
    // What a database says is not let out of its folder.
    if (IsBaseName(bases.back())) continue;
    return DamagedSession(fmt::format("{} is no base", Quote(bases.back())));
  }
}

absl::Status SessionStore::Freeze(SessionStore store) {
  // A rollback journal, which leaves nothing beside the file, in place of the log.
  TOME_ASSIGN_OR_RETURN(Statement mode, store.database_.Prepare("PRAGMA journal_mode=DELETE"));
  TOME_ASSIGN_OR_RETURN(const bool row, mode.Step());
  if (row && mode.Text(0) == "delete") return absl::OkStatus();
  return MakeError(absl::StatusCode::kUnavailable, fmt::format("session {}: its database is in use", store.id_),
                   {.reason = "STORAGE_BUSY", .metadata = {{"session", store.id_}}, .retry_delay = absl::Seconds(1)});
}

absl::Status SessionStore::SaveDigests(const std::string& model_digest, const std::string& tokenizer_digest) {
  TOME_ASSIGN_OR_RETURN(Statement update,
                        database_.Prepare("UPDATE session SET model_digest = ?, tokenizer_digest = ?"));
  return update.BindText(0, model_digest).BindText(1, tokenizer_digest).Run();
}

absl::StatusOr<std::vector<SnapshotInfo>> SessionStore::LoadSnapshots() {
  TOME_ASSIGN_OR_RETURN(Statement select,
                        database_.Prepare("SELECT number, create_time, size_bytes, ingested_bytes, ingested_tokens, "
                                          "digest FROM snapshots ORDER BY number DESC"));
  std::vector<SnapshotInfo> snapshots;
  for (;;) {
    TOME_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return snapshots;
    snapshots.push_back({.number = static_cast<std::uint64_t>(select.Int(0)),
                         .create_time = absl::FromUnixMicros(select.Int(1)),
                         .size_bytes = static_cast<std::uint64_t>(select.Int(2)),
                         .ingested_bytes = static_cast<std::uint64_t>(select.Int(3)),
                         .ingested_tokens = static_cast<std::uint64_t>(select.Int(4)),
                         .digest = std::string(select.Text(5))});
  }
}

absl::StatusOr<std::vector<SnapshotInfo>> SessionStore::AddSnapshot(const SnapshotInfo& snapshot, std::size_t kept) {
  TOME_ASSIGN_OR_RETURN(Transaction transaction, Begin());
  TOME_RETURN_IF_ERROR(InsertSnapshot(database_, snapshot));
  {
    TOME_ASSIGN_OR_RETURN(Statement strike,
                          database_.Prepare("DELETE FROM snapshots WHERE number NOT IN "
                                            "(SELECT number FROM snapshots ORDER BY number DESC LIMIT ?)"));
    TOME_RETURN_IF_ERROR(strike.BindInt(0, static_cast<std::int64_t>(kept)).Run());
  }
  TOME_ASSIGN_OR_RETURN(std::vector<SnapshotInfo> left, LoadSnapshots());
  TOME_RETURN_IF_ERROR(transaction.Commit());
  return left;
}

absl::Status SessionStore::RemoveSnapshot(std::uint64_t number) {
  TOME_ASSIGN_OR_RETURN(Statement strike, database_.Prepare("DELETE FROM snapshots WHERE number = ?"));
  return strike.BindInt(0, static_cast<std::int64_t>(number)).Run();
}

absl::Status SessionStore::RemoveSnapshots() { return database_.Execute("DELETE FROM snapshots"); }

absl::Status SessionStore::AddDocument(std::int64_t ordinal, const StoredDocument& document) {
  return InsertDocument(database_, ordinal, document);
}

absl::Status SessionStore::AddBytes(std::int64_t ordinal, ByteOffset offset, std::string_view data) {
  while (!data.empty()) {
    const std::string_view chunk = data.substr(0, kMaxChunkBytes);
    TOME_ASSIGN_OR_RETURN(Statement insert, database_.Prepare("INSERT INTO chunks (document, offset, crc32c, data) "
                                                              "VALUES (?, ?, ?, ?)"));
    TOME_RETURN_IF_ERROR(insert.BindInt(0, ordinal)
                             .BindInt(1, static_cast<std::int64_t>(offset))
                             .BindInt(2, Crc32c(chunk))
                             .BindBlob(3, chunk)
                             .Run());
    offset += chunk.size();
    data.remove_prefix(chunk.size());
  }
  return absl::OkStatus();
}

absl::Status SessionStore::SaveDocument(std::int64_t ordinal, const StoredDocument& document, absl::Time update_time) {
  {
    TOME_ASSIGN_OR_RETURN(
        Statement update,
        database_.Prepare("UPDATE documents SET size = ?, sealed = ?, invalid_utf8 = ? WHERE ordinal = ?"));
    TOME_RETURN_IF_ERROR(update.BindInt(0, static_cast<std::int64_t>(document.size))
                             .BindInt(1, document.sealed)
                             .BindInt(2, static_cast<std::int64_t>(document.invalid_utf8))
                             .BindInt(3, ordinal)
                             .Run());
  }
  TOME_ASSIGN_OR_RETURN(Statement touch, database_.Prepare("UPDATE session SET update_time = ?"));
  return touch.BindInt(0, ToMicros(update_time)).Run();
}

absl::StatusOr<std::string> SessionStore::FindChunk(Database& database, std::int64_t ordinal,
                                                    const StoredDocument& document, ByteOffset begin) const {
  TOME_ASSIGN_OR_RETURN(Statement select,
                        database.Prepare("SELECT offset, crc32c, data FROM chunks WHERE document = ? AND offset <= ? "
                                         "ORDER BY offset DESC LIMIT 1"));
  const absl::StatusOr<bool> row = select.BindInt(0, ordinal).BindInt(1, static_cast<std::int64_t>(begin)).Step();
  if (!row.ok()) {
    if (row.status().code() != absl::StatusCode::kDataLoss) return row.status();
    return Damaged(document, begin, document.size, std::string(row.status().message()));
  }
  if (!*row) return std::string();
  const std::string_view data = select.Blob(2);
  if (select.Int(0) < 0) return Damaged(document, begin, document.size, "an offset is below zero");
  const ByteOffset offset = static_cast<ByteOffset>(select.Int(0));
  if (offset + data.size() <= begin) return std::string();
  if (offset + data.size() > document.size || static_cast<std::int64_t>(Crc32c(data)) != select.Int(1)) {
    return Damaged(document, offset, offset + data.size(), "their checksum does not match");
  }
  return std::string(data.substr(begin - offset));
}

absl::StatusOr<std::string> SessionStore::ReadChunk(std::int64_t ordinal, const StoredDocument& document,
                                                    ByteOffset begin) {
  TOME_ASSIGN_OR_RETURN(std::string bytes, FindChunk(database_, ordinal, document, begin));
  for (auto base = bases_.begin(); bytes.empty() && base != bases_.end(); ++base) {
    TOME_ASSIGN_OR_RETURN(bytes, FindChunk(*base, ordinal, document, begin));
  }
  if (bytes.empty()) return Damaged(document, begin, document.size, "they are missing");
  return bytes;
}

absl::StatusOr<std::string> SessionStore::ReadBytes(std::int64_t ordinal, const StoredDocument& document,
                                                    ByteOffset begin, ByteOffset end) {
  std::string bytes;
  while (begin + bytes.size() < end) {
    TOME_ASSIGN_OR_RETURN(const std::string chunk, ReadChunk(ordinal, document, begin + bytes.size()));
    bytes += chunk;
  }
  bytes.resize(end - begin);
  return bytes;
}

absl::Status SessionStore::DamagedSession(const std::string& what) const {
  return MakeError(absl::StatusCode::kDataLoss, fmt::format("session {}: {}", id_, what),
                   {.reason = "STORED_DATA_DAMAGED", .metadata = {{"session", id_}}});
}

absl::Status SessionStore::Damaged(const StoredDocument& document, ByteOffset begin, ByteOffset end,
                                   const std::string& what) const {
  return MakeError(absl::StatusCode::kDataLoss,
                   fmt::format("session {}: document '{}': the stored bytes {} to {} are damaged: {}", id_,
                               document.name, begin, end, what),
                   {.reason = "STORED_DATA_DAMAGED",
                    .metadata = {{"session", id_},
                                 {"document", document.name},
                                 {"begin", std::to_string(begin)},
                                 {"end", std::to_string(end)}}});
}

}  // namespace tome::server
