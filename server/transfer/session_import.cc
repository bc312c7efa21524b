#include "server/transfer/session_import.h"

#include <algorithm>
#include <utility>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "server/base/errors.h"
#include "server/base/names.h"
#include "server/reading/session_memory.h"
#include "server/storage/failpoint.h"
#include "server/storage/snapshot_file.h"

namespace tome::server {
namespace {

constexpr std::size_t kFlushBytes = std::size_t{4} << 20;

absl::Status ContentError(const std::string& what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "the bundle cannot become a session here: " + what,
                   {.reason = "ARCHIVE_CONTENT"});
}

bool IsDisplayName(std::string_view name) {
  return IsValidUtf8(name) && NumCharacters(name) <= kMaxDisplayNameCharacters;
}

bool IsLabel(std::string_view key, std::string_view value) {
  return IsLabelKey(key) && value.size() <= kMaxLabelValueBytes && IsValidUtf8(value);
}

}  // namespace

SessionImport::SessionImport(std::shared_ptr<const ImportContext> context, SessionId id, ClaimId claim)
    : context_(std::move(context)), claim_(std::move(claim)), reader_(*this), id_(std::move(id)) {}

SessionImport::~SessionImport() {
  store_.reset();
  snapshot_file_.reset();
  if (!folder_.empty()) context_->folder.AbandonAdd(id_);
}

absl::Status SessionImport::Take(std::string_view bytes) { return reader_.Take(bytes); }

absl::Status SessionImport::CheckSession(const StoredSession& session) const {
  if (!IsSessionId(id_))
    return ContentError(
        fmt::format("expected an id of {}, found {}; import it with another id", kSessionIdRule, Quote(id_)));
  if (!IsDisplayName(session.display_name))
    return ContentError(fmt::format("expected a display name of at most {} characters of UTF-8, found {}",
                                    kMaxDisplayNameCharacters, Quote(session.display_name)));
  if (session.labels.size() > kMaxLabels) {
    return ContentError(fmt::format("expected at most {} labels, found {}", kMaxLabels, session.labels.size()));
  }
  for (const auto& [key, value] : session.labels) {
    if (!IsLabel(key, value))
      return ContentError(fmt::format("expected a label's key and value as UpdateSession takes them, found {} = {}",
                                      Quote(key), Quote(value)));
  }
  if (session.time_to_live != absl::ZeroDuration() &&
      (session.time_to_live < kMinTimeToLive || session.time_to_live > kMaxTimeToLive)) {
    return ContentError(fmt::format("expected no time to live, or one from {} to {}, found {}",
                                    absl::FormatDuration(kMinTimeToLive), absl::FormatDuration(kMaxTimeToLive),
                                    absl::FormatDuration(session.time_to_live)));
  }
  const absl::Status options = ValidateMemoryOptions(session.options, context_->model.info().config);
  if (!options.ok())
    return ContentError("this server's model cannot read it with its options: " + std::string(options.message()));
  const std::size_t needed = MaxResidentBytes(context_->model, session.options);
  if (needed <= context_->options.max_state_bytes) return absl::OkStatus();
  return ContentError(
      fmt::format("its attention state can take {} bytes of memory, but the server allows {} for all "
                  "(--max-resident-bytes)",
                  needed, context_->options.max_state_bytes));
}

absl::Status SessionImport::OnSession(StoredSession session) {
  if (id_.empty()) id_ = session.id;
  TOME_RETURN_IF_ERROR(CheckSession(session));
  TOME_RETURN_IF_ERROR(claim_(id_));
  session_ = std::move(session);
  session_.id = id_;
  session_.update_time = session_.last_use_time = context_->clock.NowInMicroseconds();
  TOME_ASSIGN_OR_RETURN(folder_, context_->folder.BeginAdd(id_));
  TOME_RETURN_IF_ERROR(SessionStore::Create(DatabasePathIn(folder_), session_));
  TOME_ASSIGN_OR_RETURN(SessionStore store, SessionStore::Open(DatabasePathIn(folder_), id_));
  store_.emplace(std::move(store));
  return absl::OkStatus();
}

