// What a question is for the engine: its task, and what the result says of the text behind the answer.
#ifndef TOME_SERVER_SESSION_QUESTION_WORK_H_
#define TOME_SERVER_SESSION_QUESTION_WORK_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "server/session/session_reader.h"
#include "server/session/session_store.h"
#include "server/session/types.h"

namespace tome::server {

// Regions that one search can find; with effort the engine stops earlier.
inline constexpr int kMaxFoundRegions = 256;

// Instead of an answer, which of the regions found are wanted.
struct RegionSlice {
  std::size_t first = 0;
  std::size_t count = 0;
  // SEARCH_CHANGED unless exactly this many bytes are read, pending ones included.
  std::optional<std::uint64_t> read_bytes;
};

struct QuestionWork {
  Task task;
  QuestionResult result;  // what is known before the first step
};

// A task that answers `request`, scores its text, or finds its regions if `search` is given, over a fork of a session
// that stores `documents`. FAILED_PRECONDITION/SESSION_EMPTY where nothing that was stored has a token;
// INVALID_ARGUMENT/QUESTION_TOO_LONG, INVALID_ARGUMENT/ANSWER_BUDGET, ABORTED/SEARCH_CHANGED, and the errors of
// ChooseForm.
absl::StatusOr<QuestionWork> MakeQuestionWork(const QuestionRequest& request, const std::optional<RegionSlice>& search,
                                              ReadingFork fork, const std::vector<StoredDocument>& documents);

// An error of the task, with what a client needs to know of it.
absl::Status WithQuestionDetails(const absl::Status& status);

// Adds what the answer rests on, or the regions that the search wants.
void AddEvidence(const Evidence& evidence, const QuestionRequest& request, const std::optional<RegionSlice>& search,
                 const std::vector<StoredDocument>& documents, QuestionResult* result);

}  // namespace tome::server

#endif  // TOME_SERVER_SESSION_QUESTION_WORK_H_
