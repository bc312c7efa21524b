// What reads documents and answers questions about them: the engine in this process, or a server elsewhere.
#ifndef TOME_ENGINE_EVALUATION_QUESTIONS_ANSWERER_H_
#define TOME_ENGINE_EVALUATION_QUESTIONS_ANSWERER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/evaluation/questions/finding.h"
#include "engine/evaluation/questions/synthetic_tasks.h"

namespace tome {

struct AnswerOptions {
  std::string effort = "balanced";  // fast, balanced or thorough
  int budget_tokens = 512;          // of text that is read again
  int max_answer_tokens = 64;
};

// The way of one question. Ranks count from 1; 0: not found.
struct TaskFigures {
  std::map<std::string, int> router_ranks;  // "attention", "stems", "tokens"; of regions, where they can be seen
  int rank = 0;                             // among the regions that the search gave; 0: the right one is not there
  bool in_text = false;                     // the answer's bytes were read again
  std::optional<bool> cited;                // a citation has bytes of the needle; a server's only
  std::string answer;
  std::optional<std::string> gold_answer;  // over the right region and its neighbours alone
  double search_seconds = 0;               // of the search alone; 0 where it is not timed apart
  double answer_seconds = 0;               // until the whole answer
  std::optional<double> time_to_first_token_seconds;
  std::optional<double> reading_seconds;  // of the document, where it is read alone
};

// Those of the one search that was answered.
TaskFigures ToTaskFigures(const QuestionFigures& question, const std::string& search);

// Not thread-safe.
class Answerer {
 public:
  virtual ~Answerer() = default;

  // What answers, for reports: model, device, version.
  virtual nlohmann::json Describe() const = 0;

  // How many bytes each token of `text` stands for.
  virtual absl::StatusOr<std::vector<std::uint32_t>> CountTokenBytes(std::string_view text) = 0;

  // Reads every document by itself and asks its question. `on_figures`: told the document's number and what became of
  // its question, in any order. Progress goes to stderr. Stops at the first error.
  using FiguresCallback = std::function<void(std::size_t document, TaskFigures figures)>;
  virtual absl::Status AnswerAll(absl::Span<const TaskDocument> documents, const AnswerOptions& options,
                                 const FiguresCallback& on_figures) = 0;

  // Reads all documents, numbered from 0, one after another, and asks all questions of them together. Progress goes to
  // stderr. Nothing is read where a question or an option cannot work. `kept`: where what was read stays for another
  // time, and is found when it is there already: a file, or the id of a server's session; empty: nowhere.
  virtual absl::StatusOr<Findings> AskAll(const std::vector<std::string>& documents,
                                          absl::Span<const AskedQuestion> questions, const FindingOptions& options,
                                          const std::string& kept) = 0;
};

// By CountTokenBytes of `answerer`, which must outlive it.
TokenBytes TokenBytesOf(Answerer& answerer);

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_QUESTIONS_ANSWERER_H_
