#include "server/session/session_export.h"

#include <algorithm>
#include <utility>

#include "engine/base/status.h"
#include "server/session/errors.h"
#include "server/session/snapshot_file.h"

namespace tome::server {
SessionExport::SessionExport(StoredSession session, const SnapshotInfo& info, std::unique_ptr<InputFile> snapshot)
    : session_(std::move(session)), info_(info), snapshot_(std::move(snapshot)) {}

absl::StatusOr<std::string> SessionExport::Next(SessionStore& store) {
  switch (part_) {
    case Part::kBegin:
      part_ = Part::kDocuments;
      return writer_.Begin(session_);
    case Part::kDocuments:
      if (document_ < session_.documents.size()) return NextOfDocument(store);
      part_ = Part::kSnapshot;
      [[fallthrough]];
    case Part::kSnapshot:
      if (snapshot_ != nullptr && (!begun_ || offset_ < info_.size_bytes)) return NextOfSnapshot();
      part_ = Part::kNone;
      return writer_.End();
    case Part::kNone:
      break;
  }
  return std::string();
}

absl::StatusOr<std::string> SessionExport::NextOfDocument(SessionStore& store) {
  const StoredDocument& document = session_.documents[document_];
  std::string bytes;
  if (!std::exchange(begun_, true)) bytes = writer_.Document(document);
  if (offset_ < document.size) {
    const ByteOffset end = std::min<ByteOffset>(document.size, offset_ + kMaxArchiveFrame);
    TOME_ASSIGN_OR_RETURN(const std::string piece,
                          store.ReadBytes(static_cast<std::int64_t>(document_), document, offset_, end));
    offset_ = end;
    bytes += writer_.Bytes(piece);
  }
  if (offset_ == document.size) {
    ++document_;
    begun_ = false;
    offset_ = 0;
  }
  return bytes;
}

absl::StatusOr<std::string> SessionExport::NextOfSnapshot() {
  std::string bytes;
  if (!std::exchange(begun_, true)) bytes = writer_.Snapshot(info_);
  const std::uint64_t size = std::min<std::uint64_t>(kMaxArchiveFrame, info_.size_bytes - offset_);
  std::string piece(size, '\0');
  TOME_RETURN_IF_ERROR(snapshot_->Read(offset_, piece.data(), piece.size()));
  // Its last bytes are the digest of those before.
  const std::uint64_t end = info_.size_bytes - std::min<std::uint64_t>(kSnapshotDigestBytes, info_.size_bytes);
  if (offset_ < end) digest_.Update(std::string_view(piece).substr(0, end - offset_));
  offset_ += size;
  if (offset_ == info_.size_bytes && digest_.FinishHex() != info_.digest) {
    return MakeError(
        absl::StatusCode::kDataLoss,
        fmt::format("session {}: snapshot {} is damaged; export the session without it", session_.id, info_.number),
        {.reason = "STORED_DATA_DAMAGED", .metadata = {{"session", session_.id}}});
  }
  return bytes + writer_.Bytes(piece);
}

}  // namespace tome::server
