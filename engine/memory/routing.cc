#include "engine/memory/routing.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "engine/kernels/cpu/kernels.h"
#include "engine/text/words/word_stems.h"

namespace tome {
namespace {

constexpr double kBm25K1 = 0.9, kBm25B = 0.4;
constexpr std::size_t kFormsOfWord = 2;  // with and without accents
constexpr double kMeaningK1 = 0.3;
constexpr double kUsualSentence = 20;  // tokens; one of as many counts as a whole region does
// Of a BM25 score beside scores in standard deviations: with attention, and without. Chosen on questions of three kinds
// over one book and eight articles; see docs/results/finding.md.
constexpr float kStemWeight = 0.1f, kStemWeightAlone = 1.0f;
// Tokens less alike than this have nothing to do with each other.
constexpr float kLeastSimilarity = 0.15f;
// Tokens of a question whose similarities are scanned for together.
constexpr std::int64_t kMeaningBatch = 32;

// Calls body(block index) for all blocks, on the compute threads.
template <typename Body>
void ForEachBlock(const Archive& archive, Body body) {
  at::parallel_for(0, archive.num_blocks(), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block) body(block);
  });
}

// --- BM25 ---

// How often each of `num_terms` terms stands in each region, and how many terms a region has. Terms are forms of words,
// those of one word side by side: the best of them counts.
struct TermCounts {
  TermCounts(std::int64_t regions, std::size_t terms, std::size_t forms = 1)
      : num_terms(terms),
        forms_of_word(forms),
        counts(static_cast<std::size_t>(regions) * terms),
        lengths(static_cast<std::size_t>(regions)) {}
  std::uint16_t* row(std::int64_t region) { return counts.data() + static_cast<std::size_t>(region) * num_terms; }

  std::size_t num_terms;
  std::size_t forms_of_word;
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
    for (std::size_t word = 0; word < terms.num_terms; word += terms.forms_of_word) {
      double best = 0;
      for (std::size_t term = word; term < word + terms.forms_of_word; ++term) {
        const double count = terms.counts[region * terms.num_terms + term];
        best = std::max(best, weights[term] * count * (kBm25K1 + 1.0) / (count + norm));
      }
      score += best;
    }
    scores[region] = static_cast<float>(score);
  }
  return scores;
}

// --- Attention ---

// Of each region and query the sum of the exponentials of its scores, as the largest score and what the sum is to its
// exponential.
struct RegionSums {
  RegionSums(std::int64_t regions, std::int64_t queries)
      : maxima(at::full({regions, queries}, -std::numeric_limits<float>::infinity())),
        sums(at::zeros({regions, queries})) {}

  at::Tensor maxima, sums;  // fp32 [regions, queries]
};

// How many of a block's first tokens are sinks.
int SinksOfBlock(const Archive& archive, std::int64_t index) {
  int sinks = kAttentionSinks;
  for (std::int64_t before = 0; before < index && sinks > 0; ++before) sinks -= archive.block(before).num_tokens();
  return std::max(sinks, 0);
}

RegionSums SumRegions(const Archive& archive, const ModelProfile& profile, std::size_t head,
                      const HeadQueries& queries) {
  const CpuKernels& kernels = GetCpuKernels();
  const int dims = profile.heads[head].code_dims(), count = queries.num_queries;
  const int region_tokens = archive.layout().region_tokens;
  RegionSums result(archive.num_regions(), count);
  float* const maxima = result.maxima.mutable_data_ptr<float>();
  float* const sums = result.sums.mutable_data_ptr<float>();
  ForEachBlock(archive, [&](std::int64_t index) {
    const ArchiveBlock& block = archive.block(index);
    std::vector<std::int8_t> codes(static_cast<std::size_t>(block.num_tokens()) * dims);
    UnpackCodes(profile, head, block.codes(), block.num_tokens(), codes.data());
    std::vector<float> scratch(static_cast<std::size_t>(region_tokens) * (dims + 1));
    const int sinks = SinksOfBlock(archive, index);
    for (int region = 0; region < block.num_regions(); ++region) {
      const int end = std::min((region + 1) * region_tokens, block.num_tokens());
      const int first = std::max(region * region_tokens, sinks), tokens = end - first;
      if (tokens <= 0) continue;
      const std::int64_t row = (archive.first_region(index) + region) * count;
      kernels.score_codes(queries.values.data(), count, codes.data() + static_cast<std::ptrdiff_t>(first) * dims,
                          tokens, dims, scratch.data(), maxima + row, sums + row);
    }
  });
  return result;
}

