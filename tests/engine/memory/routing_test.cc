// Routers against their definitions.
#include "engine/memory/routing.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>
#include <set>

#include "engine/text/words/word_stems.h"
#include "tests/support/engine_models.h"
#include "tests/support/tiny_profile.h"

namespace tome {
namespace {

using ::testing::ElementsAre;

const std::shared_ptr<const Model>& TinyModel() {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  return model;
}

// An archive of random segments with random codes.
Archive RandomArchive(const ModelProfile& profile, int region_tokens, int num_segments, unsigned seed) {
  std::mt19937 random(seed);
  Archive archive({.region_tokens = region_tokens, .vocab_size = 300, .code_bytes = profile.code_bytes()});
  for (int i = 0; i < num_segments; ++i) {
    const std::size_t count = i < 2 ? 3 : 1 + random() % 90;  // both have attention sinks
    std::vector<TokenId> tokens;
    std::vector<TokenSpan> spans;
    for (std::size_t k = 0; k < count; ++k) {
      tokens.push_back(static_cast<TokenId>('a' + random() % 6));
      if (random() % 5 == 0) tokens.back() = ' ';
      spans.push_back({.document = static_cast<std::uint32_t>(i), .num_bytes = 1, .begin = k});
    }
    std::string codes(count * profile.code_bytes(), '\0');
    for (char& code : codes) code = static_cast<char>(random());
    archive.Append(ArchiveBlock::Make(archive.layout(), tokens, spans, codes, *TinyModel()->tokenizer()));
  }
  return archive;
}

TEST(RoutingCodec, CodesKeepTheProductsOfQueriesAndKeys) {
  at::manual_seed(5);
  for (const int bits : {4, 8}) {
    const ModelProfile profile = testing::RandomProfile(TinyModel()->info(), bits);
    const at::Tensor keys = at::randn({2, 2, 50, 16}) * 0.3;
    const std::string codes = EncodeKeys(profile, keys);
    ASSERT_EQ(codes.size(), 50u * profile.code_bytes());
    for (std::size_t i = 0; i < profile.heads.size(); ++i) {
      const RetrievalHead& head = profile.heads[i];
      const at::Tensor queries = at::randn({3, 16});
      const HeadQueries projected = ProjectQueries(head, queries);
      std::vector<std::int8_t> unpacked(50 * 8);
      UnpackCodes(profile, i, reinterpret_cast<const std::uint8_t*>(codes.data()), 50, unpacked.data());
      const at::Tensor basis = at::tensor(head.basis).view({8, 16});
      const at::Tensor centred = keys[head.layer][head.kv_head] - at::tensor(head.mean);
      const at::Tensor exact = at::matmul(at::matmul(queries, basis.t()), at::matmul(basis, centred.t())) / 4.0;
      for (int query = 0; query < 3; ++query) {
        for (int token = 0; token < 50; ++token) {
          double found = 0;
          for (int r = 0; r < 8; ++r) found += projected.values[query * 8 + r] * unpacked[token * 8 + r];
          EXPECT_NEAR(found, exact[query][token].item<double>(), bits == 8 ? 0.03 : 0.4);
        }
      }
    }
  }
}

TEST(Routing, AttentionEqualsItsDefinition) {
  std::mt19937 random(6);
  std::normal_distribution<float> normal;
  for (const int bits : {4, 8}) {
    const ModelProfile profile = testing::RandomProfile(TinyModel()->info(), bits);
    for (const int region_tokens : {8, 17, 64}) {
      const Archive archive = RandomArchive(profile, region_tokens, 12, region_tokens);
      std::vector<HeadQueries> queries(2);
      std::vector<float> weights = {0.5f, 0.2f, 0.3f};
      for (std::size_t i = 0; i < 2; ++i) {
        queries[i].num_queries = static_cast<int>(3 * (1 + random() % 3));
        for (int k = 0; k < queries[i].num_queries * 8; ++k) {
          queries[i].values.push_back(normal(random) * (bits == 8 ? 0.02f : 0.3f));
        }
      }
      const AttentionScores found = ScoreByAttention(archive, profile, queries, weights);
      const AttentionScores expected = ReferenceScoreByAttention(archive, profile, queries, weights);
      double sum = 0;
      for (std::size_t i = 0; i < expected.shares.size(); ++i) {
        EXPECT_NEAR(found.shares[i], expected.shares[i], 1e-5);
        EXPECT_NEAR(found.scores[i], expected.scores[i], 1e-4);
        sum += found.shares[i];
      }
      EXPECT_NEAR(sum, 1.0, 1e-4);
      EXPECT_EQ(found.shares[0], 0) << "it has nothing but attention sinks";
      EXPECT_EQ(found.scores[0], 0);
      EXPECT_GT(found.shares[1], 0);
    }
  }
}

TEST(Routing, TokenWeightsFavourRareTokensAndAddUpToOne) {
  const ModelProfile profile = testing::RandomProfile(TinyModel()->info(), 8);
  const Archive archive = RandomArchive(profile, 16, 12, 3);
  const std::vector<TokenId> all = archive.RegionTokens(0, archive.num_regions());
  std::map<TokenId, int> counts;
  for (const TokenId token : all) ++counts[token];
  const auto [rare, often] = std::minmax_element(counts.begin(), counts.end(),
                                                 [](const auto& a, const auto& b) { return a.second < b.second; });
  ASSERT_LT(rare->second, often->second);
  const std::vector<float> weights = TokenWeights(archive, std::vector<TokenId>{rare->first, often->first});
  EXPECT_GT(weights[0], weights[1]);
  EXPECT_NEAR(weights[0] + weights[1], 1.0, 1e-6);
  EXPECT_GT(weights[1], 0);
}

TEST(Routing, MeaningEqualsItsDefinition) {
  const ModelProfile profile = testing::RandomProfile(TinyModel()->info(), 8);
  at::manual_seed(4);
  for (const int region_tokens : {8, 17, 64}) {
    const Archive archive = RandomArchive(profile, region_tokens, 12, region_tokens);
    for (const int question_tokens : {1, 5, 40}) {
      const at::Tensor similarities = at::rand({archive.layout().vocab_size, question_tokens}) * 0.4 - 0.1;
      const auto [found, weights] = ScoreByMeaning(archive, similarities);
      const std::vector<float> expected = ReferenceScoreByMeaning(archive, similarities);
      ASSERT_EQ(found.size(), expected.size());
      for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-3 * (1 + expected[i]));
      for (std::int64_t i = 0; i < archive.num_regions(); ++i) {
        EXPECT_NEAR(ScoreTextByMeaning(similarities, weights, archive.RegionTokens(i, i + 1)), expected[i],
                    1e-3 * (1 + expected[i]));
      }
    }
  }
}

TEST(Routing, SentencesAreScoredByAllAndByTheNearestOfTheirTokens) {
  at::manual_seed(6);
  const std::int64_t vocabulary = 50;
  for (const int length : {1, 7, 20, 64}) {
    const at::Tensor similarities = at::rand({vocabulary, 3}) * 0.6 - 0.2;
    const std::vector<double> weights = {0.5, 2.0, 7.0};
    std::vector<TokenId> sentence;
    for (int i = 0; i < length; ++i) sentence.push_back((i * 7 + length) % vocabulary);
    double by_all = 0, by_nearest = 0;
    for (int k = 0; k < 3; ++k) {
      double sum = 0, nearest = 0;
      for (const TokenId token : sentence) {
        const auto similarity = similarities[token][k].item<float>();
        if (similarity >= 0.15f) sum += similarity;
        if (similarity > nearest) nearest = similarity;
      }
      const double k1 = 0.3 * length / 20;
      by_all += weights[k] * sum * 1.3 / (sum + k1);
      by_nearest += weights[k] * nearest * 1.3 / (nearest + k1);
    }
    const SentenceMeaning found = ScoreSentenceByMeaning(similarities, weights, sentence);
    EXPECT_NEAR(found.by_all, by_all, 1e-6 * (1 + by_all));
    EXPECT_NEAR(found.by_nearest, by_nearest, 1e-6 * (1 + by_nearest));
    if (length == 20) {
      EXPECT_NEAR(found.by_all, ScoreTextByMeaning(similarities, weights, sentence), 1e-6);
    }
  }
}

TEST(Routing, StandardisedScoresCountAlikeWhateverTheirScale) {
  const std::vector<float> first = {1, 2, 3, 4}, second = {4000, 3000, 2000, 1000}, flat = {7, 7, 7, 7};
  for (const float sum : AddStandardised({first, second, flat})) EXPECT_NEAR(sum, 0, 1e-5);
  const std::vector<float> twice = AddStandardised({first, {}, first});
  EXPECT_NEAR(twice[3], 2 * 1.5 / std::sqrt(1.25), 1e-5);
  EXPECT_TRUE(AddStandardised({}).empty());
}

// BM25 by its formula, of regions given as lists of terms.
std::vector<double> SlowBm25(const std::vector<std::vector<std::uint64_t>>& regions, const std::vector<double>& lengths,
                             const std::set<std::uint64_t>& question) {
  double mean = 0;
  for (const double length : lengths) mean += length / static_cast<double>(lengths.size());
  std::vector<double> scores(regions.size());
  for (const std::uint64_t term : question) {
    double with = 0;
    for (const auto& region : regions) with += std::count(region.begin(), region.end(), term) > 0;
    const double n = static_cast<double>(regions.size());
    const double weight = std::log(1 + (n - with + 0.5) / (with + 0.5));
    for (std::size_t i = 0; i < regions.size(); ++i) {
      const auto count = static_cast<double>(std::count(regions[i].begin(), regions[i].end(), term));
      scores[i] += weight * count * 1.9 / (count + 0.9 * (0.6 + 0.4 * lengths[i] / mean));
    }
  }
  return scores;
}

TEST(Routing, Bm25EqualsItsFormula) {
  const ModelProfile none;
  const Archive archive = RandomArchive(none, 16, 20, 9);
  const std::string question = "abc de f ab abc";
  std::vector<TokenId> question_tokens;
  for (const char c : question) question_tokens.push_back(c);

  std::vector<std::vector<std::uint64_t>> stems, tokens;
  std::vector<double> stem_lengths, token_lengths;
  const auto pair = [](TokenId a, TokenId b) { return 1000 + static_cast<std::uint64_t>(a) * 1000 + b; };
  for (std::int64_t i = 0; i < archive.num_regions(); ++i) {
    const ArchivedRegion region = archive.region(i);
    const auto own = region.block->Stems(region.index);
    stems.emplace_back(own.begin(), own.end());
    stem_lengths.push_back(static_cast<double>(own.size()));
    tokens.emplace_back();
    for (int k = region.first; k < region.end; ++k) {
      tokens.back().push_back(region.block->token(k));
      if (k > 0) tokens.back().push_back(pair(region.block->token(k - 1), region.block->token(k)));
    }
    token_lengths.push_back(region.end - region.first);
  }
  std::set<std::uint64_t> stem_terms, token_terms;
  WordStemmer stemmer;
  for (const WordStem& word : stemmer.Analyze(question)) stem_terms.insert(word.hash);
  for (std::size_t i = 0; i < question_tokens.size(); ++i) {
    token_terms.insert(question_tokens[i]);
    if (i > 0) token_terms.insert(pair(question_tokens[i - 1], question_tokens[i]));
  }
  const std::vector<float> by_stems = ScoreByStems(archive, question);
  const std::vector<float> by_tokens = ScoreByTokens(archive, question_tokens);
  const std::vector<double> slow_stems = SlowBm25(stems, stem_lengths, stem_terms);
  const std::vector<double> slow_tokens = SlowBm25(tokens, token_lengths, token_terms);
  for (std::size_t i = 0; i < by_stems.size(); ++i) {
    EXPECT_NEAR(by_stems[i], slow_stems[i], 1e-4);
    EXPECT_NEAR(by_tokens[i], slow_tokens[i], 1e-4);
  }
  EXPECT_GT(*std::max_element(by_stems.begin(), by_stems.end()), 0);
}

TEST(Routing, NothingToFindIsNoScore) {
  const ModelProfile none;
  const Archive archive = RandomArchive(none, 16, 3, 10);
  for (const float score : ScoreByStems(archive, "...")) EXPECT_EQ(score, 0);
  for (const float score : ScoreByStems(archive, "zebra")) EXPECT_EQ(score, 0);
  EXPECT_TRUE(BestRegions(ScoreByStems(archive, "zebra"), 5).empty());
  EXPECT_TRUE(ScoreByStems(Archive({.vocab_size = 300}), "zebra").empty());
}

TEST(Routing, ListsAreRankedAndFused) {
  EXPECT_THAT(BestRegions(std::vector<float>{0, 3, 1, 3, 0.5f}, 3), ElementsAre(1, 3, 2));
  const std::vector<std::vector<std::int64_t>> lists = {{5, 1, 2}, {7, 5}, {}};
  EXPECT_THAT(BestRegions(std::vector<float>{-1, 3, -2}, 3, -1.5f), ElementsAre(1, 0));
  EXPECT_THAT(TakeInTurn(lists[0], 1, lists[1], 10), ElementsAre(5, 7, 1, 2));
  EXPECT_THAT(TakeInTurn(lists[0], 2, lists[1], 3), ElementsAre(5, 1, 7));
  EXPECT_THAT(TakeInTurn(lists[2], 2, lists[1], 3), ElementsAre(7, 5));
  EXPECT_THAT(FuseByReciprocalRank(lists, 10), ElementsAre(5, 7, 1, 2));
  EXPECT_THAT(FuseByReciprocalRank(lists, 1), ElementsAre(5));
}

}  // namespace
}  // namespace tome
