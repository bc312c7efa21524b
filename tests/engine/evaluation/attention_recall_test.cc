#include "engine/evaluation/attention_recall.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "engine/memory/sequence_cache.h"
#include "engine/model/llama_model.h"
#include "tests/support/engine_models.h"
#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

// 3 regions are twice chosen at most; window and segments small enough that 300 tokens leave 12.
const AttentionRecallOptions kOptions = {
    .memory = {.sink_tokens = 4,
               .window_tokens = 64,
               .segment_tokens = 32,
               .region_tokens = 16,
               .regions = {.selected = 2, .query_region_tokens = 16, .precision = RegionPrecision::kComputed}},
    .selected = {1, 3}};

const std::shared_ptr<const Model>& TinyModel() {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  return model;
}

std::vector<TokenId> RandomTokens(std::size_t count) {
  std::mt19937 random(1);
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) token = static_cast<TokenId>(random() % 256);
  return tokens;
}

// Queries and keys of one layer, un-rotated and rotated, [H or KV][T][D].
struct Layer {
  at::Tensor queries, keys, rotated_queries, rotated_keys;
};

class Capture final : public SequenceAttention {
 public:
  Capture(const LlamaWeights& weights, std::int64_t tokens)
      : weights_(weights), dense_(weights, MemoryState({}), tokens) {}

  void Attend(std::int64_t layer, const at::Tensor& qkv, const at::Tensor& out) override {
    const auto [queries, keys, values] = QueryKeyValue::Split(qkv, weights_.config);
    Layer own{queries.clone(), keys.clone(), at::empty_like(queries), at::empty_like(keys)};
    RotateInto(own.queries, weights_.rope, 0, own.rotated_queries);
    RotateInto(own.keys, weights_.rope, 0, own.rotated_keys);
    layers.push_back(own);
    dense_.Attend(layer, qkv, out);
  }

  std::vector<Layer> layers;

 private:
  const LlamaWeights& weights_;
  SequenceCache dense_;
};

// The same by definition, token by token.
class Slow {
 public:
  Slow(const Layer& layer, const LlamaConfig& config) : layer_(layer), config_(config) {}

  // The attention that the queries of tokens first .. end - 1, of all heads, give to region `region`.
  double Mass(std::int64_t first, std::int64_t end, std::int64_t region) const {
    double mass = 0;
    for (std::int64_t head = 0; head < config_.num_heads; ++head) {
      const at::Tensor keys = layer_.rotated_keys[head * config_.num_kv_heads / config_.num_heads];
      for (std::int64_t t = first; t < end; ++t) {
        const at::Tensor scores = at::matmul(keys.narrow(0, 0, t + 1), layer_.rotated_queries[head][t]);
        const at::Tensor shares = at::softmax(scores / std::sqrt(double(config_.head_dim)), 0);
        for (std::int64_t token = Begin(region); token < Begin(region + 1); ++token) {
          mass += shares[token].item<double>();
        }
      }
    }
    return mass;
  }

  double Score(const std::string& way, std::int64_t first, std::int64_t end, std::int64_t region) const {
    double score = 0;
    for (std::int64_t kv = 0; kv < config_.num_kv_heads; ++kv) {
      std::vector<double> products(16);
      for (std::int64_t d = 0; d < config_.head_dim; ++d) {
        const double query = Pooled(kv, d, first, end);
        double sum = 0, low = 1e9, high = -1e9;
        for (std::int64_t i = 0; i < 16; ++i) {
          const double key = layer_.keys[kv][Begin(region) + i][d].item<double>();
          products[i] += query * key;
          sum += key;
          low = std::min(low, key);
          high = std::max(high, key);
        }
        if (way == "mean") score += query * sum / 16;
        if (way == "quest") score += std::max(query * low, query * high);
      }
      if (way == "max") score += *std::max_element(products.begin(), products.end());
    }
    return score;
  }

  std::set<std::int64_t> Best(const std::string& way, std::int64_t first, std::int64_t end, std::int64_t regions,
                              int count) const {
    std::vector<std::pair<double, std::int64_t>> scored;
    for (std::int64_t region = 0; region < regions; ++region) {
      scored.emplace_back(-Score(way, first, end, region), region);
    }
    std::sort(scored.begin(), scored.end());
    std::set<std::int64_t> best;
    for (int i = 0; i < count; ++i) best.insert(scored[i].second);
    return best;
  }

 private:
  static std::int64_t Begin(std::int64_t region) { return 4 + 16 * region; }
  double Pooled(std::int64_t kv, std::int64_t d, std::int64_t first, std::int64_t end) const {
    const std::int64_t group = config_.num_heads / config_.num_kv_heads;
    double sum = 0;
    for (std::int64_t head = kv * group; head < (kv + 1) * group; ++head) {
      for (std::int64_t t = first; t < end; ++t) sum += layer_.queries[head][t][d].item<double>();
    }
    return sum / static_cast<double>(end - first);
  }

  const Layer& layer_;
  const LlamaConfig& config_;
};

