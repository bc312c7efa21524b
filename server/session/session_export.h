// The archive of a session as it is at one moment.
#ifndef TOME_SERVER_SESSION_SESSION_EXPORT_H_
#define TOME_SERVER_SESSION_SESSION_EXPORT_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/base/digest.h"
#include "server/session/file_system.h"
#include "server/session/session_archive.h"
#include "server/session/session_store.h"

namespace tome::server {

// Not thread-safe.
class SessionExport {
 public:
  // `session`: documents and metadata that are told, its snapshots are not. `snapshot`: the file of `info`, or null.
  SessionExport(StoredSession session, const SnapshotInfo& info, std::unique_ptr<InputFile> snapshot);

  // The next bytes, little more than kMaxArchiveFrame; empty when there are no more. DATA_LOSS/STORED_DATA_DAMAGED when
  // what is stored is damaged. Waits for the disk.
  absl::StatusOr<std::string> Next(SessionStore& store);

 private:
  absl::StatusOr<std::string> NextOfDocument(SessionStore& store);
  absl::StatusOr<std::string> NextOfSnapshot();

  enum class Part { kBegin, kDocuments, kSnapshot, kNone };

  const StoredSession session_;
  const SnapshotInfo info_;
  const std::unique_ptr<InputFile> snapshot_;
  ArchiveWriter writer_;
  Sha256 digest_;  // of the snapshot
  Part part_ = Part::kBegin;
  std::size_t document_ = 0;  // that comes next
  bool begun_ = false;        // its frame is out, or that of the snapshot
  std::uint64_t offset_ = 0;  // of its bytes
};

}  // namespace tome::server

#endif  // TOME_SERVER_SESSION_SESSION_EXPORT_H_