// A head's queries: of the question, then of the background.
HeadQueries WithBackground(const RetrievalHead& head, const HeadQueries& question) {
  HeadQueries all = question;
  if (head.background.empty()) return all;
  const auto dims = static_cast<std::int64_t>(head.mean.size());
  const HeadQueries background = ProjectQueries(
      head, at::tensor(head.background).view({static_cast<std::int64_t>(head.background.size()) / dims, dims}));
  all.values.insert(all.values.end(), background.values.begin(), background.values.end());
  all.num_queries += background.num_queries;
  return all;
}

// How much each query of a head counts for a score: those of the question's tokens, over all query heads, add up to 1,
// those of the background to -kBackgroundWeight.
std::vector<double> QueryWeights(int num_question, int num_all, absl::Span<const float> token_weights) {
  const std::size_t tokens = token_weights.size();
  std::vector<double> weights(num_all, num_all == num_question ? 0.0 : -kBackgroundWeight / (num_all - num_question));
  for (int query = 0; query < num_question; ++query) {
    weights[query] = token_weights[query % tokens] * static_cast<double>(tokens) / num_question;
  }
  return weights;
}

// The mean over queries of their attention's shares, and over heads of the weighted roots of the shares.
struct MeanAttention {
  explicit MeanAttention(std::int64_t regions) : shares(at::zeros({regions})), scores(at::zeros({regions})) {}

  // Of one head: `of_regions` [regions, queries], the question's queries first.
  void Add(const at::Tensor& of_regions, int num_question, const std::vector<double>& weights) {
    shares.add_(of_regions.narrow(1, 0, num_question).sum(1));
    scores.add_(at::mv(of_regions.sqrt(), at::tensor(weights, at::kFloat)));
    num_queries += num_question;
    ++num_heads;
  }
  AttentionScores Get() const {
    const at::Tensor of_queries = shares / std::max(num_queries, 1), of_heads = scores / std::max(num_heads, 1);
    const auto vector = [](const at::Tensor& values) {
      const float* data = values.const_data_ptr<float>();
      return std::vector<float>(data, data + values.numel());
    };
    return {.shares = vector(of_queries), .scores = vector(of_heads)};
  }

  at::Tensor shares, scores;  // fp32 [regions], summed
  int num_queries = 0, num_heads = 0;
};

}  // namespace

std::vector<float> TokenWeights(const Archive& archive, absl::Span<const TokenId> question) {
  std::vector<std::atomic<std::int64_t>> counts(static_cast<std::size_t>(archive.layout().vocab_size));
  std::vector<bool> wanted(counts.size());
  for (const TokenId token : question) wanted[static_cast<std::size_t>(token)] = true;
  ForEachBlock(archive, [&](std::int64_t index) {
    const ArchiveBlock& block = archive.block(index);
    for (int i = 0; i < block.num_tokens(); ++i) {
      const auto token = static_cast<std::size_t>(block.token(i));
      if (wanted[token]) counts[token].fetch_add(1, std::memory_order_relaxed);
    }
  });
  std::vector<float> weights;
  double total = 0;
  for (const TokenId token : question) {
    const auto count = static_cast<double>(counts[static_cast<std::size_t>(token)].load());
    const double rarity = std::log((static_cast<double>(archive.num_tokens()) + 1) / (count + 1));
    weights.push_back(static_cast<float>(rarity * rarity));
    total += weights.back();
  }
  // A question of the archive's only token says as little with each of its tokens.
  for (float& weight : weights) {
    weight = total > 0 ? static_cast<float>(weight / total) : 1.0f / static_cast<float>(weights.size());
  }
  return weights;
}

