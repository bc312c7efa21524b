// Which regions of an archive a question asks for. Three routers score every region, from the archive alone:
//
//   attention  each of the question's queries attends, at the retrieval heads, over the codes of all tokens; a region's
//              score is the share of the softmax mass that falls into it, averaged over the queries. The first tokens
//              of all draw attention whatever they say, and get no share.
//   stems      BM25 over the stems of words.
//   tokens     BM25 over token ids and pairs of neighbouring ones.
//
// BM25 (Robertson and Zaragoza, 2009) with k1 = 0.9, b = 0.4, regions as documents, each term of the question counted
// once. All scan the archive block by block on the compute threads; the results do not depend on their number.
#ifndef TOME_ENGINE_MEMORY_ROUTING_H_
#define TOME_ENGINE_MEMORY_ROUTING_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "engine/memory/archive.h"
#include "engine/memory/routing_codec.h"

namespace tome {

// The first tokens of what was read, which act as attention sinks (Xiao et al., arXiv 2309.17453, 3.1).
inline constexpr int kAttentionSinks = 4;

// Scores of all regions, [num_regions]. `queries`: one entry for each head of the profile.
std::vector<float> ScoreByAttention(const Archive& archive, const ModelProfile& profile,
                                    absl::Span<const HeadQueries> queries);
std::vector<float> ScoreByStems(const Archive& archive, std::string_view question);
std::vector<float> ScoreByTokens(const Archive& archive, absl::Span<const TokenId> question);

// The same by definition, one number after the other in double precision. Slow; what tests compare with.
std::vector<float> ReferenceScoreByAttention(const Archive& archive, const ModelProfile& profile,
                                             absl::Span<const HeadQueries> queries);

// The best `count` regions with a score above 0, best first; the earlier of equals.
std::vector<std::int64_t> BestRegions(absl::Span<const float> scores, std::size_t count);

// The best `count` regions of several ranked lists by reciprocal rank: a region's score is the sum of 1 / (c + rank).
// (Cormack, Clarke and Buettcher, 2009)
std::vector<std::int64_t> FuseByReciprocalRank(absl::Span<const std::vector<std::int64_t>> lists, std::size_t count,
                                               double c = 20);
// Takes from each list in turn what was not taken yet.
std::vector<std::int64_t> Interleave(absl::Span<const std::vector<std::int64_t>> lists, std::size_t count);

}  // namespace tome

#endif  // TOME_ENGINE_MEMORY_ROUTING_H_
