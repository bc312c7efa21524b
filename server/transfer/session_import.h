// A session made of a bundle.
#ifndef TOME_SERVER_TRANSFER_SESSION_IMPORT_H_
#define TOME_SERVER_TRANSFER_SESSION_IMPORT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/utf8.h"
#include "engine/engine.h"
#include "server/base/options.h"
#include "server/scheduling/clock.h"
#include "server/storage/bundle.h"
#include "server/storage/data_folder.h"
#include "server/storage/file_system.h"
#include "server/storage/session_store.h"

namespace tome::server {

// What all imports share.
struct ImportContext {
  const SessionManagerOptions& options;
  const Model& model;
  DataFolder& folder;
  FileSystem& files;
  const Clock& clock;
};

// Writes the parts of a bundle into a folder that nobody sees before Finish, as they come and whatever sizes it
// announces. No name in the bundle becomes that of a file but the session's id, which has a checked shape. Dropping it
// before Finish removes the folder. All calls wait for the disk. Not thread-safe.
class SessionImport final : private BundleSink {
 public:
  // Says that the id will be used, or why it cannot be.
  using ClaimId = std::function<absl::Status(const SessionId& id)>;

  // `id`: empty for the one in the bundle.
  SessionImport(std::shared_ptr<const ImportContext> context, SessionId id, ClaimId claim);
  ~SessionImport() override;

  // DATA_LOSS/ARCHIVE_DAMAGED; INVALID_ARGUMENT/ARCHIVE_CONTENT for what no session can have; errors of `claim` and of
  // the disk.
  absl::Status Take(std::string_view bytes);
  // The session is there now, durably.
  absl::StatusOr<StoredSession> Finish();

 private:
  absl::Status OnSession(StoredSession session) override;
  absl::Status OnDocument(const StoredDocument& document) override;
  absl::Status OnDocumentBytes(std::string_view bytes) override;
  absl::Status OnSnapshot(const SnapshotInfo& snapshot) override;
  absl::Status OnSnapshotBytes(std::string_view bytes) override;

  absl::Status CheckSession(const StoredSession& session) const;
  // Stores the bytes that wait, and what is now known of their document.
  absl::Status Flush();
  absl::Status EndDocument();
  absl::Status CheckSnapshot();
  std::string SnapshotPath() const;

  const std::shared_ptr<const ImportContext> context_;
  const ClaimId claim_;
  BundleReader reader_;
  SessionId id_;
  std::string folder_;  // empty before it is made, and once it is a session's
  StoredSession session_;
  std::optional<SessionStore> store_;
  Utf8Validator validator_;
  std::string waiting_;       // bytes of the last document
  std::uint64_t stored_ = 0;  // bytes of it that are stored
  std::optional<SnapshotInfo> snapshot_;
  std::unique_ptr<OutputFile> snapshot_file_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_TRANSFER_SESSION_IMPORT_H_
