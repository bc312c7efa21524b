// The bundle of a session as it is at one moment.
#ifndef TOME_SERVER_TRANSFER_SESSION_EXPORT_H_
#define TOME_SERVER_TRANSFER_SESSION_EXPORT_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/base/digest.h"
#include "server/storage/bundle.h"
#include "server/storage/file_system.h"
#include "server/storage/session_store.h"

namespace tome::server {

// What of a session is in its bundle: its metadata, its documents as far as they go, and at most one snapshot.
// Documents only grow, so this and the stored bytes make the same bundle at any later time.
//
// Takes all documents, and the newest snapshot if one is wanted.
StoredSession BundledNow(StoredSession session, bool with_snapshot);
// Opaque: how far the documents went, which snapshot it was, and a digest of the rest.
std::string BundleName(const StoredSession& bundled);
// The same part of a session that was named before. ABORTED/BUNDLE_CHANGED when it is not there any more;
// INVALID_ARGUMENT/BUNDLE_NAME for what BundleName never returns.
absl::StatusOr<StoredSession> BundledAs(StoredSession session, const std::string& name);

// Not thread-safe.
class SessionExport {
 public:
  // `snapshot`: the file of the one in `bundled`, or null.
  SessionExport(StoredSession bundled, std::unique_ptr<InputFile> snapshot);

  std::string bundle() const { return BundleName(session_); }

  // The next bytes, little more than kMaxBundleFrame; empty when there are no more. DATA_LOSS/STORED_DATA_DAMAGED when
  // what is stored is damaged. Waits for the disk.
  absl::StatusOr<std::string> Next(SessionStore& store);

 private:
  absl::StatusOr<std::string> NextOfDocument(SessionStore& store);
  absl::StatusOr<std::string> NextOfSnapshot();

  enum class Part { kBegin, kDocuments, kSnapshot, kNone };

  const StoredSession session_;
  const SnapshotInfo info_;
  const std::unique_ptr<InputFile> snapshot_;
  BundleWriter writer_;
  Sha256 digest_;  // of the snapshot
  Part part_ = Part::kBegin;
  std::size_t document_ = 0;  // that comes next
  bool begun_ = false;        // its frame is out, or that of the snapshot
  std::uint64_t offset_ = 0;  // of its bytes
};

}  // namespace tome::server

#endif  // TOME_SERVER_TRANSFER_SESSION_EXPORT_H_
