// Which tokens a state still holds, beside a list kept by hand.
#include "engine/memory/stored_tokens.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "engine/memory/sequence_cache.h"
#include "engine/model/llama_model.h"
#include "tests/support/engine_models.h"

namespace tome {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::shared_ptr<const Model>& TinyModel() {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  return model;
}
const LlamaWeights& TinyWeights() { return LlamaModel::From(*TinyModel()).weights(); }

MemoryOptions OptionsWith(int ring, int pool, RegionCompression compression = RegionCompression::kWhole) {
  return {.sink_tokens = 5,
          .window_tokens = 24,
          .segment_tokens = 32,
          .region_tokens = 8,
          .regions = {.selected = ring == 0 ? 0 : 2,
                      .query_region_tokens = 8,
                      .ring_regions = ring,
                      .pool_regions = pool,
                      .retention = RetentionScore::kRandom,
                      .compression = compression,
                      .precision = RegionPrecision::kComputed}};
}

// Reads random tokens; keeps all keys and values as they were computed.
struct Book {
  Book(const MemoryOptions& options, int segments) : memory(*Memory::Create(TinyModel(), options)) {
    std::mt19937 random(5);
    std::vector<at::Tensor> all_keys, all_values;
    for (int i = 0; i < segments; ++i) {
      std::vector<TokenId> segment(i % 3 == 2 ? 13 : 32);  // some documents end early
      for (TokenId& token : segment) token = static_cast<TokenId>(random() % 256);
      const SegmentReading reading = ReadSegment(TinyWeights(), *memory.state(), segment);
      all_keys.push_back(reading.block.keys);
      all_values.push_back(reading.block.values);
      const std::vector<TokenSpan> spans(segment.size());
      auto archived =
          ArchiveBlock::Make(memory.state()->archive().layout(), segment, spans, "", *TinyModel()->tokenizer());
      memory.set_state(memory.state()->Append(reading.block, std::move(archived), reading.routing));
    }
    keys = at::cat(all_keys, 2);
    values = at::cat(all_values, 2);
  }
  const MemoryState& state() const { return *memory.state(); }

  Memory memory;
  at::Tensor keys, values;
};

// Whether some place of the state has this very token's keys and values.
bool IsHeld(const Book& book, std::int64_t token) {
  const MemoryState& state = book.state();
  if (token < state.sink_tokens() || token >= state.tokens_read() - state.window_tokens()) return true;
  for (std::int64_t i = 0; i < state.regions().size(); ++i) {
    const StoredBlock& block = state.regions().region(i).block;
    for (std::int64_t k = 0; k < block.tokens(); ++k) {
      if (at::equal(block.values().select(2, k), book.values.select(2, token))) return true;
    }
  }
  return false;
}

TEST(StoredTokens, KeptTokensAreSinkAndWindow) {
  const MemoryOptions options = OptionsWith(0, 0);
  EXPECT_THAT(KeptTokens(MemoryState(options)), IsEmpty());
  const Book book(options, 5);
  const std::int64_t read = book.state().tokens_read();
  EXPECT_THAT(KeptTokens(book.state()), ElementsAre(TokenRange{0, 5}, TokenRange{read - 24, read}));
}

TEST(StoredTokens, HoldWhatSinkWindowAndRegionsHave) {
  for (const auto& [ring, pool] : std::initializer_list<std::pair<int, int>>{{0, 0}, {4, 0}, {3, 4}, {100, 0}}) {
    SCOPED_TRACE(ring);
    const Book book(OptionsWith(ring, pool), 8);
    const StoredTokens stored(book.state());
    const std::int64_t read = book.state().tokens_read();
    std::int64_t held = 0;
    for (std::int64_t token = 0; token < read; ++token) {
      EXPECT_EQ(stored.Hold({token, token + 1}), IsHeld(book, token)) << token;
      held += IsHeld(book, token) ? 1 : 0;
    }
    EXPECT_EQ(stored.Hold({0, read}), held == read);
    EXPECT_EQ(ring == 100, held == read);
    EXPECT_FALSE(stored.Hold({read - 1, read + 1}));
    EXPECT_TRUE(stored.Hold({read - 3, read}));
  }
}

TEST(StoredTokens, MergedRegionsAreNotHeld) {
  const Book book(OptionsWith(3, 4, RegionCompression::kMerge), 12);
  const StoredTokens stored(book.state());
  const RegionMemory& regions = book.state().regions();
  ASSERT_EQ(regions.size(), 7);
  for (std::int64_t i = 0; i < regions.size(); ++i) {
    const std::int64_t first = regions.region(i).first_token;
    bool whole = true;
    for (std::int64_t k = 0; k < 8; ++k) {
      whole = whole && at::equal(regions.region(i).block.values().select(2, k), book.values.select(2, first + k));
    }
    EXPECT_EQ(stored.Hold({first, first + 8}), whole) << i;
    EXPECT_TRUE(i < 4 || whole) << "the ring is never merged";
  }
  EXPECT_FALSE(stored.Hold({5, 13})) << "what is oldest has been merged";
}

TEST(StoredTokens, GatherPutsThemSideBySideAndRotatesByPlace) {
  const Book book(OptionsWith(100, 0), 8);
  const StoredTokens stored(book.state());
  const std::int64_t read = book.state().tokens_read();
  const std::vector<TokenRange> ranges = {{0, 5}, {11, 12}, {30, 71}, {read - 27, read - 20}};
  std::vector<std::int64_t> tokens;
  for (const TokenRange& range : ranges) {
    for (std::int64_t token = range.first; token < range.end; ++token) tokens.push_back(token);
  }
  const auto count = static_cast<std::int64_t>(tokens.size());
  const LlamaConfig& config = TinyWeights().config;
  for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
    const at::Tensor keys = at::zeros({config.num_kv_heads, count + 3, config.head_dim}), values = at::zeros_like(keys);
    stored.Gather(layer, TinyWeights().rope, ranges, keys, values);
    const at::Tensor chosen = at::tensor(tokens, at::kLong);
    const at::Tensor own = book.keys.select(0, layer).index_select(1, chosen).contiguous();
    const at::Tensor expected = at::empty_like(own);
    RotateInto(own, TinyWeights().rope, 0, expected);
    EXPECT_TRUE(at::equal(keys.narrow(1, 0, count), expected));
    EXPECT_TRUE(at::equal(values.narrow(1, 0, count), book.values.select(0, layer).index_select(1, chosen)));
    EXPECT_EQ(keys.narrow(1, count, 3).abs().sum().item<float>(), 0) << "what follows is left alone";
  }
}

}  // namespace
}  // namespace tome
