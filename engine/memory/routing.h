// Which regions of an archive a question asks for. Four routers score every region, from the archive alone:
//
//   attention  each of the question's queries attends, at the retrieval heads, over the codes of all tokens; a region's
//              share is the softmax mass that falls into it. The first tokens of all draw attention whatever they say,
//              and get no share. A region's score is the square root of its share, averaged over the queries with
//              weights, less half the same average over queries of questions about other things (the profile's
//              background): some regions draw attention whatever is asked, and a few tokens of a question all of it.
//   stems      BM25 over the stems of words (text/word_stems.h). A word of the question is stemmed by the languages of
//   each
//              text, and counts as it is written or without its accents, whichever says more.
//   tokens     BM25 over token ids and pairs of neighbouring ones.
//   meaning    as BM25 over token ids, but a token counts by how near its meaning is to that of the question's token.
//
// BM25 (Robertson and Zaragoza, 2009) with k1 = 0.9, b = 0.4, regions as documents, each term of the question counted
// once. For meaning k1 = 0.3 and b = 0: one near token says almost all that several say. All scan the archive block by
// block on the compute threads; the results do not depend on their number.
#ifndef TOME_ENGINE_MEMORY_ROUTING_H_
#define TOME_ENGINE_MEMORY_ROUTING_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "engine/memory/archive.h"
#include "engine/memory/routing_codec.h"

namespace tome {

// The first tokens of what was read, which act as attention sinks (Xiao et al., arXiv 2309.17453, 3.1).
inline constexpr int kAttentionSinks = 4;
// How much of the background's score is taken off a question's.
inline constexpr double kBackgroundWeight = 0.5;

// Of all regions, [num_regions].
struct AttentionScores {
  std::vector<float> shares;  // of the question's attention, the mean of its queries and heads
  std::vector<float> scores;  // what regions are ranked by
};
// `queries`: one entry for each head of the profile. `weights` [T]: of the question's T tokens, see TokenWeights.
AttentionScores ScoreByAttention(const Archive& archive, const ModelProfile& profile,
                                 absl::Span<const HeadQueries> queries, absl::Span<const float> weights);
// Scores of all regions, [num_regions].
std::vector<float> ScoreByStems(const Archive& archive, std::string_view question);
std::vector<float> ScoreByTokens(const Archive& archive, absl::Span<const TokenId> question);

struct MeaningScores {
  std::vector<float> scores;    // of all regions, [num_regions]
  std::vector<double> weights;  // of the question's tokens, [T]: the rarer, the more
};
// `similarities` [V, T], fp32: of each token of the vocabulary with each of the question's (TokenMeanings).
MeaningScores ScoreByMeaning(const Archive& archive, const at::Tensor& similarities);
// The same of a text, of which no token is outside the vocabulary.
double ScoreTextByMeaning(const at::Tensor& similarities, absl::Span<const double> weights,
                          absl::Span<const TokenId> text);
// What a sentence says of the question: by all its tokens, and by the nearest to each token of the question, however
// far. The longer it is the less each token counts, as in BM25: a region tells several things, and a sentence one.
struct SentenceMeaning {
  double by_all = 0, by_nearest = 0;
};
SentenceMeaning ScoreSentenceByMeaning(const at::Tensor& similarities, absl::Span<const double> weights,
                                       absl::Span<const TokenId> sentence);

// How much each token of a question says: the squared logarithm of how rare it is in the archive. The sum is 1.
// Not of an empty question.
std::vector<float> TokenWeights(const Archive& archive, absl::Span<const TokenId> question);

// The same by definition, one number after the other in double precision. Slow; what tests compare with.
AttentionScores ReferenceScoreByAttention(const Archive& archive, const ModelProfile& profile,
                                          absl::Span<const HeadQueries> queries, absl::Span<const float> weights);
std::vector<float> ReferenceScoreByMeaning(const Archive& archive, const at::Tensor& similarities);

// The sum of scores that were brought to a mean of 0 and a standard deviation of 1. Lists of no use count nothing.
std::vector<float> AddStandardised(absl::Span<const std::vector<float>> lists);

// What the routers make of each region together: attention and meanings standardised, and a little of the stems; more
// of them where `attention` is empty because the model has no profile.
std::vector<float> RoutingScores(const std::vector<float>& attention, absl::Span<const std::vector<float>> meanings,
                                 const std::vector<float>& stems);

// The best `count` regions with a score above `floor`, best first; the earlier of equals.
std::vector<std::int64_t> BestRegions(absl::Span<const float> scores, std::size_t count, float floor = 0);

// The best `count` regions of several ranked lists by reciprocal rank: a region's score is the sum of 1 / (c + rank).
// (Cormack, Clarke and Buettcher, 2009)
std::vector<std::int64_t> FuseByReciprocalRank(absl::Span<const std::vector<std::int64_t>> lists, std::size_t count,
                                               double c = 20);
// Takes `run` regions from the first list, then one from the second, and so on, each once.
std::vector<std::int64_t> TakeInTurn(const std::vector<std::int64_t>& first, int run,
                                     const std::vector<std::int64_t>& second, std::size_t count);

}  // namespace tome

#endif  // TOME_ENGINE_MEMORY_ROUTING_H_
