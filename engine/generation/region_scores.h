// What all routers say of all regions about one question, as searches use it and evaluations report it.
#ifndef TOME_ENGINE_GENERATION_REGION_SCORES_H_
#define TOME_ENGINE_GENERATION_REGION_SCORES_H_

#include <ATen/core/Tensor.h>

#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "engine/generation/question.h"
#include "engine/memory/archive.h"
#include "engine/memory/routing.h"

namespace tome {

// The most regions that are ranked by all routers together, and so the most that a search can list.
constexpr int kMaxRoutedRegions = 4096;

// Of all regions, [num_regions] each; see routing.h.
struct RegionScores {
  AttentionScores attention;  // empty without a profile
  std::vector<float> stems, tokens;
  MeaningScores meaning;
  // Of attention, meaning and stems together: of the best kMaxRoutedRegions by their sentences, and some by words; of
  // others minus infinity.
  std::vector<float> routing;
  std::vector<float> token_weights;  // see TokenWeights; of the question's tokens
  at::Tensor similarities;  // that `meaning` was made of; of the question's distinct tokens, in order of their ids
};

// `question_tokens`: of the question after an empty line, as it was read for `queries`, which has an entry for each
// retrieval head of the model's profile. Throws what torch throws.
RegionScores ScoreRegions(const Model& model, const Archive& archive, std::string_view question,
                          absl::Span<const TokenId> question_tokens, absl::Span<const HeadQueries> queries);

}  // namespace tome

#endif  // TOME_ENGINE_GENERATION_REGION_SCORES_H_
