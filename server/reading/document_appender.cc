#include "server/reading/document_appender.h"

#include <algorithm>
#include <utility>

#include "engine/base/crc32c.h"
#include "engine/base/status.h"
#include "server/base/errors.h"
#include "server/storage/failpoint.h"

namespace tome::server {

DocumentAppender::DocumentAppender(SessionId id, std::vector<StoredDocument> documents, std::int64_t max_documents)
    : id_(std::move(id)), max_documents_(max_documents), documents_(std::move(documents)) {}

absl::Status DocumentAppender::Begin(SessionStore* store) {
  store_ = store;
  spoiled_ = absl::OkStatus();
  batch_bytes_ = 0;
  documents_before_ = documents_.size();
  last_before_ = documents_.empty() ? std::nullopt : std::optional(documents_.back());
  validator_before_ = validator_;
  detector_before_ = detector_;
  TOME_ASSIGN_OR_RETURN(Transaction transaction, store->Begin());
  transaction_.emplace(std::move(transaction));
  return absl::OkStatus();
}

absl::StatusOr<WriteResult> DocumentAppender::Apply(const std::string& name, Utf8Policy policy,
                                                    const WriteRequest& request, absl::Time now) {
  TOME_RETURN_IF_ERROR(spoiled_);
  auto found = std::find_if(documents_.rbegin(), documents_.rend(),
                            [&](const StoredDocument& document) { return document.name == name; });
  const bool is_new = found == documents_.rend();
  const StoredDocument document =
      is_new ? StoredDocument{.name = name, .invalid_utf8 = policy, .create_time = now} : *found;
  const std::size_t ordinal = is_new ? documents_.size() : documents_.rend() - found - 1;

  if (request.crc32c && *request.crc32c != Crc32c(request.data)) {
    return MakeError(
        absl::StatusCode::kDataLoss,
        fmt::format("the message's data has CRC32C {:#010x}, but crc32c says {:#010x}", Crc32c(request.data),
                    *request.crc32c),
        {.reason = "CHECKSUM_MISMATCH",
         .metadata = {{"session", id_}, {"document", name}, {"write_offset", std::to_string(request.offset)}}});
  }
  if (document.invalid_utf8 == Utf8Policy::kReplace && policy == Utf8Policy::kRefuse) {
    return Error(
        absl::StatusCode::kInvalidArgument,
        fmt::format("document '{}' was begun with invalid UTF-8 being replaced, which cannot be taken back", name),
        "UTF8_POLICY_MISMATCH", document);
  }
  if (is_new) TOME_RETURN_IF_ERROR(CheckNewDocument(name));
  if (request.offset > document.size) return Mismatch(document, request);
  if (request.offset < document.size) TOME_RETURN_IF_ERROR(CheckRepeat(ordinal, request));
  const std::string_view news = request.offset == document.size ? std::string_view(request.data) : std::string_view();
  if (document.sealed && !news.empty()) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 fmt::format("document '{}' is sealed at {} bytes", name, document.size), "DOCUMENT_SEALED", document);
  }
  if (request.finish && request.offset + request.data.size() != document.size + news.size()) {
    return Mismatch(document, request);
  }
  if (!document.sealed && (is_new || !news.empty() || request.finish || policy != document.invalid_utf8)) {
    StoredDocument changed = document;
    changed.invalid_utf8 = policy;
    changed.sealed = request.finish;
    TOME_ASSIGN_OR_RETURN(const ForeignTextDetector detector, CheckEncoding(ordinal, changed, news));
    TOME_ASSIGN_OR_RETURN(const Utf8Validator validator, CheckUtf8(ordinal, changed, request));
    changed.size += news.size();
    TOME_RETURN_IF_ERROR(Store(ordinal, std::move(changed), news, now));
    validator_ = validator;
    detector_ = detector;
  }
  return WriteResult{.durable_offset = documents_[ordinal].size, .sealed = documents_[ordinal].sealed};
}

absl::Status DocumentAppender::CheckNewDocument(const std::string& name) const {
  if (!documents_.empty() && !documents_.back().sealed) {
    const StoredDocument& last = documents_.back();
    return Error(absl::StatusCode::kFailedPrecondition,
                 fmt::format("document '{}' cannot begin: document '{}' before it is not finished", name, last.name),
                 "DOCUMENT_UNFINISHED", last);
  }
  if (static_cast<std::int64_t>(documents_.size()) >= max_documents_) {
    return MakeError(absl::StatusCode::kResourceExhausted,
                     fmt::format("session {} has {} documents, the most that are allowed", id_, documents_.size()),
                     {.reason = "DOCUMENT_LIMIT", .metadata = {{"session", id_}}});
  }
  return absl::OkStatus();
}

