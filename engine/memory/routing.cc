#include "engine/memory/routing.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "engine/model/cpu/kernels.h"
#include "engine/text/word_stems.h"

namespace tome {
namespace {

constexpr double kBm25K1 = 0.9, kBm25B = 0.4;

// Calls body(block index) for all blocks, on the compute threads.
template <typename Body>
void ForEachBlock(const Archive& archive, Body body) {
  at::parallel_for(0, archive.num_blocks(), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block) body(block);
  });
}

// --- BM25 ---

// How often each of `num_terms` terms stands in each region, and how many terms a region has.
struct TermCounts {
  TermCounts(std::int64_t regions, std::size_t terms)
      : num_terms(terms),
        counts(static_cast<std::size_t>(regions) * terms),
        lengths(static_cast<std::size_t>(regions)) {}
  std::uint16_t* row(std::int64_t region) { return counts.data() + static_cast<std::size_t>(region) * num_terms; }

  std::size_t num_terms;
  std::vector<std::uint16_t> counts;   // [regions, terms]
  std::vector<std::uint32_t> lengths;  // [regions]
};

std::vector<float> Bm25(const TermCounts& terms) {
  const std::size_t regions = terms.lengths.size();
  std::vector<float> scores(regions);
  if (regions == 0 || terms.num_terms == 0) return scores;
  double total_length = 0;
  for (const std::uint32_t length : terms.lengths) total_length += length;
  const double mean_length = std::max(1.0, total_length / static_cast<double>(regions));
  std::vector<double> weights(terms.num_terms);
  for (std::size_t term = 0; term < terms.num_terms; ++term) {
    std::size_t found = 0;
    for (std::size_t region = 0; region < regions; ++region) found += terms.counts[region * terms.num_terms + term] > 0;
    const double with = static_cast<double>(found), without = static_cast<double>(regions - found);
    weights[term] = std::log(1.0 + (without + 0.5) / (with + 0.5));
  }
  for (std::size_t region = 0; region < regions; ++region) {
    const double norm = kBm25K1 * (1.0 - kBm25B + kBm25B * terms.lengths[region] / mean_length);
    double score = 0;
    for (std::size_t term = 0; term < terms.num_terms; ++term) {
      const double count = terms.counts[region * terms.num_terms + term];
      score += weights[term] * count * (kBm25K1 + 1.0) / (count + norm);
    }
    scores[region] = static_cast<float>(score);
  }
  return scores;
}

// --- Attention ---

// Log of the sum of exponentials, as maximum and sum.
struct ExpSum {
  float maximum = -std::numeric_limits<float>::infinity();
  float sum = 0;
};

// How many of a block's first tokens are sinks.
int SinksOfBlock(const Archive& archive, std::int64_t index) {
  int sinks = kAttentionSinks;
  for (std::int64_t before = 0; before < index && sinks > 0; ++before) sinks -= archive.block(before).num_tokens();
  return std::max(sinks, 0);
}

// [regions, queries] of one head.
std::vector<ExpSum> RegionExpSums(const Archive& archive, const ModelProfile& profile, std::size_t head,
                                  const HeadQueries& queries) {
  const CpuKernels& kernels = GetCpuKernels();
  const int dims = profile.heads[head].code_dims(), count = queries.num_queries;
  const int region_tokens = archive.layout().region_tokens;
  std::vector<ExpSum> sums(static_cast<std::size_t>(archive.num_regions()) * count);
  ForEachBlock(archive, [&](std::int64_t index) {
    const ArchiveBlock& block = archive.block(index);
    std::vector<std::int8_t> codes(static_cast<std::size_t>(block.num_tokens()) * dims);
    UnpackCodes(profile, head, block.codes(), block.num_tokens(), codes.data());
    std::vector<float> scratch(static_cast<std::size_t>(region_tokens) * (dims + 1));
    std::vector<float> maxima(count), totals(count);
    const int sinks = SinksOfBlock(archive, index);
    for (int region = 0; region < block.num_regions(); ++region) {
      const int end = std::min((region + 1) * region_tokens, block.num_tokens());
      const int first = std::max(region * region_tokens, sinks), tokens = end - first;
      if (tokens <= 0) continue;
      kernels.score_codes(queries.values.data(), count, codes.data() + static_cast<std::ptrdiff_t>(first) * dims,
                          tokens, dims, scratch.data(), maxima.data(), totals.data());
      ExpSum* out = sums.data() + static_cast<std::size_t>(archive.first_region(index) + region) * count;
      for (int query = 0; query < count; ++query) out[query] = {maxima[query], totals[query]};
    }
  });
  return sums;
}

