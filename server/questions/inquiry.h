// What can be asked of what a session has read: an answer, a search, the score of a text. Each kind is a class in a
// file of its own; QuestionRun leads any of them from its start to its result.
#ifndef TOME_SERVER_QUESTIONS_INQUIRY_H_
#define TOME_SERVER_QUESTIONS_INQUIRY_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "server/base/types.h"
#include "server/reading/resident_state.h"
#include "server/storage/session_store.h"

namespace tome::server {

// What all kinds have in common.
struct InquiryOptions {
  SessionId session_id;
  std::uint64_t wait_for_ingested_bytes = 0;
  bool include_text = false;       // the result has the bytes of its citations
  bool log_probabilities = false;  // the deltas have tokens
};

struct InquiryWork {
  Task task;
  QuestionResult result;  // what is known before the first step
};

// Immutable, so that any thread may use it.
class Inquiry {
 public:
  explicit Inquiry(InquiryOptions options) : options_(std::move(options)) {}
  virtual ~Inquiry() = default;

  const InquiryOptions& options() const { return options_; }

  // "answering", for errors.
  virtual std::string_view name() const = 0;

  // Before it waits for anything: INVALID_ARGUMENT with QUESTION_TOO_LONG, QUESTION_EMPTY, GENERATION_OPTIONS or
  // PAGE_TOKEN. `max_bytes`: of all of its text.
  virtual absl::Status Check(const Tokenizer& tokenizer, std::size_t max_bytes) const = 0;

  // A task over a fork, in which something was read, of a session that stores `documents`.
  // INVALID_ARGUMENT/QUESTION_TOO_LONG, and errors of its kind.
  virtual absl::StatusOr<InquiryWork> Begin(ReadingFork fork, const std::vector<StoredDocument>& documents) const = 0;

  // Adds what the task has found to the result.
  virtual void AddEvidence(const Evidence& /*evidence*/, const std::vector<StoredDocument>& /*documents*/,
                           QuestionResult* /*result*/) const {}

 private:
  const InquiryOptions options_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_QUESTIONS_INQUIRY_H_