// What `way` keeps at k = 3 in one layer.
double SlowKept(const Slow& slow, const std::string& way, std::int64_t tokens) {
  double kept = 0, beyond = 0;
  for (std::int64_t block = 1; block * 16 < tokens; ++block) {
    const std::int64_t segment = block * 16 / 32 * 32, regions = (segment - 4 - 64) / 16;
    if (segment < 4 + 64 || regions < 6) continue;
    const std::int64_t first = block * 16, end = std::min(tokens, first + 16);
    std::set<std::int64_t> chosen;
    if (way == "memory") {
      const std::int64_t run = block / 2 * 2;
      chosen = slow.Best("mean", (run - 2) * 16, (run - 1) * 16, regions, 3);
      chosen.merge(slow.Best("mean", (run - 1) * 16, run * 16, regions, 3));
    } else if (way == "mean-own") {
      chosen = slow.Best("mean", first, end, regions, 3);
    } else {
      chosen = slow.Best(way, first - 16, first, regions, 3);
    }
    for (std::int64_t region = 0; region < regions; ++region) {
      const double mass = slow.Mass(first, end, region);
      beyond += mass;
      if (chosen.contains(region)) kept += mass;
    }
  }
  return kept / beyond;
}

std::size_t WayIndex(const std::string& way) {
  return std::find(std::begin(kSelectionWays), std::end(kSelectionWays), way) - std::begin(kSelectionWays);
}

TEST(AttentionRecall, IsThatOfTheDefinition) {
  const std::vector<TokenId> tokens = RandomTokens(300);
  const auto recall = MeasureAttentionRecall(TinyModel(), tokens, kOptions);
  ASSERT_THAT(recall, IsOk());
  const LlamaWeights& weights = LlamaModel::From(*TinyModel()).weights();
  Capture capture(weights, 300);
  ForwardLayers(weights, tokens, weights.config.num_layers, capture);
  ASSERT_EQ(recall->layers.size(), capture.layers.size());
  for (std::size_t layer = 0; layer < capture.layers.size(); ++layer) {
    const Slow slow(capture.layers[layer], weights.config);
    for (const char* way : {"mean", "max", "quest", "mean-own", "memory"}) {
      EXPECT_NEAR(recall->layers[layer].ways[WayIndex(way)].kept[1], SlowKept(slow, way, 300), 1e-4) << way;
    }
  }
}

TEST(AttentionRecall, NothingKeepsMoreThanTheBest) {
  const AttentionRecall recall = *MeasureAttentionRecall(TinyModel(), RandomTokens(300), kOptions);
  EXPECT_EQ(recall.tokens, 300);
  EXPECT_EQ(recall.fewest_regions, 7) << "the first segment with twice three: token 192";
  EXPECT_EQ(recall.most_regions, 13);
  EXPECT_EQ(recall.query_regions, 7);
  EXPECT_GT(recall.all.beyond, 0.1);
  EXPECT_LT(recall.all.beyond, 1);
  const WayRecall& best = recall.all.ways[WayIndex("best")];
  for (const char* way : {"mean", "max", "quest", "mean-own", "random", "recent"}) {
    for (std::size_t i = 0; i < 2; ++i) {
      const WayRecall& own = recall.all.ways[WayIndex(way)];
      EXPECT_LE(own.kept[i], best.kept[i] + 1e-9) << way;
      EXPECT_EQ(own.regions[i], kOptions.selected[i]);
    }
    EXPECT_LT(recall.all.ways[WayIndex(way)].kept[0], recall.all.ways[WayIndex(way)].kept[1]);
  }
  EXPECT_GT(recall.all.ways[WayIndex("memory")].regions[1], 3);
}

TEST(AttentionRecall, ReportsTablesJsonAndAPicture) {
  const AttentionRecall recall = *MeasureAttentionRecall(TinyModel(), RandomTokens(300), kOptions);
  EXPECT_THAT(FormatAttentionRecall(recall), HasSubstr("| mean-own "));
  const nlohmann::json json = ToJson(recall);
  EXPECT_EQ(json["layers"].size(), 2u);
  EXPECT_EQ(json["all"]["ways"]["best"]["kept"].size(), 2u);
  const std::string svg = DrawAttentionRecall(recall);
  EXPECT_THAT(svg, HasSubstr(">quest<"));
  EXPECT_THAT(svg, ::testing::Not(HasSubstr("nan")));
}

TEST(AttentionRecall, RefusesWhatCannotBeMeasured) {
  const auto status = [](std::size_t tokens, auto change) {
    AttentionRecallOptions options = kOptions;
    change(options);
    return MeasureAttentionRecall(TinyModel(), RandomTokens(tokens), options).status();
  };
  using Code = absl::StatusCode;
  EXPECT_THAT(status(5000, [](auto&) {}), StatusIs(Code::kInvalidArgument, HasSubstr("4096")));
  EXPECT_THAT(status(100, [](auto&) {}), StatusIs(Code::kInvalidArgument, HasSubstr("twice the 3")));
  EXPECT_THAT(status(300, [](auto& o) { o.selected = {}; }), StatusIs(Code::kInvalidArgument, HasSubstr("1 to 16")));
  EXPECT_THAT(status(300, [](auto& o) { o.selected = {0}; }), StatusIs(Code::kInvalidArgument, HasSubstr("found 0")));
  EXPECT_THAT(status(300, [](auto& o) { o.memory.regions.merge = 3; }),
              StatusIs(Code::kInvalidArgument, HasSubstr("query regions of 48")));
}

}  // namespace
}  // namespace tome