// Adds each region's share of every query's attention.
void AddShares(const std::vector<ExpSum>& sums, int num_queries, std::vector<double>* shares) {
  std::vector<double> maxima(num_queries, -std::numeric_limits<double>::infinity()), totals(num_queries);
  const std::size_t regions = shares->size();
  for (std::size_t i = 0; i < sums.size(); ++i) {
    maxima[i % num_queries] = std::max(maxima[i % num_queries], static_cast<double>(sums[i].maximum));
  }
  const auto mass = [&](std::size_t region, int query) {
    const ExpSum& sum = sums[region * num_queries + query];
    return sum.sum * std::exp(sum.maximum - maxima[query]);
  };
  for (std::size_t region = 0; region < regions; ++region) {
    for (int query = 0; query < num_queries; ++query) totals[query] += mass(region, query);
  }
  for (std::size_t region = 0; region < regions; ++region) {
    for (int query = 0; query < num_queries; ++query) (*shares)[region] += mass(region, query) / totals[query];
  }
}

std::vector<float> MeanOf(const std::vector<double>& shares, int num_queries) {
  std::vector<float> scores(shares.size());
  for (std::size_t i = 0; i < shares.size() && num_queries > 0; ++i) {
    scores[i] = static_cast<float>(shares[i] / num_queries);
  }
  return scores;
}

}  // namespace

std::vector<float> ScoreByAttention(const Archive& archive, const ModelProfile& profile,
                                    absl::Span<const HeadQueries> queries) {
  std::vector<double> shares(static_cast<std::size_t>(archive.num_regions()));
  if (archive.num_tokens() <= kAttentionSinks) return MeanOf(shares, 0);
  int num_queries = 0;
  for (std::size_t head = 0; head < profile.heads.size(); ++head) {
    AddShares(RegionExpSums(archive, profile, head, queries[head]), queries[head].num_queries, &shares);
    num_queries += queries[head].num_queries;
  }
  return MeanOf(shares, num_queries);
}

std::vector<float> ReferenceScoreByAttention(const Archive& archive, const ModelProfile& profile,
                                             absl::Span<const HeadQueries> queries) {
  std::vector<double> shares(static_cast<std::size_t>(archive.num_regions()));
  int num_queries = 0;
  for (std::size_t head = 0; head < profile.heads.size(); ++head) {
    const int dims = profile.heads[head].code_dims();
    for (int query = 0; query < queries[head].num_queries; ++query, ++num_queries) {
      std::vector<std::pair<std::size_t, double>> scores;  // region, score of a token
      for (std::int64_t index = 0; index < archive.num_blocks(); ++index) {
        const ArchiveBlock& block = archive.block(index);
        std::vector<std::int8_t> codes(static_cast<std::size_t>(block.num_tokens()) * dims);
        UnpackCodes(profile, head, block.codes(), block.num_tokens(), codes.data());
        for (int token = 0; token < block.num_tokens(); ++token) {
          double score = 0;
          for (int r = 0; r < dims; ++r)
            score += double{queries[head].values[query * dims + r]} * codes[token * dims + r];
          scores.emplace_back(archive.first_region(index) + token / archive.layout().region_tokens, score);
        }
      }
      scores.erase(scores.begin(), scores.begin() + std::min<std::ptrdiff_t>(kAttentionSinks, scores.size()));
      double maximum = -std::numeric_limits<double>::infinity(), total = 0;
      for (const auto& [region, score] : scores) maximum = std::max(maximum, score);
      for (const auto& [region, score] : scores) total += std::exp(score - maximum);
      for (const auto& [region, score] : scores) shares[region] += std::exp(score - maximum) / total;
    }
  }
  return MeanOf(shares, num_queries);
}