absl::Status DocumentAppender::CheckRepeat(std::size_t ordinal, const WriteRequest& request) {
  const StoredDocument& document = documents_[ordinal];
  if (request.data.size() > document.size - request.offset) return Mismatch(document, request);
  TOME_RETURN_IF_ERROR(Flush());
  ByteOffset offset = request.offset;
  std::string_view sent = request.data;
  while (!sent.empty()) {
    absl::StatusOr<std::string> chunk = store_->ReadChunk(ordinal, document, offset);
    if (!chunk.ok()) return Spoil(chunk.status());
    const std::string_view stored = std::string_view(*chunk).substr(0, sent.size());
    const auto differs = std::mismatch(stored.begin(), stored.end(), sent.begin()).first;
    if (differs != stored.end()) {
      const ByteOffset at = offset + (differs - stored.begin());
      return MakeError(absl::StatusCode::kAborted,
                       fmt::format("document '{}' has another byte at offset {} than the message at write_offset {}; "
                                   "{} bytes are committed",
                                   document.name, at, request.offset, document.size),
                       {.reason = "CONTENT_MISMATCH",
                        .metadata = {{"session", id_},
                                     {"document", document.name},
                                     {"byte_offset", std::to_string(at)},
                                     {"committed_offset", std::to_string(document.size)}}});
    }
    offset += stored.size();
    sent.remove_prefix(stored.size());
  }
  return absl::OkStatus();
}

absl::StatusOr<Utf8Validator> DocumentAppender::CheckUtf8(std::size_t ordinal, const StoredDocument& document,
                                                          const WriteRequest& request) {
  if (document.invalid_utf8 == Utf8Policy::kReplace) return Utf8Validator(document.size);
  TOME_ASSIGN_OR_RETURN(Utf8Validator validator, ValidatorAtEnd(ordinal));
  const bool good = validator.Append(request.offset == document.size ? request.data : std::string_view()) &&
                    (!document.sealed || validator.Finish());
  if (good) return validator;
  const ByteOffset at = validator.error_offset().value_or(validator.offset());
  return MakeError(
      absl::StatusCode::kInvalidArgument,
      fmt::format("document '{}' is not UTF-8 at byte offset {}; {} bytes are committed. Convert it if it "
                  "has another encoding (iconv -f ENCODING -t UTF-8), or append it with invalid UTF-8 being "
                  "replaced, if that is wanted",
                  document.name, at, document.size),
      {.reason = "INVALID_UTF8",
       .metadata = {{"session", id_},
                    {"document", document.name},
                    {"byte_offset", std::to_string(at)},
                    {"committed_offset", std::to_string(document.size)}}});
}

absl::StatusOr<ForeignTextDetector> DocumentAppender::CheckEncoding(std::size_t ordinal, const StoredDocument& document,
                                                                    std::string_view news) {
  TOME_ASSIGN_OR_RETURN(ForeignTextDetector detector, DetectorAtEnd(ordinal));
  std::optional<ForeignText> found = detector.Append(news);
  // What is there already was accepted, and can always be sealed.
  if (!found && document.sealed && !news.empty()) found = detector.Finish();
  if (found) return ForeignTextError(document, *found);
  return detector;
}

absl::Status DocumentAppender::ForeignTextError(const StoredDocument& document, ForeignText kind) const {
  const std::string_view encoding = ForeignTextName(kind);
  const std::string what =
      kind == ForeignText::kBinary
          ? "is no text: it is full of NUL bytes. Append the text that is in it"
          : fmt::format("is {} and not UTF-8. Convert it first: iconv -f {} -t UTF-8 FILE", encoding, encoding);
  return MakeError(absl::StatusCode::kInvalidArgument,
                   fmt::format("document '{}' {}; {} bytes are committed", document.name, what, document.size),
                   {.reason = "NOT_UTF8_TEXT",
                    .metadata = {{"session", id_},
                                 {"document", document.name},
                                 {"encoding", std::string(encoding)},
                                 {"committed_offset", std::to_string(document.size)}}});
}