absl::Status SessionImport::OnDocument(const StoredDocument& document) {
  TOME_RETURN_IF_ERROR(EndDocument());
  if (static_cast<std::int64_t>(session_.documents.size()) >= context_->options.max_documents) {
    return MakeError(absl::StatusCode::kResourceExhausted,
                     fmt::format("the bundle has more than {} documents, the most that are allowed here",
                                 context_->options.max_documents),
                     {.reason = "DOCUMENT_LIMIT", .metadata = {{"session", id_}}});
  }
  const bool known = std::any_of(session_.documents.begin(), session_.documents.end(),
                                 [&](const StoredDocument& other) { return other.name == document.name; });
  if (known || !IsValidUtf8(document.name) || !IsDocumentName(document.name)) {
    return ContentError(fmt::format("expected {}, found one of the name {}",
                                    known ? "documents of different names" : "a document's name as Append takes it",
                                    Quote(document.name)));
  }
  if (!session_.documents.empty() && !session_.documents.back().sealed) {
    return ContentError(fmt::format("document {} follows one that is not sealed", Quote(document.name)));
  }
  session_.documents.push_back(document);
  validator_ = Utf8Validator();
  stored_ = 0;
  StoredDocument empty = document;
  empty.size = 0;
  return store_->AddDocument(static_cast<std::int64_t>(session_.documents.size()) - 1, empty);
}

absl::Status SessionImport::OnDocumentBytes(std::string_view bytes) {
  const StoredDocument& document = session_.documents.back();
  if (document.invalid_utf8 == Utf8Policy::kRefuse && !validator_.Append(bytes)) {
    return ContentError(fmt::format("document {} is not UTF-8 at byte {}", Quote(document.name),
                                    validator_.error_offset().value_or(0)));
  }
  waiting_ += bytes;
  return waiting_.size() < kFlushBytes ? absl::OkStatus() : Flush();
}

absl::Status SessionImport::Flush() {
  const auto ordinal = static_cast<std::int64_t>(session_.documents.size()) - 1;
  TOME_ASSIGN_OR_RETURN(Transaction transaction, store_->Begin());
  TOME_RETURN_IF_ERROR(store_->AddBytes(ordinal, stored_, waiting_));
  stored_ += waiting_.size();
  waiting_.clear();
  StoredDocument document = session_.documents.back();
  document.size = stored_;
  TOME_RETURN_IF_ERROR(store_->SaveDocument(ordinal, document, session_.update_time));
  return transaction.Commit();
}

absl::Status SessionImport::EndDocument() {
  if (session_.documents.empty()) return absl::OkStatus();
  const StoredDocument& document = session_.documents.back();
  if (document.sealed && document.invalid_utf8 == Utf8Policy::kRefuse && !validator_.Finish()) {
    return ContentError(fmt::format("document {} ends within a character", Quote(document.name)));
  }
  return Flush();
}

std::string SessionImport::SnapshotPath() const { return SnapshotPathIn(folder_, snapshot_->number); }

absl::Status SessionImport::OnSnapshot(const SnapshotInfo& snapshot) {
  TOME_RETURN_IF_ERROR(EndDocument());
  snapshot_ = snapshot;
  TOME_ASSIGN_OR_RETURN(snapshot_file_, context_->files.Create(SnapshotPath()));
  return absl::OkStatus();
}

absl::Status SessionImport::OnSnapshotBytes(std::string_view bytes) { return WriteAll(*snapshot_file_, bytes); }

absl::Status SessionImport::CheckSnapshot() {
  TOME_RETURN_IF_ERROR(snapshot_file_->Sync());
  snapshot_file_.reset();
  const absl::StatusOr<std::unique_ptr<SnapshotReader>> reader = SnapshotReader::Open(context_->files, SnapshotPath());
  const absl::Status status = reader.ok() ? (*reader)->CheckRest() : reader.status();
  // Another version is as good as none: the session says so when it is used, and can be read again.
  if (absl::IsFailedPrecondition(status)) return absl::OkStatus();
  if (status.ok() && (*reader)->digest() != snapshot_->digest)
    return BundleDamaged("its snapshot has another digest than was announced");
  if (status.ok() && ((*reader)->header().ingested_bytes != snapshot_->ingested_bytes ||
                      (*reader)->header().ingested_tokens != snapshot_->ingested_tokens)) {
    return BundleDamaged("its snapshot has read other bytes than was announced");
  }
  const bool damaged = absl::IsDataLoss(status) && !IsStorageFailure(status);
  return damaged ? BundleDamaged("its snapshot does not verify") : status;
}

absl::StatusOr<StoredSession> SessionImport::Finish() {
  TOME_RETURN_IF_ERROR(reader_.Finish());
  if (snapshot_) {
    TOME_RETURN_IF_ERROR(CheckSnapshot());
    TOME_RETURN_IF_ERROR(store_->AddSnapshot(*snapshot_, 1).status());
    session_.snapshots = {*snapshot_};
  } else {
    TOME_RETURN_IF_ERROR(EndDocument());
  }
  store_.reset();
  Failpoint("import.written");
  folder_.clear();
  TOME_RETURN_IF_ERROR(context_->folder.EndAdd(id_));
  return session_;
}

}  // namespace tome::server
