#include "server/transfer/session_export.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "engine/base/status.h"
#include "server/base/errors.h"
#include "server/storage/snapshot_file.h"

namespace tome::server {
namespace {

constexpr std::size_t kDigestCharacters = 32;

// How far the documents of a bundle go, and its snapshot.
struct Extent {
  std::uint64_t documents = 0;
  std::uint64_t last_size = 0;
  std::uint64_t last_sealed = 0;
  std::uint64_t snapshot = 0;  // its number; 0: none
};

std::optional<Extent> ParseExtent(const std::string& name) {
  const std::vector<std::string> parts = absl::StrSplit(name, '-');
  Extent extent;
  std::uint64_t* const numbers[] = {&extent.documents, &extent.last_size, &extent.last_sealed, &extent.snapshot};
  if (parts.size() != std::size(numbers) + 1) return std::nullopt;
  for (std::size_t i = 0; i < std::size(numbers); ++i) {
    const char* const end = parts[i].data() + parts[i].size();
    const auto [parsed, error] = std::from_chars(parts[i].data(), end, *numbers[i]);
    if (error != std::errc() || parsed != end) return std::nullopt;
  }
  return extent;
}

absl::Status BundleChanged(const SessionId& id) {
  return MakeError(absl::StatusCode::kAborted,
                   fmt::format("session {} cannot give the rest of this bundle: its metadata were changed, or the "
                               "snapshot in it was replaced; begin the export anew",
                               id),
                   {.reason = "BUNDLE_CHANGED", .metadata = {{"session", id}}});
}

}  // namespace

StoredSession BundledNow(StoredSession session, bool with_snapshot) {
  session.snapshots.resize(with_snapshot ? std::min<std::size_t>(session.snapshots.size(), 1) : 0);
  return session;
}

std::string BundleName(const StoredSession& bundled) {
  BundleWriter writer;
  Sha256 digest;
  digest.Update(writer.Begin(bundled));
  for (const StoredDocument& document : bundled.documents) digest.Update(writer.Document(document));
  for (const SnapshotInfo& snapshot : bundled.snapshots) digest.Update(writer.Snapshot(snapshot));
  const StoredDocument last = bundled.documents.empty() ? StoredDocument() : bundled.documents.back();
  return fmt::format("{}-{}-{}-{}-{}", bundled.documents.size(), last.size, last.sealed ? 1 : 0,
                     bundled.snapshots.empty() ? 0 : bundled.snapshots.front().number,
                     digest.FinishHex().substr(0, kDigestCharacters));
}

absl::StatusOr<StoredSession> BundledAs(StoredSession session, const std::string& name) {
  const std::optional<Extent> extent = ParseExtent(name);
  if (!extent) {
    return MakeError(absl::StatusCode::kInvalidArgument,
                     "bundle: expected what an ExportSessionResponse said, found something else",
                     {.reason = "BUNDLE_NAME", .metadata = {{"field", "bundle"}}});
  }
  if (session.documents.size() < extent->documents) return BundleChanged(session.id);
  session.documents.resize(extent->documents);
  if (!session.documents.empty()) {
    StoredDocument& last = session.documents.back();
    if (last.size < extent->last_size) return BundleChanged(session.id);
    last.size = extent->last_size;
    last.sealed = extent->last_sealed != 0;
  }
  std::erase_if(session.snapshots, [&](const SnapshotInfo& snapshot) { return snapshot.number != extent->snapshot; });
  if (BundleName(session) != name) return BundleChanged(session.id);
  return session;
}

SessionExport::SessionExport(StoredSession bundled, std::unique_ptr<InputFile> snapshot)
    : session_(std::move(bundled)),
      info_(session_.snapshots.empty() ? SnapshotInfo() : session_.snapshots.front()),
      snapshot_(std::move(snapshot)) {}

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
    const ByteOffset end = std::min<ByteOffset>(document.size, offset_ + kMaxBundleFrame);
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
  const std::uint64_t size = std::min<std::uint64_t>(kMaxBundleFrame, info_.size_bytes - offset_);
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