absl::StatusOr<std::string> DocumentAppender::ReadStored(std::size_t ordinal, ByteOffset begin, ByteOffset end) {
  const StoredDocument& document = documents_[ordinal];
  TOME_RETURN_IF_ERROR(Flush());
  absl::StatusOr<std::string> bytes = store_->ReadBytes(static_cast<std::int64_t>(ordinal), document, begin, end);
  if (!bytes.ok()) return Spoil(bytes.status());
  return bytes;
}

absl::StatusOr<ForeignTextDetector> DocumentAppender::DetectorAtEnd(std::size_t ordinal) {
  if (ordinal >= documents_.size() || documents_[ordinal].size == 0) return ForeignTextDetector();
  if (detector_) return *detector_;
  const ByteOffset end = std::min<ByteOffset>(documents_[ordinal].size, ForeignTextDetector::kInspectedBytes);
  TOME_ASSIGN_OR_RETURN(const std::string first, ReadStored(ordinal, 0, end));
  ForeignTextDetector detector;
  detector.Append(first);  // which was accepted
  return detector;
}

absl::StatusOr<Utf8Validator> DocumentAppender::ValidatorAtEnd(std::size_t ordinal) {
  if (ordinal >= documents_.size() || documents_[ordinal].size == 0) return Utf8Validator();
  if (validator_) return *validator_;
  // After a start: what was stored is good, but for a character that may be unfinished within the last three bytes.
  const ByteOffset size = documents_[ordinal].size;
  ByteOffset begin = size - std::min<ByteOffset>(3, size);
  TOME_ASSIGN_OR_RETURN(std::string last, ReadStored(ordinal, begin, size));
  const auto is_continuation = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; };
  while (!last.empty() && is_continuation(last.front())) {
    last.erase(0, 1);
    ++begin;
  }
  Utf8Validator validator(begin);
  validator.Append(last);
  return validator;
}

absl::Status DocumentAppender::Store(std::size_t ordinal, StoredDocument document, std::string_view news,
                                     absl::Time now) {
  if (ordinal == documents_.size()) {
    TOME_RETURN_IF_ERROR(Flush());
    TOME_RETURN_IF_ERROR(Spoil(store_->AddDocument(ordinal, document)));
    documents_.push_back(document);
  }
  if (staged_.empty()) {
    staged_begin_ = document.size - news.size();
    staged_ordinal_ = ordinal;
  }
  staged_ += news;
  batch_bytes_ += news.size();
  documents_[ordinal] = std::move(document);
  return Spoil(store_->SaveDocument(ordinal, documents_[ordinal], now));
}

absl::Status DocumentAppender::Flush() {
  if (staged_.empty()) return absl::OkStatus();
  const std::string bytes = std::exchange(staged_, {});
  return Spoil(store_->AddBytes(staged_ordinal_, staged_begin_, bytes));
}

absl::Status DocumentAppender::Commit() {
  absl::Status status = spoiled_;
  if (status.ok()) status = Flush();
  Failpoint("append.before_commit");
  if (status.ok()) status = transaction_->Commit();
  if (!status.ok()) {
    Rollback();
    return status;
  }
  Failpoint("append.after_commit");
  transaction_.reset();
  return absl::OkStatus();
}

void DocumentAppender::Rollback() {
  staged_.clear();
  transaction_.reset();
  documents_.resize(documents_before_);
  if (last_before_) documents_.back() = *last_before_;
  validator_ = validator_before_;
  detector_ = detector_before_;
  batch_bytes_ = 0;
}

absl::Status DocumentAppender::Mismatch(const StoredDocument& document, const WriteRequest& request) const {
  return Error(
      absl::StatusCode::kAborted,
      fmt::format("document '{}': write_offset {} with {} bytes{} does not fit the committed offset {}", document.name,
                  request.offset, request.data.size(), request.finish ? " and finish" : "", document.size),
      "OFFSET_MISMATCH", document);
}

absl::Status DocumentAppender::Error(absl::StatusCode code, const std::string& message, const std::string& reason,
                                     const StoredDocument& document) const {
  return MakeError(
      code, message,
      {.reason = reason,
       .metadata = {
           {"session", id_}, {"document", document.name}, {"committed_offset", std::to_string(document.size)}}});
}

absl::Status DocumentAppender::Spoil(absl::Status status) {
  if (!status.ok() && spoiled_.ok()) spoiled_ = status;
  return status;
}

}  // namespace tome::server
