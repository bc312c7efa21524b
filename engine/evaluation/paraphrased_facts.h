// Facts and questions that share no content word: what words alone do not find.
#ifndef TOME_ENGINE_EVALUATION_PARAPHRASED_FACTS_H_
#define TOME_ENGINE_EVALUATION_PARAPHRASED_FACTS_H_

#include <string_view>

#include "absl/types/span.h"
#include "engine/evaluation/needles.h"

namespace tome {

struct ParaphrasedFact {
  std::string_view text, question, answer;
};

absl::Span<const ParaphrasedFact> ParaphrasedFacts(FactSet set);  // kFactsInSet

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_PARAPHRASED_FACTS_H_
