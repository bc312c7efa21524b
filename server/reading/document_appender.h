// The rules of Append: which message may be stored, and where. Those of google.bytestream.Write, the order of a
// session's documents and the UTF-8 policy.
#ifndef TOME_SERVER_READING_DOCUMENT_APPENDER_H_
#define TOME_SERVER_READING_DOCUMENT_APPENDER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/text_encoding.h"
#include "engine/base/utf8.h"
#include "server/base/types.h"
#include "server/storage/session_store.h"

namespace tome::server {

// Applies the messages of one session in batches, a transaction each:
//   Begin(store); Apply(...); Apply(...); Commit() or Rollback().
// Not thread-safe; waits for the disk.
class DocumentAppender {
 public:
  DocumentAppender(SessionId id, std::vector<StoredDocument> documents, std::int64_t max_documents);

  // `store` outlives the batch.
  absl::Status Begin(SessionStore* store);

  // Takes one message. An error of the message (see errors.h) changes nothing, and the batch goes on. An error of the
  // disk spoils the batch: Commit will fail with it.
  absl::StatusOr<WriteResult> Apply(const std::string& document, Utf8Policy policy, const WriteRequest& request,
                                    absl::Time now);

  // Makes the batch durable. After an error, and after Rollback, the documents are as before Begin.
  absl::Status Commit();
  void Rollback();

  // With what Apply did since Begin.
  const std::vector<StoredDocument>& documents() const { return documents_; }
  // New bytes of this batch.
  std::uint64_t batch_bytes() const { return batch_bytes_; }

 private:
  absl::Status CheckNewDocument(const std::string& name) const;
  absl::Status CheckRepeat(std::size_t ordinal, const WriteRequest& request);
  // The UTF-8 state after the message; an error when the message may not be stored.
  absl::StatusOr<Utf8Validator> CheckUtf8(std::size_t ordinal, const StoredDocument& document,
                                          const WriteRequest& request);
  // What is known of the document's first bytes after the message; an error when they are no UTF-8 whatever the policy.
  absl::StatusOr<ForeignTextDetector> CheckEncoding(std::size_t ordinal, const StoredDocument& document,
                                                    std::string_view news);
  absl::Status ForeignTextError(const StoredDocument& document, ForeignText kind) const;
  // Makes or changes the document, whose bytes `news` follow those it has.
  absl::Status Store(std::size_t ordinal, StoredDocument document, std::string_view news, absl::Time now);
  absl::Status Flush();
  absl::StatusOr<Utf8Validator> ValidatorAtEnd(std::size_t ordinal);
  absl::StatusOr<ForeignTextDetector> DetectorAtEnd(std::size_t ordinal);
  // The stored bytes of a document from `begin` on, up to `end`.
  absl::StatusOr<std::string> ReadStored(std::size_t ordinal, ByteOffset begin, ByteOffset end);
  absl::Status Mismatch(const StoredDocument& document, const WriteRequest& request) const;
  absl::Status Error(absl::StatusCode code, const std::string& message, const std::string& reason,
                     const StoredDocument& document) const;
  // Remembers an error of the disk.
  absl::Status Spoil(absl::Status status);

  const SessionId id_;
  const std::int64_t max_documents_;
  std::vector<StoredDocument> documents_;
  // Of the last document's bytes; empty until they are needed after a start.
  std::optional<Utf8Validator> validator_;
  std::optional<ForeignTextDetector> detector_;

  // Of the running batch.
  SessionStore* store_ = nullptr;
  std::optional<Transaction> transaction_;
  absl::Status spoiled_;
  std::uint64_t batch_bytes_ = 0;
  std::string staged_;  // bytes of the last document that are not yet in a chunk
  ByteOffset staged_begin_ = 0;
  std::size_t staged_ordinal_ = 0;
  std::size_t documents_before_ = 0;           // how many there were
  std::optional<StoredDocument> last_before_;  // the last of them: only it can change
  std::optional<Utf8Validator> validator_before_;
  std::optional<ForeignTextDetector> detector_before_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_READING_DOCUMENT_APPENDER_H_
