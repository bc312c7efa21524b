#include "server/storage/folder_check.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "server/base/errors.h"
#include "server/storage/data_folder.h"
#include "server/storage/session_store.h"
#include "server/storage/snapshot_file.h"

namespace tome::server {
namespace {

// Where the damage of a status ends, so that what follows it is looked at as well.
std::optional<ByteOffset> DamageEnd(const absl::Status& status) {
  const std::optional<ErrorDetails> details = GetErrorDetails(status);
  if (!details || !details->metadata.contains("end")) return std::nullopt;
  const std::string& text = details->metadata.at("end");
  ByteOffset end = 0;
  const auto [last, error] = std::from_chars(text.data(), text.data() + text.size(), end);
  return error == std::errc() && last == text.data() + text.size() ? std::optional(end) : std::nullopt;
}

// Checks one session.
class SessionCheck {
 public:
  SessionCheck(std::string folder, SessionId id, FolderReport* report)
      : folder_(std::move(folder)), id_(std::move(id)), report_(report) {}

  void Run() {
    ++report_->sessions;
    absl::StatusOr<SessionStore> store = SessionStore::Open(DatabasePathIn(folder_), id_);
    if (!store.ok()) return Tell(store.status());
    if (const absl::Status status = store->CheckIntegrity(); !status.ok()) Tell(status);
    const absl::StatusOr<StoredSession> session = store->Load();
    if (!session.ok()) return Tell(session.status());
    for (std::size_t i = 0; i < session->documents.size(); ++i) CheckDocument(*store, i, session->documents[i]);
    for (const SnapshotInfo& snapshot : session->snapshots) {
      const absl::Status status = CheckSnapshot(snapshot);
      if (status.ok()) ++report_->snapshots;
      if (!status.ok()) Tell(Annotate(status, fmt::format("snapshot {}", snapshot.number)));
    }
  }

 private:
  void Tell(const absl::Status& status) { report_->problems.push_back({id_, std::string(status.message())}); }

  void CheckDocument(SessionStore& store, std::size_t ordinal, const StoredDocument& document) {
    ++report_->documents;
    for (ByteOffset at = 0; at < document.size;) {
      const absl::StatusOr<std::string> chunk = store.ReadChunk(static_cast<std::int64_t>(ordinal), document, at);
      if (chunk.ok()) {
        at += chunk->size();
        report_->document_bytes += chunk->size();
        continue;
      }
      Tell(chunk.status());
      at = std::max(at + 1, DamageEnd(chunk.status()).value_or(document.size));
    }
  }

  absl::Status CheckSnapshot(const SnapshotInfo& snapshot) {
    const std::string path = SnapshotPathIn(folder_, snapshot.number);
    TOME_ASSIGN_OR_RETURN(const auto reader, SnapshotReader::Open(FileSystem::Real(), path));
    if (reader->digest() != snapshot.digest) {
      return DataLoss("{}: its digest is {}, not {} as registered", path, reader->digest(), snapshot.digest);
    }
    return reader->CheckRest();
  }

  const std::string folder_;
  const SessionId id_;
  FolderReport* report_;
};

}  // namespace

absl::StatusOr<FolderReport> CheckDataFolder(const std::string& path) {
  TOME_ASSIGN_OR_RETURN(const std::unique_ptr<DataFolder> folder, DataFolder::OpenToCheck(path));
  TOME_ASSIGN_OR_RETURN(std::vector<std::string> names, folder->ListEntries());
  std::sort(names.begin(), names.end());
  FolderReport report;
  for (const std::string& name : names) {
    if (IsSessionId(name)) {
      SessionCheck(folder->SessionPath(name), name, &report).Run();
    } else if (!DataFolder::IsLeftover(name)) {
      report.problems.push_back({Quote(name), "this is no session's folder"});
    }
  }
  return report;
}

}  // namespace tome::server
