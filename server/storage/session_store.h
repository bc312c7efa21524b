// One session on disk: a SQLite database with its metadata, its documents and their bytes in checksummed chunks, and
// the register of its snapshots.
#ifndef TOME_SERVER_STORAGE_SESSION_STORE_H_
#define TOME_SERVER_STORAGE_SESSION_STORE_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/types.h"
#include "server/storage/sqlite.h"

namespace tome::server {

inline constexpr std::size_t kMaxChunkBytes = std::size_t{256} << 10;

inline constexpr std::string_view kBasePrefix = "base-";  // of the names of bases

struct StoredDocument {
  std::string name;
  ByteOffset size = 0;
  bool sealed = false;
  Utf8Policy invalid_utf8 = Utf8Policy::kRefuse;
  absl::Time create_time;  // microseconds

  friend bool operator==(const StoredDocument&, const StoredDocument&) = default;
};

struct StoredSession {
  SessionId id;
  std::string request_id;
  std::string display_name;
  std::map<std::string, std::string> labels;
  std::int64_t version = 1;  // of the metadata
  absl::Time create_time;    // microseconds
  absl::Time update_time;
  MemoryOptions options;
  std::string model_digest;
  std::string tokenizer_digest;
  absl::Duration time_to_live;  // 0: none
  bool pinned = false;
  absl::Time last_use_time;        // not much older than the last use
  std::vector<std::string> bases;  // file names, see SessionStore
  std::vector<StoredDocument> documents;
  std::vector<SnapshotInfo> snapshots;  // newest first
};

// Bytes that a fork shares with others are in bases: databases of sessions as they were when they were forked, which
// nobody changes any more, in the same folder and linked into the folders of all that need them. A session's own
// database has the bytes that were stored since. Of a base only the chunks are read.
//
// Not thread-safe. All calls wait for the disk. Errors are those of Database; damaged content is
// DATA_LOSS/STORED_DATA_DAMAGED with the session, and the document and byte range where that is known.
class SessionStore {
 public:
  // Makes the database of a session with these documents, all of whose bytes are in its bases. It is one file, synced.
  static absl::Status Create(const std::string& path, const StoredSession& session);
  // A database of an older format gets the present one.
  static absl::StatusOr<SessionStore> Open(const std::string& path, SessionId id);

  absl::StatusOr<StoredSession> Load();

  // Whether SQLite finds the structures of this database and its bases sound. DATA_LOSS with the first thing that is
  // not.
  absl::Status CheckIntegrity();

  // Replaces display name, labels, time to live, pinning, last use, version and update time.
  absl::Status SaveMetadata(const StoredSession& session);
  // Whether it has bytes of its own, beside those in its bases.
  absl::StatusOr<bool> HasChunks();
  absl::Status SaveLastUse(absl::Time last_use_time);
  absl::Status SaveDigests(const std::string& model_digest, const std::string& tokenizer_digest);

  // Registers a snapshot whose file is there, and strikes out all but the newest `kept`. Gives those that are left,
  // newest first.
  absl::StatusOr<std::vector<SnapshotInfo>> AddSnapshot(const SnapshotInfo& snapshot, std::size_t kept);
  // Puts all into one file that can be linked as a base, and closes: the store is not used any more.
  static absl::Status Freeze(SessionStore store);

  absl::Status RemoveSnapshot(std::uint64_t number);
  // Strikes out all snapshots.
  absl::Status RemoveSnapshots();

  // --- Writing of documents, within a transaction of the caller's ---
  absl::StatusOr<Transaction> Begin() { return Transaction::Begin(database_); }
  absl::Status AddDocument(std::int64_t ordinal, const StoredDocument& document);
  // Stores `data`, the document's bytes from `offset` on.
  absl::Status AddBytes(std::int64_t ordinal, ByteOffset offset, std::string_view data);
  // Saves what of a document can change: size, seal and policy.
  absl::Status SaveDocument(std::int64_t ordinal, const StoredDocument& document, absl::Time update_time);

  // The document's bytes from `begin` to the end of the chunk that holds it, at least one; 0 <= begin < document.size.
  absl::StatusOr<std::string> ReadChunk(std::int64_t ordinal, const StoredDocument& document, ByteOffset begin);
  // The document's bytes begin <= i < end, end <= document.size.
  absl::StatusOr<std::string> ReadBytes(std::int64_t ordinal, const StoredDocument& document, ByteOffset begin,
                                        ByteOffset end);

 private:
  SessionStore(Database database, SessionId id) : database_(std::move(database)), id_(std::move(id)) {}

  absl::Status CheckFormat();
  absl::Status Migrate();
  absl::StatusOr<std::vector<SnapshotInfo>> LoadSnapshots();
  absl::StatusOr<std::vector<std::string>> LoadBases();
  // The bytes of this database or base from `begin` to the end of their chunk; empty when it does not have them.
  absl::StatusOr<std::string> FindChunk(Database& database, std::int64_t ordinal, const StoredDocument& document,
                                        ByteOffset begin) const;
  absl::Status LoadSession(StoredSession* session);
  absl::Status LoadDocuments(StoredSession* session);
  absl::Status DamagedSession(const std::string& what) const;
  absl::Status Damaged(const StoredDocument& document, ByteOffset begin, ByteOffset end, const std::string& what) const;

  Database database_;
  std::vector<Database> bases_;  // the latest first
  SessionId id_;
  std::int64_t format_ = 0;  // of the database
};

}  // namespace tome::server

#endif  // TOME_SERVER_STORAGE_SESSION_STORE_H_