std::vector<float> ScoreByStems(const Archive& archive, std::string_view question) {
  std::unordered_map<std::uint32_t, std::size_t> terms;
  WordStemmer stemmer;
  for (const WordStem& word : stemmer.Analyze(question)) terms.emplace(word.hash, terms.size());
  TermCounts counts(archive.num_regions(), terms.size());
  // Most words are none of the question's: 4,096 bits sort them out.
  std::vector<bool> seen(4096);
  for (const auto& [hash, term] : terms) seen[hash % seen.size()] = true;
  ForEachBlock(archive, [&](std::int64_t index) {
    const ArchiveBlock& block = archive.block(index);
    for (int region = 0; region < block.num_regions(); ++region) {
      const std::int64_t number = archive.first_region(index) + region;
      const absl::Span<const std::uint32_t> stems = block.Stems(region);
      counts.lengths[number] = static_cast<std::uint32_t>(stems.size());
      for (const std::uint32_t stem : stems) {
        if (!seen[stem % seen.size()]) continue;
        if (const auto found = terms.find(stem); found != terms.end()) ++counts.row(number)[found->second];
      }
    }
  });
  return Bm25(counts);
}

std::vector<float> ScoreByTokens(const Archive& archive, absl::Span<const TokenId> question) {
  std::unordered_map<TokenId, std::size_t> singles;
  std::unordered_map<std::uint64_t, std::size_t> pairs;
  const auto pair_of = [](TokenId first, TokenId second) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(first)) << 32 | static_cast<std::uint32_t>(second);
  };
  for (std::size_t i = 0; i < question.size(); ++i) {
    singles.emplace(question[i], singles.size() + pairs.size());
    if (i > 0) pairs.emplace(pair_of(question[i - 1], question[i]), singles.size() + pairs.size());
  }
  TermCounts counts(archive.num_regions(), singles.size() + pairs.size());
  std::vector<bool> seen(static_cast<std::size_t>(archive.layout().vocab_size));
  for (const auto& [token, term] : singles) seen[static_cast<std::size_t>(token)] = true;
  ForEachBlock(archive, [&](std::int64_t index) {
    const ArchiveBlock& block = archive.block(index);
    for (int i = 0; i < block.num_tokens(); ++i) {
      const std::int64_t number = archive.first_region(index) + i / archive.layout().region_tokens;
      ++counts.lengths[number];
      const TokenId token = block.token(i);
      if (!seen[static_cast<std::size_t>(token)]) continue;
      ++counts.row(number)[singles.at(token)];
      if (i == 0) continue;
      if (const auto found = pairs.find(pair_of(block.token(i - 1), token)); found != pairs.end()) {
        ++counts.row(number)[found->second];
      }
    }
  });
  return Bm25(counts);
}

std::vector<std::int64_t> BestRegions(absl::Span<const float> scores, std::size_t count) {
  std::vector<std::int64_t> regions;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (scores[i] > 0) regions.push_back(static_cast<std::int64_t>(i));
  }
  const std::size_t kept = std::min(count, regions.size());
  std::partial_sort(
      regions.begin(), regions.begin() + static_cast<std::ptrdiff_t>(kept), regions.end(),
      [&](std::int64_t a, std::int64_t b) { return scores[a] != scores[b] ? scores[a] > scores[b] : a < b; });
  regions.resize(kept);
  return regions;
}

std::vector<std::int64_t> FuseByReciprocalRank(absl::Span<const std::vector<std::int64_t>> lists, std::size_t count,
                                               double c) {
  std::unordered_map<std::int64_t, double> scores;
  for (const auto& list : lists) {
    for (std::size_t rank = 0; rank < list.size(); ++rank)
      scores[list[rank]] += 1.0 / (c + static_cast<double>(rank + 1));
  }
  std::vector<std::int64_t> regions;
  for (const auto& [region, score] : scores) regions.push_back(region);
  std::sort(regions.begin(), regions.end(), [&](std::int64_t a, std::int64_t b) {
    const double first = scores.at(a), second = scores.at(b);
    return first != second ? first > second : a < b;
  });
  regions.resize(std::min(count, regions.size()));
  return regions;
}

std::vector<std::int64_t> Interleave(absl::Span<const std::vector<std::int64_t>> lists, std::size_t count) {
  std::vector<std::int64_t> taken;
  std::unordered_set<std::int64_t> seen;
  std::size_t longest = 0;
  for (const auto& list : lists) longest = std::max(longest, list.size());
  for (std::size_t rank = 0; rank < longest; ++rank) {
    for (const auto& list : lists) {
      if (taken.size() == count) return taken;
      if (rank < list.size() && seen.insert(list[rank]).second) taken.push_back(list[rank]);
    }
  }
  return taken;
}

}  // namespace tome
