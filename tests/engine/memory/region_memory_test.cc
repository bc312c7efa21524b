// What always holds of the region memory, on tiny random models.
#include "engine/memory/region_memory.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "engine/engine.h"
#include "engine/memory/sequence_cache.h"
#include "engine/model/forward.h"
#include "engine/model/llama_model.h"
#include "tests/support/engine_models.h"
#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

const std::shared_ptr<const Model>& TinyModel() {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  return model;
}
const LlamaWeights& TinyWeights() { return LlamaModel::From(*TinyModel()).weights(); }

const MemoryOptions kOptions = {.sink_tokens = 5,
                                .window_tokens = 24,
                                .segment_tokens = 32,
                                .region_tokens = 8,
                                .regions = {.selected = 2,
                                            .query_region_tokens = 8,
                                            .merge = 2,
                                            .ring_regions = 6,
                                            .precision = RegionPrecision::kComputed}};

std::vector<TokenId> RandomTokens(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) token = static_cast<TokenId>(random() % 256);
  return tokens;
}

// Reads as Task::Read does, and keeps what can be looked at.
struct Reader {
  explicit Reader(const MemoryOptions& options) : state(Memory::Create(TinyModel(), options)->state()) {}

  // Hidden states of the segment.
  at::Tensor ReadSegment(const std::vector<TokenId>& segment) {
    SegmentAttention attention(TinyWeights(), *state, static_cast<std::int64_t>(segment.size()));
    at::Tensor result = Forward(TinyWeights(), segment, attention);
    chosen.clear();
    for (std::int64_t layer = 0; layer < TinyWeights().config.num_layers; ++layer) {
      chosen.push_back(attention.chosen(layer));
    }
    SegmentRouting routing = attention.TakeRouting();
    KeyValueBlock block = std::move(attention).TakeBlock();
    keys.push_back(block.keys);
    values.push_back(block.values);
    std::vector<TokenSpan> spans(segment.size());
    auto archived = ArchiveBlock::Make(state->archive().layout(), segment, spans, "", *TinyModel()->tokenizer());
    state = state->Append(std::move(block), std::move(archived), std::move(routing));
    return result;
  }

  at::Tensor Read(const std::vector<TokenId>& tokens) {
    std::vector<at::Tensor> all;
    const auto size = static_cast<std::size_t>(state->options().segment_tokens);
    for (std::size_t first = 0; first < tokens.size(); first += size) {
      const std::size_t end = std::min(tokens.size(), first + size);
      all.push_back(ReadSegment({tokens.begin() + first, tokens.begin() + end}));
    }
    return at::cat(all);
  }

  std::shared_ptr<const MemoryState> state;
  std::vector<at::Tensor> keys, values;                        // of each segment
  std::vector<std::vector<std::vector<std::int64_t>>> chosen;  // of the last one: [layer][run]
};

TEST(RegionMemory, EqualsDenseAttentionWhenEverythingIsChosen) {
  const std::vector<TokenId> tokens = RandomTokens(201, 1);
  SequenceCache dense(TinyWeights(), MemoryState(MemoryOptions{}), 201);
  const at::Tensor expected = Forward(TinyWeights(), tokens, dense);
  for (const int query_region : {3, 8, 32}) {
    for (const int merge : {1, 3}) {
      MemoryOptions options = kOptions;
      options.regions = {.selected = 64,
                         .query_region_tokens = query_region,
                         .merge = merge,
                         .ring_regions = 64,
                         .precision = RegionPrecision::kComputed};
      Reader reader(options);
      EXPECT_TRUE(at::allclose(reader.Read(tokens), expected, 1e-4, 1e-5)) << query_region << " x " << merge;
      EXPECT_EQ(reader.state->regions().size(), (201 - 5 - 24) / 8);
    }
  }
}

TEST(RegionMemory, NoTokenDependsOnALaterOne) {
  const std::vector<TokenId> tokens = RandomTokens(160, 2);
  const at::Tensor before = Reader(kOptions).Read(tokens);
  for (const int changed : {70, 97, 110, 127, 128, 159}) {
    std::vector<TokenId> other = tokens;
    other[changed] = (other[changed] + 1) % 256;
    const at::Tensor after = Reader(kOptions).Read(other);
    EXPECT_TRUE(at::equal(after.narrow(0, 0, changed), before.narrow(0, 0, changed))) << changed;
    EXPECT_FALSE(at::equal(after[changed], before[changed])) << changed;
  }
}

