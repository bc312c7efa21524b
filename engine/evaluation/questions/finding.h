// Asks one question of a memory in several ways, and tells for each where the answer's region is ranked, whether the
// text that would be read again has the answer, and what the model answers.
//
// Ways: the routers "attention", "stems" (BM25), "tokens" (BM25), "meaning"; "routed", which adds up
// attention, meaning and a little of stems; the fusions of lists "reciprocal" and "interleaved"; the
// searches "fast", "balanced" and "thorough" as Task::Search does them. To compare answers with, where asked for:
// "gold", which knows the answer's regions; "none", no text; "first", the beginning of what was read, three quarters of
// the model's context; "random" regions.
#ifndef TOME_ENGINE_EVALUATION_QUESTIONS_FINDING_H_
#define TOME_ENGINE_EVALUATION_QUESTIONS_FINDING_H_

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "engine/evaluation/figures/metrics.h"
#include "engine/evaluation/questions/needles.h"

namespace tome {

struct AskedQuestion {
  std::string group;  // under which its figures are summed up
  std::string id;
  std::string text;
  std::optional<PromptForm> form;  // none: that of the model's profile, else "Question: ... Answer:"
  std::string instruction;
  std::vector<std::string> references;
  std::uint32_t document = 0;
  TextRange evidence;              // a region with bytes of it is right; empty: not known
  std::vector<TextRange> answers;  // one of them must be in the text that is read again

  bool HasEvidence() const { return evidence.begin < evidence.end; }
};

PromptForm FormOf(const AskedQuestion& asked, const Model& model);

// The question that a needle answers. `depth`: where in the text it is, from 0 to 1.
AskedQuestion AskFor(const PlacedNeedle& placed, double depth);

struct FindingOptions {
  std::vector<std::string> searches = {"fast", "balanced"};
  std::vector<std::string> answered;  // ways that are asked for an answer as well
  int budget_tokens = 512;
  int max_answer_tokens = 48;
};
// INVALID_ARGUMENT for names that are no ways.
absl::Status ValidateFindingOptions(const FindingOptions& options);
bool IsAnswered(const FindingOptions& options, const std::string& way);

struct WayFigures {
  int rank = 0;  // of the right region, from 1; 0: not found
  bool in_text = false;
  std::int64_t text_tokens = 0;
  double score = 0;                   // searches: that of the first region
  std::int64_t regions_reranked = 0;  // searches: that the model ranked
  double seconds = 0;                 // searches: until the regions were found or, where answered, until the answer
  double search_seconds = 0;          // searches of a server: until the regions were found
  double first_token_seconds = 0;     // searches that are answered
  bool answered = false;
  std::string answer;
  double f1 = 0, rouge_l = 0;
  bool contains = false;      // a reference is in the answer
  bool supported = false;     // the answer is in the text that was read again
  std::optional<bool> cited;  // a citation has bytes of the evidence; where a server answered
  std::optional<double>
      log_probability;  // of the first reference as the answer, over the same text; nats; not so there
};

// Scores `answer`, which was generated over `text`.
void SetAnswer(std::string answer, const std::vector<std::string>& references, std::string_view text, WayFigures* way);

struct QuestionFigures {
  AskedQuestion asked;
  std::map<std::string, WayFigures> ways;
  nlohmann::json candidates;  // the regions that each way lists; those that the searches reranked with all scores
};

absl::StatusOr<QuestionFigures> EvaluateQuestion(const Memory& memory, const AskedQuestion& asked,
                                                 const FindingOptions& options);

// What the model answers over as much of the regions that a search found as the budget has room for.
absl::StatusOr<WayFigures> AnswerOver(const Memory& memory, const AskedQuestion& asked,
                                      const std::vector<FoundRegion>& found, const FindingOptions& options);

// What became of all questions of one reading.
struct Findings {
  std::int64_t tokens = 0, regions = 0;  // that were read, and looked through
  std::vector<QuestionFigures> questions;
};

// Sums of questions for each way and group, as tables and JSON.
std::string FormatFindings(const std::vector<QuestionFigures>& questions);
nlohmann::json FindingsToJson(const std::vector<QuestionFigures>& questions);

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_QUESTIONS_FINDING_H_
