// What a session costs is known before it reads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <random>

#include "engine/memory/archive.h"
#include "tests/support/engine_models.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_profile.h"

namespace tome {
namespace {

using testing::IsOk;
using testing::StatusIs;

const std::shared_ptr<const Model>& TinyModel() {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModelWithProfile();
  return model;
}

void Read(std::size_t count, std::mt19937* random, Memory* memory) {
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) token = static_cast<TokenId>((*random)() % 256);
  Task task = Task::Read(memory, std::move(tokens));
  Task* tasks[] = {&task};
  while (!task.finished()) ASSERT_THAT(Step(tasks)[0].status, IsOk());
}

MemoryOptions OptionsWith(const char* regions) {
  return {.sink_tokens = 8,
          .window_tokens = 48,
          .segment_tokens = 32,
          .region_tokens = 8,
          .regions = *ParseRegionMemoryOptions(regions)};
}

std::size_t BytesAfter(std::int64_t tokens, const MemoryOptions& options) {
  return Memory::MaxStateBytesAfter(tokens, TinyModel()->info().config, options, TinyModel()->info().precision);
}

TEST(SessionCost, GrowsWithTheTokensUntilItIsWhole) {
  for (const char* regions : {"off", "ring=3,query-region=16", "ring=2,query-region=16,pool=3,precision=int8"}) {
    SCOPED_TRACE(regions);
    const MemoryOptions options = OptionsWith(regions);
    const std::size_t most = ComputeSessionCost(*TinyModel(), options).max_state_bytes;
    std::mt19937 random(7);
    Memory memory = *Memory::Create(TinyModel(), options);
    std::size_t before = 0;
    for (int i = 0; i < 60; ++i) {
      Read(1 + static_cast<int>(random() % 16), &random, &memory);
      const std::size_t bytes = BytesAfter(memory.tokens_read(), options);
      EXPECT_LE(memory.state_bytes(), bytes) << memory.tokens_read();
      EXPECT_GE(bytes, before);
      before = bytes;
    }
    EXPECT_EQ(before, most);
    EXPECT_LT(BytesAfter(8, options), most / 2);
  }
}

TEST(SessionCost, IsNeverExceededAndFinallyReached) {
  for (const char* regions :
       {"off", "ring=3,query-region=16", "ring=3,query-region=16,precision=int8",
        "ring=3,query-region=16,precision=computed,pool=2", "ring=2,query-region=8,merge=4,pool=3,retention=surprise",
        "ring=2,query-region=16,pool=3,retention=value-norm,compression=merge"}) {
    SCOPED_TRACE(regions);
    const MemoryOptions options = OptionsWith(regions);
    const SessionCost cost = ComputeSessionCost(*TinyModel(), options);
    EXPECT_EQ(cost.max_state_bytes,
              Memory::MaxStateBytes(TinyModel()->info().config, options, TinyModel()->info().precision));
    EXPECT_EQ(cost.exact_bytes + cost.region_memory_bytes, cost.max_state_bytes);
    Memory memory = *Memory::Create(TinyModel(), options);
    std::mt19937 random(3);
    // A first document that leaves all but one token of a region, so that the window is as long as it can be.
    Read(8 * 4 - 1, &random, &memory);
    for (int i = 0; i < 24; ++i) {
      Read(32, &random, &memory);
      EXPECT_LE(memory.state_bytes(), cost.max_state_bytes);
      EXPECT_LE(memory.state_bytes(), BytesAfter(memory.tokens_read(), options));
      EXPECT_LE(memory.tokens_kept(), cost.attended_tokens);
    }
    EXPECT_EQ(memory.state_bytes(), cost.max_state_bytes);
  }
}

std::int64_t RegionsOf(const MemoryOptions& options) {
  return options.regions.selected == 0 ? 0 : options.regions.ring_regions + options.regions.pool_regions;
}

// As many regions as fit, found one by one.
TEST(SessionCost, BudgetsCutTheRegionMemoryToWhatFits) {
  const LlamaConfig& config = TinyModel()->info().config;
  for (const char* regions : {"off", "selected=4,ring=20", "selected=4,ring=12,pool=9,precision=int8",
                              "selected=3,ring=1,pool=30,retention=surprise", "selected=9,ring=5"}) {
    SCOPED_TRACE(regions);
    const MemoryOptions options = OptionsWith(regions);
    const auto bytes = [&](const MemoryOptions& some) { return Memory::MaxStateBytes(config, some, Precision::kFp32); };
    const std::size_t most = bytes(options);
    for (std::size_t budget = most / 8; budget <= most + 1000; budget += 997) {
      const auto fitted = FitStateBytes(options, config, Precision::kFp32, budget);
      std::int64_t fits = -1;
      for (std::int64_t count = 0; count <= RegionsOf(options); ++count) {
        MemoryOptions some = options;
        some.regions.ring_regions = static_cast<int>(count);
        some.regions.pool_regions = 0;
        if (count == 0) some.regions.selected = 0;
        const bool enough = count >= std::min<std::int64_t>(options.regions.selected, RegionsOf(options));
        if (enough && bytes(some) <= budget) fits = count;
      }
      if (fits < 0) {
        EXPECT_THAT(fitted.status(), StatusIs(absl::StatusCode::kInvalidArgument,
                                              ::testing::HasSubstr("at most " + std::to_string(budget) + " bytes")));
        continue;
      }
      ASSERT_THAT(fitted.status(), IsOk()) << budget;
      EXPECT_EQ(RegionsOf(*fitted), fits) << budget;
      EXPECT_LE(bytes(*fitted), budget);
      EXPECT_THAT(ValidateMemoryOptions(*fitted, config), IsOk());
      EXPECT_LE(fitted->regions.pool_regions, options.regions.pool_regions);
      EXPECT_LE(fitted->regions.ring_regions, options.regions.ring_regions);
    }
    EXPECT_EQ(FitStateBytes(options, config, Precision::kFp32, most)->regions, options.regions);
  }
}

TEST(SessionCost, DefaultStateIsAsLargeInEitherPrecision) {
  const LlamaConfig smollm2{.num_layers = 30, .num_heads = 9, .num_kv_heads = 3, .head_dim = 64};
  for (const LlamaConfig& config : {TinyModel()->info().config, smollm2}) {
    const MemoryOptions narrow = DefaultMemoryOptions(config, Precision::kBf16);
    EXPECT_EQ(narrow.regions, RegionMemoryOptions());
    const std::size_t bytes = Memory::MaxStateBytes(config, narrow, Precision::kBf16);
    MemoryOptions wide = DefaultMemoryOptions(config, Precision::kFp32);
    EXPECT_EQ(wide.regions.selected, narrow.regions.selected);
    EXPECT_EQ(wide.regions.precision, RegionPrecision::kInt8);
    EXPECT_LE(Memory::MaxStateBytes(config, wide, Precision::kFp32), bytes);
    ++wide.regions.ring_regions;
    EXPECT_GT(Memory::MaxStateBytes(config, wide, Precision::kFp32), bytes);
  }
  // A 128th of all keys and values of a million tokens in bf16, with 40 bytes of archive a token.
  EXPECT_LE(Memory::MaxStateBytes(smollm2, DefaultMemoryOptions(smollm2, Precision::kFp32), Precision::kFp32) +
                40 * (std::size_t{1} << 20),
            (std::size_t{1} << 20) * 2 * 2 * 30 * 3 * 64 / 128);
}

TEST(SessionCost, DenseCacheIsTwoBytesForEachNumber) {
  const LlamaConfig& config = TinyModel()->info().config;
  EXPECT_EQ(ComputeSessionCost(*TinyModel(), OptionsWith("off")).dense_bytes_per_token,
            2 * 2 * static_cast<std::size_t>(config.num_layers * config.num_kv_heads * config.head_dim));
}

// What depends on the text, on a book as SmolLM2 tokenizes it.
TEST(SessionCost, ArchiveAndTextAreAboutThoseOfEnglish) {
  TOME_SKIP_WITHOUT(testing::SmolLm2Path());
  TOME_SKIP_WITHOUT(testing::SharedDataPath("books/middlemarch.txt"));
  TOME_ASSERT_OK_AND_ASSIGN(const std::shared_ptr<const Model> model,
                            Model::Load({.path = testing::SmolLm2Path(), .num_threads = 2}));
  std::ifstream file(testing::SharedDataPath("books/middlemarch.txt"));
  std::string text(400'000, ' ');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  const MemoryOptions options;
  Archive archive(ArchiveLayoutOf(*model, options));
  std::vector<TokenId> tokens;
  std::vector<TokenSpan> spans;
  ByteOffset begin = 0;
  for (const TextToken& token : model->tokenizer()->Encode(text)) {
    spans.push_back({.document = 0, .num_bytes = token.num_bytes, .begin = begin});
    begin += token.num_bytes;
    tokens.push_back(token.id);
    if (tokens.size() < static_cast<std::size_t>(options.segment_tokens)) continue;
    const std::string codes(tokens.size() * archive.layout().code_bytes, 'c');
    archive.Append(ArchiveBlock::Make(archive.layout(), tokens, spans, codes, *model->tokenizer()));
    tokens.clear();
    spans.clear();
  }
  const SessionCost cost = ComputeSessionCost(*model, options);
  const double read = static_cast<double>(archive.num_tokens());
  EXPECT_NEAR(cost.archive_bytes_per_token, static_cast<double>(archive.bytes()) / read, 2);
  EXPECT_NEAR(cost.text_bytes_per_token, static_cast<double>(text.size()) / read, 0.5);
}

}  // namespace
}  // namespace tome
