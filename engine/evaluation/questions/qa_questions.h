// Questions with reference answers about documents, from JSON lines in two forms:
// - as of SQuAD 2.0: "id", "question", "answers" [text], "document" (a file's name), and "answer_bytes" [begin, end]
//   of the first answer in it;
// - as of NarrativeQA: "question", "answer1", "answer2" and "file"; where in the text the answer is is not known.
#ifndef TOME_ENGINE_EVALUATION_QUESTIONS_QA_QUESTIONS_H_
#define TOME_ENGINE_EVALUATION_QUESTIONS_QA_QUESTIONS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/evaluation/questions/finding.h"

namespace tome {

// The group of these questions.
inline constexpr std::string_view kQaGroup = "questions";

struct QaQuestion {
  AskedQuestion asked;   // without a prompt form
  std::string document;  // as the line names it; "" when it does not
};

// Which lines of a file are asked.
struct QaSelection {
  int every = 1;          // each n-th
  int skip = 0;           // lines before the first
  int limit = 0;          // most questions; 0: all
  std::string documents;  // only of documents whose name has this in it
};

// INVALID_ARGUMENT names the file, and the line where one is to blame; also when nothing is selected.
absl::StatusOr<std::vector<QaQuestion>> LoadQaQuestions(const std::string& path, const QaSelection& selection);

// One line; `where` begins what is told of errors.
absl::StatusOr<QaQuestion> ParseQaQuestion(std::string_view line, const std::string& where);

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_QUESTIONS_QA_QUESTIONS_H_
