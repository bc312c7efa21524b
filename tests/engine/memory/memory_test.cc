// What always holds of a memory, on tiny random models.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

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
using testing::IsOk;
using testing::StatusIs;

const std::shared_ptr<const Model>& TinyModel() {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  return model;
}
const LlamaWeights& TinyWeights() { return LlamaModel::From(*TinyModel()).weights(); }

Memory NewMemory(const MemoryOptions& options) { return *Memory::Create(TinyModel(), options); }

std::vector<TokenId> RandomTokens(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) token = static_cast<TokenId>(random() % 256);
  return tokens;
}

void Read(Memory* memory, std::vector<TokenId> tokens) {
  Task task = Task::Read(memory, std::move(tokens));
  while (!task.finished()) {
    Task* tasks[] = {&task};
    ASSERT_THAT(Step(tasks)[0].status, IsOk());
  }
}

TEST(Memory, RefusesOptionsThatDoNotFitTheModel) {
  const struct {
    MemoryOptions options;
    const char* message;
  } cases[] = {
      {{.sink_tokens = -1}, "sink_tokens"},
      {{.window_tokens = 0}, "window_tokens"},
      {{.segment_tokens = 0}, "segment_tokens"},
      {{.sink_tokens = 64, .window_tokens = 4000, .segment_tokens = 512}, "the model takes 4096"},
      {{.window_tokens = 3000}, "5687 in all"},
      {{.regions = {.selected = -1}}, "selected"},
      {{.regions = {.query_region_tokens = 0}}, "query-region"},
      {{.regions = {.merge = 0}}, "merge"},
      {{.regions = {.route_every = 0}}, "route-every"},
      {{.regions = {.ring_regions = 0}}, "ring"},
      {{.regions = {.pool_regions = -1}}, "pool"},
      {{.regions = {.retention = RetentionScore::kSelections, .compression = RegionCompression::kMerge}}, "selections"},
      {{.regions = {.retention = RetentionScore::kSurprise,
                    .compression = RegionCompression::kMerge,
                    .precision = RegionPrecision::kInt8}},
       "int8"},
      {{.sink_tokens = 2147483647, .window_tokens = 2147483647, .segment_tokens = 2147483647}, "the model takes"},
      {{.attention = "scca-fixed"}, "expected w=width"},
      {{.attention = "dense:5"}, "it has 5 heads"},
      {{.position_encoding = "yarn(0)"}, "a factor of 1"},
      {{.position_encoding = "yarn(1000)"}, "at most 131072 positions"}};
  for (const auto& [options, message] : cases) {
    EXPECT_THAT(Memory::Create(TinyModel(), options), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  }
}

TEST(Memory, StateBytesStopGrowingAtTheStatedMaximum) {
  const MemoryOptions options = {
      .sink_tokens = 4, .window_tokens = 40, .segment_tokens = 16, .regions = {.selected = 0}};
  Memory memory = NewMemory(options);
  const std::size_t most = Memory::MaxStateBytes(TinyModel()->info().config, options, Precision::kFp32);
  std::size_t before = 0;
  for (int i = 0; i < 40; ++i) {
    Read(&memory, RandomTokens(i % 3 == 2 ? 7 : 16, i));
    EXPECT_LE(memory.state_bytes(), most);
    EXPECT_GE(memory.state_bytes(), before);
    before = memory.state_bytes();
  }
  EXPECT_EQ(memory.state_bytes(), most);
  EXPECT_EQ(memory.tokens_kept(), 44);
}

TEST(Memory, KeepsTheFirstAndTheLatestTokensBitForBit) {
  const MemoryOptions options = {
      .sink_tokens = 5, .window_tokens = 20, .segment_tokens = 8, .regions = {.selected = 0}};
  Memory memory = NewMemory(options);
  std::vector<at::Tensor> all_keys;
  for (int i = 0; i < 12; ++i) {
    const Memory before = memory;
    const std::vector<TokenId> tokens = RandomTokens(i == 4 ? 3 : 8, 100 + i);
    SegmentAttention attention(TinyWeights(), *before.state(), static_cast<std::int64_t>(tokens.size()));
    Forward(TinyWeights(), tokens, attention);
    all_keys.push_back(std::move(attention).TakeBlock().keys);
    Read(&memory, tokens);
  }
  const at::Tensor keys = at::cat(all_keys, 2);
  const at::Tensor expected = at::cat({keys.narrow(2, 0, 5), keys.narrow(2, keys.size(2) - 20, 20)}, 2);
  std::vector<at::Tensor> kept;
  for (const KeyValueBlock* block : memory.state()->blocks()) kept.push_back(block->keys);
  EXPECT_TRUE(at::equal(at::cat(kept, 2), expected));
}

TEST(Memory, EqualsDenseAttentionWhileNothingHasLeftTheWindow) {
  const std::vector<TokenId> text = RandomTokens(100, 1), question = RandomTokens(20, 2);
  SequenceCache dense(TinyWeights(), MemoryState(MemoryOptions{}), 120);
  std::vector<TokenId> both = text;
  both.insert(both.end(), question.begin(), question.end());
  const at::Tensor expected = Forward(TinyWeights(), both, dense).narrow(0, 100, 20);

  Memory memory = NewMemory({.sink_tokens = 8, .window_tokens = 92, .segment_tokens = 16});
  Read(&memory, text);
  SequenceCache cache(TinyWeights(), *memory.state(), 120);
  EXPECT_TRUE(at::allclose(Forward(TinyWeights(), question, cache), expected, 1e-4, 1e-5));
}

TEST(Memory, WindowAttentionEqualsAnExplicitMask) {
  // Two layers of [sink | window | segment] with compact positions, against one masked pass for each segment.
  const MemoryOptions options = {
      .sink_tokens = 3, .window_tokens = 10, .segment_tokens = 8, .regions = {.selected = 0}};
  const std::vector<TokenId> tokens = RandomTokens(40, 3);
  Memory memory = NewMemory(options);
  for (std::size_t first = 0; first < tokens.size(); first += 8) {
    const std::vector<TokenId> segment(tokens.begin() + first, tokens.begin() + first + 8);
    const std::shared_ptr<const MemoryState> before = memory.state();
    const std::int64_t kept = std::min<std::int64_t>(first, 13);
    EXPECT_EQ(before->tokens_kept(), kept);
    SegmentAttention attention(TinyWeights(), *before, 8);
    const at::Tensor found = Forward(TinyWeights(), segment, attention);
    SequenceCache cache(TinyWeights(), *before, kept + 8);
    std::vector<at::Tensor> one_by_one;
    for (const TokenId token : segment) {
      one_by_one.push_back(Forward(TinyWeights(), {&token, 1}, cache));
      cache.Advance(1);
    }
    EXPECT_TRUE(at::allclose(found, at::cat(one_by_one), 1e-4, 1e-5)) << "segment at " << first;
    Read(&memory, segment);
  }
}

TEST(Memory, TheSameTokensGiveTheSameStateBitForBit) {
  const MemoryOptions options = {.sink_tokens = 4, .window_tokens = 50, .segment_tokens = 16};
  const std::vector<TokenId> tokens = RandomTokens(16 * 9 + 5, 4);
  Memory at_once = NewMemory(options), by_segment = NewMemory(options);
  Read(&at_once, tokens);
  for (std::size_t first = 0; first < tokens.size(); first += 16) {
    const std::size_t count = std::min<std::size_t>(16, tokens.size() - first);
    Read(&by_segment, {tokens.begin() + first, tokens.begin() + first + count});
  }
  EXPECT_EQ(at_once.Digest(), by_segment.Digest());
}

TEST(Memory, ForksShareAndDoNotDisturbEachOther) {
  const MemoryOptions options = {.sink_tokens = 4, .window_tokens = 30, .segment_tokens = 16};
  Memory original = NewMemory(options);
  Read(&original, RandomTokens(60, 5));
  const std::string digest = original.Digest();
  Memory fork = original;
  EXPECT_EQ(fork.state(), original.state());
  Read(&fork, RandomTokens(40, 6));
  EXPECT_EQ(original.Digest(), digest);
  EXPECT_NE(fork.Digest(), digest);
  Read(&original, RandomTokens(40, 6));
  EXPECT_EQ(original.Digest(), fork.Digest());
}

TEST(Memory, DroppedReadLeavesWholeSegments) {
  const MemoryOptions options = {.sink_tokens = 4, .window_tokens = 30, .segment_tokens = 16};
  const std::vector<TokenId> tokens = RandomTokens(64, 7);
  Memory memory = NewMemory(options), expected = NewMemory(options);
  {
    Task task = Task::Read(&memory, tokens);
    Task* tasks[] = {&task};
    EXPECT_EQ(Step(tasks)[0].tokens_read, 16);
    EXPECT_EQ(Step(tasks)[0].tokens_read, 16);
    EXPECT_EQ(task.tokens_left_to_read(), 32);
  }
  Read(&expected, {tokens.begin(), tokens.begin() + 32});
  EXPECT_EQ(memory.Digest(), expected.Digest());
}

TEST(Memory, QuestionsNeverChangeIt) {
  const MemoryOptions options = {.sink_tokens = 4, .window_tokens = 30, .segment_tokens = 16};
  Memory memory = NewMemory(options);
  Read(&memory, RandomTokens(50, 8));
  const std::string digest = memory.Digest();
  for (const int steps : {0, 1, 5}) {  // dropped before, while and after reading the question
    Task task = *Task::Generate(memory, RandomTokens(20, 9), {.max_tokens = 8});
    for (int i = 0; i < steps; ++i) {
      Task* tasks[] = {&task};
      ASSERT_THAT(Step(tasks)[0].status, IsOk());
    }
  }
  EXPECT_EQ(memory.Digest(), digest);
}

}  // namespace
}  // namespace tome
