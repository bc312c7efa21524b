#include "server/questions/evidence_text.h"

#include <cstdint>
#include <utility>

#include "engine/base/status.h"
#include "server/base/errors.h"
#include "server/reading/attended_text.h"

namespace tome::server {
namespace {

constexpr Effort kDefaultEffort = Effort::kBalanced;

// What sink and window hold, and the tail.
std::vector<SpanRange> ExactText(const ReadingFork& fork, AnswerMode mode) {
  if (mode == AnswerMode::kWindow) return fork.attended.Ranges(fork.tail.spans);
  AttendedText attended = fork.attended;
  attended.Add(fork.tail.spans);
  return attended.Ranges();
}

}  // namespace

ByteRange RangeOf(const TokenSpan& span, const std::vector<StoredDocument>& documents) {
  return {.document = documents[span.document].name, .begin = span.begin, .end = span.begin + span.num_bytes};
}

Coverage MakeCoverage(const ReadingFork& fork, const std::vector<StoredDocument>& documents, AnswerMode mode) {
  Coverage coverage{.ingested_bytes = fork.ingested_bytes,
                    .ingested_tokens = fork.ingested_tokens,
                    .pending_bytes = fork.tail.num_bytes()};
  for (const StoredDocument& document : documents) coverage.durable_bytes += document.size;
  const std::uint64_t read_bytes = fork.ingested_bytes + coverage.pending_bytes;
  coverage.unread_bytes = coverage.durable_bytes - read_bytes;
  std::uint64_t exact_bytes = 0;
  for (const SpanRange& range : ExactText(fork, mode)) {
    exact_bytes += range.end - range.begin;
    coverage.exact.push_back({.document = documents[range.document].name, .begin = range.begin, .end = range.end});
  }
  if (mode == AnswerMode::kWindow) {
    coverage.forgotten_bytes = read_bytes - exact_bytes;
  } else {
    coverage.searchable_bytes = read_bytes;
    coverage.archive_only_bytes = read_bytes - exact_bytes;
  }
  return coverage;
}

PendingText TakePending(ReadingFork* fork) {
  return {.tokens = std::move(fork->tail.tokens), .spans = std::move(fork->tail.spans)};
}

RoutedRegion ToRoutedRegion(const FoundRegion& found, const Evidence& evidence,
                            const std::vector<StoredDocument>& documents) {
  RoutedRegion region{.range = RangeOf(found.span, documents),
                      .score = found.score,
                      .attention_mass = found.attention_mass,
                      .stem_score = found.stem_score,
                      .token_score = found.token_score};
  // A likelihood of a text is never 1, so that 0 says that it was not computed.
  if (evidence.effort == Effort::kFast || found.log_likelihood == 0) return region;
  region.log_likelihood = found.log_likelihood;
  region.sentence = RangeOf(found.sentence, documents);
  return region;
}

void AddSearched(const Evidence& evidence, QuestionResult* result) {
  result->regions_scanned = static_cast<std::uint64_t>(evidence.regions_scanned);
  result->regions_reranked = static_cast<std::uint64_t>(evidence.regions_reranked);
  result->regions_found = evidence.found.size();
}

absl::Status CheckAnyRead(const ReadingFork& fork, const SessionId& id, const std::vector<StoredDocument>& documents) {
  if (fork.memory.tokens_read() > 0 || !fork.tail.tokens.empty()) return absl::OkStatus();
  std::uint64_t bytes = 0;
  for (const StoredDocument& document : documents) bytes += document.size;
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   fmt::format("session {}: none of the {} bytes that it has stored gives the model a token, so that "
                               "nothing was read; append text first",
                               id, bytes),
                   {.reason = "SESSION_EMPTY", .metadata = {{"session", id}}});
}

Effort EffortFor(const std::optional<Effort>& asked, const Memory& memory) {
  return asked.value_or(memory.model()->profile().effort.value_or(kDefaultEffort));
}

absl::Status WithQuestionDetails(const absl::Status& status) {
  if (status.code() != absl::StatusCode::kInvalidArgument) return status;
  return WithDetails(status, {.reason = "QUESTION_TOO_LONG", .metadata = {{"field", "question"}}});
}

}  // namespace tome::server
