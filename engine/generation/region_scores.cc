#include "engine/generation/region_scores.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <limits>
#include <set>

#include "engine/generation/sentences.h"
#include "engine/model/llama_model.h"

namespace tome {
namespace {

constexpr float kNotRead = -std::numeric_limits<float>::infinity();
// Regions that are read for their sentences by words alone, beside the best kMaxRoutedRegions.
constexpr std::size_t kReadByWords = 256;

std::vector<std::int64_t> RegionsToRead(const RegionScores& scores) {
  std::set<std::int64_t> regions;
  for (const std::int64_t region : BestRegions(scores.routing, kMaxRoutedRegions, kNotRead)) regions.insert(region);
  for (const std::vector<float>* words : {&scores.stems, &scores.tokens}) {
    for (const std::int64_t region : BestRegions(*words, kReadByWords)) regions.insert(region);
  }
  return {regions.begin(), regions.end()};
}

SentenceMeaning BestSentence(const Archive& archive, const Tokenizer& tokenizer, std::int64_t region,
                             const RegionScores& scores) {
  SentenceMeaning best;
  for (const RegionSentence& sentence : RegionSentences(archive, tokenizer, region)) {
    const SentenceMeaning meaning =
        ScoreSentenceByMeaning(scores.similarities, scores.meaning.weights, sentence.tokens);
    best.by_all = std::max(best.by_all, meaning.by_all);
    best.by_nearest = std::max(best.by_nearest, meaning.by_nearest);
  }
  return best;
}

// Scores the best regions once more, with their best sentences in place of their whole text; the others get kNotRead.
std::vector<float> RouteBySentences(const Archive& archive, const Tokenizer& tokenizer, const RegionScores& scores) {
  const std::vector<std::int64_t> regions = RegionsToRead(scores);
  const auto pick = [&](const std::vector<float>& all) {
    std::vector<float> picked;
    if (all.empty()) return picked;
    for (const std::int64_t region : regions) picked.push_back(all[region]);
    return picked;
  };
  std::vector<float> by_all(regions.size()), by_nearest(regions.size());
  at::parallel_for(0, static_cast<std::int64_t>(regions.size()), 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const SentenceMeaning best = BestSentence(archive, tokenizer, regions[i], scores);
      by_all[i] = static_cast<float>(best.by_all);
      by_nearest[i] = static_cast<float>(best.by_nearest);
    }
  });
  const std::vector<float> read =
      RoutingScores(pick(scores.attention.scores), {by_all, by_nearest}, pick(scores.stems));
  std::vector<float> routing(scores.routing.size(), kNotRead);
  for (std::size_t i = 0; i < regions.size(); ++i) routing[regions[i]] = read[i];
  return routing;
}

}  // namespace

RegionScores ScoreRegions(const Model& model, const Archive& archive, std::string_view question,
                          absl::Span<const TokenId> question_tokens, absl::Span<const HeadQueries> queries) {
  RegionScores scores;
  scores.token_weights = TokenWeights(archive, question_tokens);
  if (!model.profile().empty()) {
    scores.attention = ScoreByAttention(archive, model.profile(), queries, scores.token_weights);
  }
  // Without the empty line, unless the question's own tokens are one with it.
  const absl::Span<const TokenId> own = question_tokens.size() > 1 ? question_tokens.subspan(1) : question_tokens;
  scores.stems = ScoreByStems(archive, question);
  scores.tokens = ScoreByTokens(archive, own);
  const LlamaModel& llama = LlamaModel::From(model);
  const std::set<TokenId> distinct(own.begin(), own.end());
  scores.similarities =
      llama.meanings().Similarities(llama.weights(), std::vector<TokenId>(distinct.begin(), distinct.end()));
  scores.meaning = ScoreByMeaning(archive, scores.similarities);
  scores.routing = RoutingScores(scores.attention.scores, {scores.meaning.scores}, scores.stems);
  scores.routing = RouteBySentences(archive, *model.tokenizer(), scores);
  return scores;
}

}  // namespace tome