// The choice of one run by its definition.
std::vector<std::int64_t> SlowChoice(const std::vector<at::Tensor>& queries, const MemoryState& state,
                                     std::int64_t layer) {
  std::vector<bool> taken(state.regions().size());
  for (const at::Tensor& query : queries) {  // [KV, D] each
    std::vector<std::pair<double, std::int64_t>> scores;
    for (std::int64_t i = 0; i < state.regions().size(); ++i) {
      const at::Tensor mean = state.regions().region(i).block.LayerKeys(layer, at::kDouble).mean(1);
      scores.emplace_back((mean * query).sum().item<double>(), i);
    }
    std::sort(scores.rbegin(), scores.rend());
    for (int i = 0; i < state.options().regions.selected && i < static_cast<int>(scores.size()); ++i) {
      taken[scores[i].second] = true;
    }
  }
  std::vector<std::int64_t> chosen;
  for (std::size_t i = 0; i < taken.size(); ++i) {
    if (taken[i]) chosen.push_back(static_cast<std::int64_t>(i));
  }
  return chosen;
}

// Keeps the un-rotated queries of each layer.
class QueryRecorder final : public SequenceAttention {
 public:
  explicit QueryRecorder(SequenceAttention& attention) : attention_(attention) {}
  void Attend(std::int64_t layer, const at::Tensor& qkv, const at::Tensor& out) override {
    queries.push_back(QueryKeyValue::Split(qkv, TinyWeights().config).queries.to(at::kDouble));
    attention_.Attend(layer, qkv, out);
  }
  std::vector<at::Tensor> queries;  // of each layer [H, T, D]

 private:
  SequenceAttention& attention_;
};

at::Tensor SlowPool(const at::Tensor& queries, std::int64_t first, std::int64_t count) {
  const LlamaConfig& config = TinyWeights().config;
  return queries.narrow(1, first, count).mean(1).view({config.num_kv_heads, -1, config.head_dim}).sum(1);
}

TEST(RegionMemory, ChoosesByTheQueriesOfTheRunBefore) {
  Reader reader(kOptions);
  reader.Read(RandomTokens(96, 3));
  const std::vector<TokenId> segments[] = {RandomTokens(32, 4), RandomTokens(32, 5)};
  std::vector<at::Tensor> before;
  for (const std::vector<TokenId>& segment : segments) {
    const std::shared_ptr<const MemoryState> state = reader.state;
    SegmentAttention attention(TinyWeights(), *state, 32);
    QueryRecorder recorder(attention);
    Forward(TinyWeights(), segment, recorder);
    for (std::int64_t layer = 0; layer < TinyWeights().config.num_layers; ++layer) {
      const at::Tensor& own = recorder.queries[layer];
      ASSERT_EQ(attention.chosen(layer).size(), 2u);
      EXPECT_EQ(attention.chosen(layer)[1], SlowChoice({SlowPool(own, 0, 8), SlowPool(own, 8, 8)}, *state, layer));
      if (before.empty()) continue;
      const at::Tensor& earlier = before[layer];
      EXPECT_EQ(attention.chosen(layer)[0],
                SlowChoice({SlowPool(earlier, 16, 8), SlowPool(earlier, 24, 8)}, *state, layer));
    }
    before = recorder.queries;
    reader.ReadSegment(segment);
  }
}

TEST(RegionMemory, LayersReuseTheChoiceOfTheOneThatRoutes) {
  MemoryOptions options = kOptions;
  options.regions.route_every = 2;
  Reader reader(options);
  reader.Read(RandomTokens(128, 6));
  ASSERT_GE(reader.chosen.size(), 2u);
  for (std::size_t layer = 0; layer < reader.chosen.size(); ++layer) {
    EXPECT_EQ(reader.chosen[layer], reader.chosen[layer - layer % 2]);
    EXPECT_FALSE(reader.chosen[layer].empty());
  }
}

