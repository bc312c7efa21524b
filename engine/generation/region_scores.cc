#include "engine/generation/region_scores.h"

#include <set>

#include "engine/model/llama_model.h"

namespace tome {

RegionScores ScoreRegions(const Model& model, const Archive& archive, std::string_view question,
                          absl::Span<const TokenId> question_tokens, absl::Span<const HeadQueries> queries) {
  RegionScores scores;
  if (!model.profile().empty()) {
    scores.attention = ScoreByAttention(archive, model.profile(), queries, TokenWeights(archive, question_tokens));
  }
  const absl::Span<const TokenId> own = question_tokens.subspan(1);  // without the empty line
  scores.stems = ScoreByStems(archive, question);
  scores.tokens = ScoreByTokens(archive, own);
  const LlamaModel& llama = LlamaModel::From(model);
  const std::set<TokenId> distinct(own.begin(), own.end());
  scores.similarities =
      llama.meanings().Similarities(llama.weights(), std::vector<TokenId>(distinct.begin(), distinct.end()));
  scores.meaning = ScoreByMeaning(archive, scores.similarities);
  scores.routing = RoutingScores(scores.attention.scores, scores.meaning.scores, scores.stems);
  return scores;
}

}  // namespace tome
