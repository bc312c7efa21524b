// Facts and questions that share no content word: what words alone do not find.
#ifndef TOME_ENGINE_EVALUATION_QUESTIONS_PARAPHRASED_FACTS_H_
#define TOME_ENGINE_EVALUATION_QUESTIONS_PARAPHRASED_FACTS_H_

#include <optional>
#include <string_view>

#include "absl/types/span.h"

namespace tome {

// Paraphrased facts come in sets: heads are chosen on one, ways of ranking on another, and the third judges both.
enum class FactSet { kCalibration, kDevelopment, kEvaluation };
std::optional<FactSet> ParseFactSet(std::string_view name);  // "calibration", "development", "evaluation"
inline constexpr int kFactsInSet = 24;

struct ParaphrasedFact {
  std::string_view text, question, answer;
};

absl::Span<const ParaphrasedFact> ParaphrasedFacts(FactSet set);  // kFactsInSet

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_QUESTIONS_PARAPHRASED_FACTS_H_