std::vector<RegionMemoryOptions> Policies() {
  std::vector<RegionMemoryOptions> all;
  for (const RetentionScore score : {RetentionScore::kSelections, RetentionScore::kValueNorm, RetentionScore::kSurprise,
                                     RetentionScore::kNovelty, RetentionScore::kExpected, RetentionScore::kRandom}) {
    for (const RegionCompression compression : {RegionCompression::kWhole, RegionCompression::kMerge}) {
      if (compression == RegionCompression::kMerge && score == RetentionScore::kSelections) continue;
      RegionMemoryOptions options = kOptions.regions;
      options.ring_regions = 3;
      options.pool_regions = 4;
      options.retention = score;
      options.compression = compression;
      all.push_back(options);
    }
  }
  return all;
}

TEST(RegionMemory, KeepsTheNewestRegionsAndSelectsAmongOlderTokensBitForBit) {
  for (const RegionMemoryOptions& policy : Policies()) {
    SCOPED_TRACE(FormatRegionMemoryOptions(policy));
    MemoryOptions options = kOptions;
    options.regions = policy;
    Reader reader(options);
    reader.Read(RandomTokens(32 * 9, 7));
    const at::Tensor keys = at::cat(reader.keys, 2), values = at::cat(reader.values, 2);
    const RegionMemory& regions = reader.state->regions();
    ASSERT_EQ(regions.size(), 7);
    const std::int64_t window_begin = 32 * 9 - reader.state->window_tokens();
    std::int64_t token = 5;  // next that may be kept
    for (std::int64_t i = 0; i < regions.size(); ++i) {
      const MemoryRegion& region = regions.region(i);
      ASSERT_EQ(region.block.tokens(), 8);
      EXPECT_EQ(region.token_scores.size(), 8u);
      EXPECT_GE(region.first_token, token - (policy.compression == RegionCompression::kMerge ? 8 : 0));
      if (i >= 4) {
        EXPECT_EQ(region.first_token, window_begin - (7 - i) * 8) << "the ring has the newest";
        token = region.first_token;
      }
      for (std::int64_t k = 0; k < 8; ++k, ++token) {
        const auto is_kept = [&](std::int64_t original) {
          return at::equal(region.block.keys().select(2, k), keys.select(2, original)) &&
                 at::equal(region.block.values().select(2, k), values.select(2, original));
        };
        while (token < window_begin && !is_kept(token)) ++token;
        ASSERT_LT(token, window_begin) << "a kept token is none that was read, or out of order";
      }
    }
  }
}

TEST(RegionMemory, PoolKeepsTheRegionsWithTheBestScores) {
  // Random scores do not depend on what was attended to, so that a memory with room for all has those of all.
  MemoryOptions options = kOptions;
  options.regions.retention = RetentionScore::kRandom;
  options.regions.ring_regions = 3;
  options.regions.pool_regions = 1000;
  Reader all(options);
  options.regions.pool_regions = 4;
  Reader reader(options);
  const std::vector<TokenId> tokens = RandomTokens(32 * 9, 8);
  all.Read(tokens);
  reader.Read(tokens);
  const auto scores_of_pool = [](const RegionMemory& regions) {
    std::vector<float> scores;
    for (std::int64_t i = 0; i < regions.size() - 3; ++i) scores.push_back(ScoreRegion(regions.region(i).token_scores));
    std::sort(scores.rbegin(), scores.rend());
    return scores;
  };
  std::vector<float> expected = scores_of_pool(all.state->regions());
  ASSERT_GT(expected.size(), 20u);
  expected.resize(4);
  EXPECT_EQ(scores_of_pool(reader.state->regions()), expected);
}

TEST(RegionMemory, PoolKeepsWhatIsChosenMost) {
  MemoryOptions options = kOptions;
  options.regions.ring_regions = 2;
  options.regions.pool_regions = 2;
  RegionMemory regions(options.regions, 8);
  const auto region = [](std::int64_t first_token) {
    auto made = std::make_shared<MemoryRegion>();
    made->first_token = first_token;
    return made;
  };
  regions = regions.Append({region(0), region(8), region(16), region(24)}, {}, {});
  regions = regions.Append({region(32)}, {5, 1, 3, 0}, {});
  std::vector<std::int64_t> kept;
  for (const RegionMemory::Entry& entry : regions.entries()) kept.push_back(entry.region->first_token);
  EXPECT_THAT(kept, ::testing::ElementsAre(0, 16, 24, 32)) << "the one at 8 was chosen least of those beyond the ring";
}

