// What of a session's text an inquiry could see and has found, in the bytes of its documents.
#ifndef TOME_SERVER_QUESTIONS_EVIDENCE_TEXT_H_
#define TOME_SERVER_QUESTIONS_EVIDENCE_TEXT_H_

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "engine/engine.h"
#include "server/base/types.h"
#include "server/reading/resident_state.h"
#include "server/storage/session_store.h"

namespace tome::server {

ByteRange RangeOf(const TokenSpan& span, const std::vector<StoredDocument>& documents);

// Of an answer over the fork and its tail: with kWindow the tail stands beside sink and window, else it is read first.
Coverage MakeCoverage(const ReadingFork& fork, const std::vector<StoredDocument>& documents, AnswerMode mode);

// The fork's tail, which it then has no more.
PendingText TakePending(ReadingFork* fork);

RoutedRegion ToRoutedRegion(const FoundRegion& found, const Evidence& evidence,
                            const std::vector<StoredDocument>& documents);

// How much was searched, and how much found.
void AddSearched(const Evidence& evidence, QuestionResult* result);

// FAILED_PRECONDITION/SESSION_EMPTY where nothing that is stored has a token.
absl::Status CheckAnyRead(const ReadingFork& fork, const SessionId& id, const std::vector<StoredDocument>& documents);

// What was asked for, else what the model's profile says, else the usual one.
Effort EffortFor(const std::optional<Effort>& asked, const Memory& memory);

// An error of a task, with what a client needs to know of it: INVALID_ARGUMENT/QUESTION_TOO_LONG.
absl::Status WithQuestionDetails(const absl::Status& status);

}  // namespace tome::server

#endif  // TOME_SERVER_QUESTIONS_EVIDENCE_TEXT_H_