AttentionScores ScoreByAttention(const Archive& archive, const ModelProfile& profile,
                                 absl::Span<const HeadQueries> queries, absl::Span<const float> weights) {
  const c10::InferenceMode inference;
  MeanAttention mean(archive.num_regions());
  if (archive.num_tokens() <= kAttentionSinks) return mean.Get();
  for (std::size_t head = 0; head < profile.heads.size(); ++head) {
    const int own = queries[head].num_queries;
    const HeadQueries all = WithBackground(profile.heads[head], queries[head]);
    const RegionSums regions = SumRegions(archive, profile, head, all);
    const at::Tensor mass = at::exp(regions.maxima - regions.maxima.amax(0)).mul_(regions.sums);
    mean.Add(mass.div_(mass.sum(0)), own, QueryWeights(own, all.num_queries, weights));
  }
  return mean.Get();
}

AttentionScores ReferenceScoreByAttention(const Archive& archive, const ModelProfile& profile,
                                          absl::Span<const HeadQueries> queries, absl::Span<const float> weights) {
  std::vector<double> mean_shares(static_cast<std::size_t>(archive.num_regions())), mean_scores(mean_shares.size());
  int num_queries = 0;
  for (std::size_t head = 0; head < profile.heads.size(); ++head) {
    const int dims = profile.heads[head].code_dims(), own = queries[head].num_queries;
    const HeadQueries all = WithBackground(profile.heads[head], queries[head]);
    const std::vector<double> query_weights = QueryWeights(own, all.num_queries, weights);
    num_queries += own;
    for (int query = 0; query < all.num_queries; ++query) {
      std::vector<std::pair<std::size_t, double>> scores;  // region, score of a token
      for (std::int64_t index = 0; index < archive.num_blocks(); ++index) {
        const ArchiveBlock& block = archive.block(index);
        std::vector<std::int8_t> codes(static_cast<std::size_t>(block.num_tokens()) * dims);
        UnpackCodes(profile, head, block.codes(), block.num_tokens(), codes.data());
        for (int token = 0; token < block.num_tokens(); ++token) {
          double score = 0;
          for (int r = 0; r < dims; ++r) score += double{all.values[query * dims + r]} * codes[token * dims + r];
          scores.emplace_back(archive.first_region(index) + token / archive.layout().region_tokens, score);
        }
      }
      scores.erase(scores.begin(), scores.begin() + std::min<std::ptrdiff_t>(kAttentionSinks, scores.size()));
      double maximum = -std::numeric_limits<double>::infinity(), total = 0;
      for (const auto& [region, score] : scores) maximum = std::max(maximum, score);
      for (const auto& [region, score] : scores) total += std::exp(score - maximum);
      std::vector<double> shares(static_cast<std::size_t>(archive.num_regions()));
      for (const auto& [region, score] : scores) shares[region] += std::exp(score - maximum) / total;
      for (std::size_t region = 0; region < shares.size(); ++region) {
        if (query < own) mean_shares[region] += shares[region];
        mean_scores[region] += query_weights[query] * std::sqrt(shares[region]);
      }
    }
  }
  for (double& share : mean_shares) share /= std::max(num_queries, 1);
  for (double& score : mean_scores) score /= static_cast<double>(std::max<std::size_t>(profile.heads.size(), 1));
  return {.shares = {mean_shares.begin(), mean_shares.end()}, .scores = {mean_scores.begin(), mean_scores.end()}};
}

namespace {

// The terms of a question's words as texts in some languages have them.
struct QuestionStems {
  std::unordered_map<std::uint32_t, std::size_t> terms;  // of each stem; two for each word
  // Most words are none of the question's: 4,096 bits sort them out.
  std::vector<bool> seen = std::vector<bool>(4096);
  std::size_t num_words = 0;
};

QuestionStems StemQuestion(WordStemmer& stemmer, std::string_view question, const TextLanguages& languages) {
  QuestionStems stems;
  for (const WordStem& word : stemmer.Analyze(question, languages)) {
    if (!word.without_accents) ++stems.num_words;
    const std::size_t form = word.without_accents ? 1 : 0;
    stems.terms.emplace(word.hash, kFormsOfWord * (stems.num_words - 1) + form);
    stems.seen[word.hash % stems.seen.size()] = true;
  }
  return stems;
}

}  // namespace