TEST(RegionMemory, StateNeverGrowsBeyondTheStatedMaximumAndStaysConstant) {
  std::vector<RegionMemoryOptions> policies = Policies();
  policies.push_back(kOptions.regions);
  policies.back().precision = RegionPrecision::kInt8;
  policies.push_back(kOptions.regions);
  policies.back().precision = RegionPrecision::kBf16;
  for (const RegionMemoryOptions& policy : policies) {
    MemoryOptions options = kOptions;
    options.window_tokens = 24 + 3;  // no multiple of anything
    options.regions = policy;
    Reader reader(options);
    const std::size_t most = Memory::MaxStateBytes(TinyModel()->info().config, options, Precision::kFp32);
    std::vector<std::size_t> sizes;
    for (int i = 0; i < 16; ++i) {
      reader.Read(RandomTokens(32, 10 + i));
      sizes.push_back(reader.state->bytes());
      EXPECT_LE(sizes.back(), most);
    }
    EXPECT_EQ(sizes[15], sizes[11]);
    EXPECT_EQ(sizes[14], sizes[10]);
    reader.Read(RandomTokens(7, 99));
    EXPECT_LE(reader.state->bytes(), most);
    EXPECT_GT(most, sizes[15]) << "the window may hold part of a region";
    EXPECT_LT(most - sizes[15], std::size_t{8} * 2 * 4 * reader.keys[0].numel() / reader.keys[0].size(2));
  }
}

TEST(StoredBlock, LosesNoMoreThanItsPrecision) {
  at::manual_seed(4);
  const KeyValueBlock block = {at::randn({2, 3, 10, 4}), at::randn({2, 3, 10, 4}) * 5};
  const StoredBlock exact = StoredBlock::Encode(block, RegionPrecision::kComputed);
  const StoredBlock bf16 = StoredBlock::Encode(block, RegionPrecision::kBf16);
  const StoredBlock int8 = StoredBlock::Encode(block, RegionPrecision::kInt8);
  for (std::int64_t layer = 0; layer < 2; ++layer) {
    const at::Tensor keys = block.keys[layer], values = block.values[layer];
    EXPECT_TRUE(at::equal(exact.LayerKeys(layer, at::kFloat), keys));
    EXPECT_TRUE(((bf16.LayerKeys(layer, at::kFloat) - keys).abs() <= keys.abs() / 256 + 1e-6).all().item<bool>());
    const at::Tensor step = values.abs().amax(1, true) / 127;
    EXPECT_TRUE(((int8.LayerValues(layer, at::kFloat) - values).abs() <= step * 0.5001).all().item<bool>());
  }
  EXPECT_EQ(bf16.bytes(), exact.bytes() / 2);
  EXPECT_EQ(int8.bytes(), exact.bytes() / 4 + 2 * 2 * 3 * 4 * sizeof(float));
}

TEST(RegionMemoryOptions, AreWrittenAndReadAsSettings) {
  for (const RegionMemoryOptions& policy : Policies()) {
    EXPECT_EQ(*ParseRegionMemoryOptions(FormatRegionMemoryOptions(policy)), policy);
  }
  EXPECT_EQ(FormatRegionMemoryOptions({.selected = 0}), "off");
  EXPECT_EQ(ParseRegionMemoryOptions("off")->selected, 0);
  EXPECT_EQ(*ParseRegionMemoryOptions(""), RegionMemoryOptions());
  EXPECT_EQ(*ParseRegionMemoryOptions("pool=9,precision=int8", {.selected = 3}),
            (RegionMemoryOptions{.selected = 3, .pool_regions = 9, .precision = RegionPrecision::kInt8}));
  for (const auto& [settings, message] :
       std::initializer_list<std::pair<const char*, const char*>>{{"pools=9", "'pools'"},
                                                                  {"pool", "expected a number, found ''"},
                                                                  {"pool=9x", "'9x'"},
                                                                  {"pool=-1", "0 to"},
                                                                  {"retention=luck", "value-norm"},
                                                                  {"precision=fp8", "int8"},
                                                                  {"compression=merge", "selections"},
                                                                  {"=,", "''"}}) {
    EXPECT_THAT(ParseRegionMemoryOptions(settings), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  }
}

}  // namespace
}  // namespace tome
