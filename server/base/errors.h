// Errors of the session layer: absl::Status values that carry a stable reason, metadata and, where waiting helps, a
// retry delay. The RPC layer turns them into google.rpc.ErrorInfo and RetryInfo; nobody parses messages.
//
// Codes and reasons, with the keys of their metadata:
// - NOT_FOUND: SESSION_NOT_FOUND {session}
// - ALREADY_EXISTS: SESSION_EXISTS {session}
// - ABORTED: OFFSET_MISMATCH {session, document, committed_offset}
// - ABORTED: CONTENT_MISMATCH {session, document, byte_offset, committed_offset}, a repeat that differs
// - ABORTED: SEARCH_CHANGED {field}, more was read since the first page
// - ABORTED: BUNDLE_CHANGED {session}, an export cannot be gone on with
// - FAILED_PRECONDITION: DOCUMENT_SEALED {session, document, committed_offset}
// - FAILED_PRECONDITION: DOCUMENT_NOT_LAST {session, document}, only the last document can be appended to
// - FAILED_PRECONDITION: DOCUMENT_UNFINISHED {session, document}, the document before is not sealed
// - FAILED_PRECONDITION: ETAG_MISMATCH {session, etag}
// - FAILED_PRECONDITION: SESSION_EMPTY {session}, no text, or none that has a token
// - FAILED_PRECONDITION: READING_FAILED {session}, see the session's problem
// - FAILED_PRECONDITION: SNAPSHOT_MISMATCH {session, snapshot, field, found, expected}, of another model or the like
// - FAILED_PRECONDITION: FORK_DEPTH {session}, it cannot be forked again; ARCHIVE_VERSION, of an import
// - FAILED_PRECONDITION: NO_CHAT_TEMPLATE, NO_PROFILE_FORM {field}
// - INVALID_ARGUMENT: INVALID_UTF8 {session, document, byte_offset, committed_offset}
// - INVALID_ARGUMENT: NOT_UTF8_TEXT {session, document, encoding, committed_offset}, UTF-16 and the like
// - INVALID_ARGUMENT: UTF8_POLICY_MISMATCH {session, document}, the document was begun with the other policy
// - INVALID_ARGUMENT: MEMORY_OPTIONS, PAGE_TOKEN, GENERATION_OPTIONS, ANSWER_BUDGET, PROMPT_FORM {field}
// - INVALID_ARGUMENT: LIST_QUERY {field}; BUNDLE_NAME {field}, of an export; ARCHIVE_CONTENT, of an import
// - INVALID_ARGUMENT: QUESTION_TOO_LONG {field, ...}
// - INVALID_ARGUMENT: QUESTION_EMPTY {field}, it says nothing, or the vocabulary has no token for it
// - DATA_LOSS: CHECKSUM_MISMATCH {session, document, write_offset}, of a message
// - DATA_LOSS: ARCHIVE_DAMAGED, of an import
// - DATA_LOSS: STORED_DATA_DAMAGED {session[, document, begin, end]}; DISK_FAILED, the disk cannot read or write
// - RESOURCE_EXHAUSTED: SESSION_LIMIT, DOCUMENT_LIMIT, DISK_FULL; QUESTION_LIMIT (retry delay)
// - UNAVAILABLE: DRAINING, STORAGE_BUSY (retry delay)
// - CANCELLED: CANCELLED, SESSION_DELETED {session}
#ifndef TOME_SERVER_BASE_ERRORS_H_
#define TOME_SERVER_BASE_ERRORS_H_

#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace tome::server {

struct ErrorDetails {
  std::string reason;                           // UPPER_SNAKE_CASE, never changes its meaning
  std::map<std::string, std::string> metadata;  // "committed_offset": "4096"; "field": the request's field at fault
  std::optional<absl::Duration> retry_delay;

  friend bool operator==(const ErrorDetails&, const ErrorDetails&) = default;
};

// An error with details. `code` is not OK.
absl::Status MakeError(absl::StatusCode code, const std::string& message, const ErrorDetails& details);

// `status` with other details put in; the code and the message stay.
absl::Status WithDetails(absl::Status status, const ErrorDetails& details);

// `status` with `to` as the field at fault where that is `from`: for calls that name it otherwise.
absl::Status WithField(absl::Status status, const std::string& from, const std::string& to);

// The details of a status made by MakeError, also after it was annotated; nullopt when it has none.
std::optional<ErrorDetails> GetErrorDetails(const absl::Status& status);

// Whether the storage could not do what it was asked to: DISK_FULL, DISK_FAILED or STORAGE_BUSY. It may another time,
// and what is stored is as it was.
bool IsStorageFailure(const absl::Status& status);

// What an errno of the storage means: a code, and details where there is a reason for them.
absl::Status StorageError(int error, const std::string& message);

}  // namespace tome::server

#endif  // TOME_SERVER_BASE_ERRORS_H_