std::vector<float> ScoreByStems(const Archive& archive, std::string_view question) {
  // Each text is compared in its own languages.
  std::unordered_map<std::uint32_t, QuestionStems> by_languages;
  WordStemmer stemmer;
  std::size_t num_words = 0;
  for (std::int64_t index = 0; index < archive.num_blocks(); ++index) {
    const TextLanguages& languages = archive.block(index).languages();
    const auto [entry, added] = by_languages.try_emplace(languages.Packed());
    if (!added) continue;
    entry->second = StemQuestion(stemmer, question, languages);
    num_words = entry->second.num_words;  // the same in all languages
  }
  TermCounts counts(archive.num_regions(), kFormsOfWord * num_words, kFormsOfWord);
  ForEachBlock(archive, [&](std::int64_t index) {
    const ArchiveBlock& block = archive.block(index);
    const QuestionStems& own = by_languages.at(block.languages().Packed());
    for (int region = 0; region < block.num_regions(); ++region) {
      const std::int64_t number = archive.first_region(index) + region;
      const absl::Span<const std::uint32_t> stems = block.Stems(region);
      counts.lengths[number] = static_cast<std::uint32_t>(stems.size());
      for (const std::uint32_t stem : stems) {
        if (!own.seen[stem % own.seen.size()]) continue;
        if (const auto found = own.terms.find(stem); found != own.terms.end()) ++counts.row(number)[found->second];
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

namespace {

double MeaningWeight(double found, double regions) { return std::log(1.0 + (regions - found + 0.5) / (found + 0.5)); }

double MeaningScore(double weight, double sum, double k1 = kMeaningK1) {
  return weight * sum * (kMeaningK1 + 1.0) / (sum + k1);
}

// The summed similarity of each region's tokens with some of the question's: [regions, batch].
std::vector<float> RegionSimilarities(const Archive& archive, const at::Tensor& similarities) {
  const auto batch = static_cast<std::size_t>(similarities.size(1));
  const float* table = similarities.const_data_ptr<float>();
  std::vector<float> sums(static_cast<std::size_t>(archive.num_regions()) * batch);
  ForEachBlock(archive, [&](std::int64_t index) {
    const ArchiveBlock& block = archive.block(index);
    for (int i = 0; i < block.num_tokens(); ++i) {
      const std::int64_t region = archive.first_region(index) + i / archive.layout().region_tokens;
      const float* row = table + static_cast<std::size_t>(block.token(i)) * batch;
      float* sum = sums.data() + static_cast<std::size_t>(region) * batch;
      for (std::size_t k = 0; k < batch; ++k) sum[k] += row[k];
    }
  });
  return sums;
}

}  // namespace

MeaningScores ScoreByMeaning(const Archive& archive, const at::Tensor& similarities) {
  const auto regions = static_cast<std::size_t>(archive.num_regions());
  std::vector<double> scores(regions), weights;
  for (std::int64_t first = 0; first < similarities.size(1); first += kMeaningBatch) {
    const std::int64_t batch = std::min(kMeaningBatch, similarities.size(1) - first);
    const at::Tensor own = similarities.narrow(1, first, batch).contiguous();
    const std::vector<float> sums =
        RegionSimilarities(archive, at::where(own >= kLeastSimilarity, own, at::zeros({}, own.options())));
    for (std::int64_t k = 0; k < batch; ++k) {
      double found = 0;
      for (std::size_t region = 0; region < regions; ++region) found += std::min(1.0f, sums[region * batch + k]);
      weights.push_back(MeaningWeight(found, static_cast<double>(regions)));
      for (std::size_t region = 0; region < regions; ++region) {
        scores[region] += MeaningScore(weights.back(), sums[region * batch + k]);
      }
    }
  }
  return {.scores = {scores.begin(), scores.end()}, .weights = std::move(weights)};
}

namespace {

// Of one token of the question to those of a text: all that have to do with it, and the nearest one.
struct Likeness {
  double sum = 0, nearest = 0;
};
Likeness LikenessOf(const at::Tensor& similarities, std::size_t question_token, absl::Span<const TokenId> text) {
  const auto stride = static_cast<std::size_t>(similarities.size(1));
  const float* column = similarities.const_data_ptr<float>() + question_token;
  Likeness likeness;
  for (const TokenId token : text) {
    const double similarity = column[static_cast<std::size_t>(token) * stride];
    if (similarity >= kLeastSimilarity) likeness.sum += similarity;
    likeness.nearest = std::max(likeness.nearest, similarity);
  }
  return likeness;
}

}  // namespace

double ScoreTextByMeaning(const at::Tensor& similarities, absl::Span<const double> weights,
                          absl::Span<const TokenId> text) {
  double score = 0;
  for (std::size_t k = 0; k < weights.size(); ++k) {
    score += MeaningScore(weights[k], LikenessOf(similarities, k, text).sum);
  }
  return score;
}

SentenceMeaning ScoreSentenceByMeaning(const at::Tensor& similarities, absl::Span<const double> weights,
                                       absl::Span<const TokenId> sentence) {
  const double k1 = kMeaningK1 * static_cast<double>(sentence.size()) / kUsualSentence;
  SentenceMeaning meaning;
  for (std::size_t k = 0; k < weights.size(); ++k) {
    const Likeness likeness = LikenessOf(similarities, k, sentence);
    meaning.by_all += MeaningScore(weights[k], likeness.sum, k1);
    meaning.by_nearest += MeaningScore(weights[k], likeness.nearest, k1);
  }
  return meaning;
}

std::vector<float> ReferenceScoreByMeaning(const Archive& archive, const at::Tensor& similarities) {
  std::vector<double> scores(static_cast<std::size_t>(archive.num_regions()));
  for (std::int64_t k = 0; k < similarities.size(1); ++k) {
    std::vector<double> sums(scores.size());
    double found = 0;
    for (std::int64_t region = 0; region < archive.num_regions(); ++region) {
      for (const TokenId token : archive.RegionTokens(region, region + 1)) {
        const auto similarity = similarities[token][k].item<float>();
        if (similarity >= kLeastSimilarity) sums[region] += similarity;
      }
      found += std::min(1.0, sums[region]);
    }
    const double weight = MeaningWeight(found, static_cast<double>(scores.size()));
    for (std::size_t region = 0; region < scores.size(); ++region) {
      scores[region] += MeaningScore(weight, sums[region]);
    }
  }
  return {scores.begin(), scores.end()};
}

std::vector<float> AddStandardised(absl::Span<const std::vector<float>> lists) {
  std::vector<float> total;
  for (const std::vector<float>& list : lists) {
    const auto count = static_cast<double>(list.size());
    double mean = 0, variance = 0;
    for (const float score : list) mean += score / count;
    for (const float score : list) variance += (score - mean) * (score - mean) / count;
    if (total.size() < list.size()) total.resize(list.size());
    if (variance <= 0) continue;
    const double deviation = std::sqrt(variance);
    for (std::size_t i = 0; i < list.size(); ++i) total[i] += static_cast<float>((list[i] - mean) / deviation);
  }
  return total;
}

std::vector<float> RoutingScores(const std::vector<float>& attention, absl::Span<const std::vector<float>> meanings,
                                 const std::vector<float>& stems) {
  std::vector<std::vector<float>> lists(meanings.begin(), meanings.end());
  lists.push_back(attention);
  std::vector<float> scores = AddStandardised(lists);
  const float stem_weight = attention.empty() ? kStemWeightAlone : kStemWeight;
  for (std::size_t i = 0; i < scores.size(); ++i) scores[i] += stem_weight * stems[i];
  return scores;
}

std::vector<std::int64_t> BestRegions(absl::Span<const float> scores, std::size_t count, float floor) {
  std::vector<std::int64_t> regions;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (scores[i] > floor) regions.push_back(static_cast<std::int64_t>(i));
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

std::vector<std::int64_t> TakeInTurn(const std::vector<std::int64_t>& first, int run,
                                     const std::vector<std::int64_t>& second, std::size_t count) {
  std::vector<std::int64_t> taken;
  std::unordered_set<std::int64_t> seen;
  const auto take = [&](const std::vector<std::int64_t>& list, std::size_t index) {
    if (index < list.size() && taken.size() < count && seen.insert(list[index]).second) taken.push_back(list[index]);
  };
  const auto step = static_cast<std::size_t>(run);
  for (std::size_t turn = 0; turn * step < first.size() || turn < second.size(); ++turn) {
    for (std::size_t i = 0; i < step; ++i) take(first, turn * step + i);
    take(second, turn);
  }
  return taken;
}

}  // namespace tome
