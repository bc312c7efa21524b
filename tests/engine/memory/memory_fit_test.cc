#include "engine/engine.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using ::tome::testing::IsOk;
using ::tome::testing::StatusIs;

LlamaConfig ModelWithContext(std::int64_t context_length) {
  return {.num_layers = 2,
          .num_heads = 4,
          .num_kv_heads = 2,
          .head_dim = 16,
          .context_length = context_length,
          .rope_theta = 10000};
}

TEST(FitMemoryOptionsTest, LeavesWhatFits) {
  const MemoryOptions usual;
  for (const std::int64_t context : {4735, 8192, 131072}) {
    TOME_ASSERT_OK_AND_ASSIGN(const MemoryOptions fitted,
                              FitMemoryOptions(usual, {}, ModelWithContext(context), Precision::kBf16));
    EXPECT_EQ(fitted.window_tokens, usual.window_tokens);
    EXPECT_EQ(fitted.segment_tokens, usual.segment_tokens);
    EXPECT_EQ(fitted.regions, usual.regions);
  }
}

// Every context from two tokens on has a memory that is valid, and leaves room for a question beside it.
TEST(FitMemoryOptionsTest, FitsEveryContext) {
  for (std::int64_t context = 2; context < 5000; ++context) {
    const LlamaConfig config = ModelWithContext(context);
    for (const Precision precision : {Precision::kBf16, Precision::kFp32}) {
      TOME_ASSERT_OK_AND_ASSIGN(const MemoryOptions fitted, FitMemoryOptions({}, {}, config, precision));
      ASSERT_THAT(ValidateMemoryOptions(fitted, config), IsOk()) << context;
      if (context >= 256) {
        EXPECT_LE(fitted.sink_tokens + fitted.window_tokens, context * 9 / 10) << context;
        EXPECT_GE(fitted.window_tokens, context * 4 / 10 < 2048 ? context * 4 / 10 : 2048) << context;
      }
    }
  }
  EXPECT_THAT(FitMemoryOptions({}, {}, ModelWithContext(1), Precision::kBf16),
              StatusIs(absl::StatusCode::kInvalidArgument, ::testing::HasSubstr("the model takes 1")));
}

TEST(FitMemoryOptionsTest, KnownModelsGetUsefulMemories) {
  const struct {
    std::int64_t context;
    int sink, window, segment, region, selected;
  } cases[] = {
      {2048, 64, 1024, 256, 64, 5},  // TinyLlama, Llama 1
      {1024, 32, 512, 128, 32, 5},
      {512, 16, 256, 64, 16, 5},  // stories260K
      {256, 8, 128, 32, 8, 5},    // stories15M
  };
  for (const auto& c : cases) {
    TOME_ASSERT_OK_AND_ASSIGN(const MemoryOptions fitted,
                              FitMemoryOptions({}, {}, ModelWithContext(c.context), Precision::kBf16));
    EXPECT_EQ(fitted.sink_tokens, c.sink) << c.context;
    EXPECT_EQ(fitted.window_tokens, c.window) << c.context;
    EXPECT_EQ(fitted.segment_tokens, c.segment) << c.context;
    EXPECT_EQ(fitted.region_tokens, c.region) << c.context;
    EXPECT_EQ(fitted.regions.selected, c.selected) << c.context;
  }
}

// What somebody chose stays, or is refused.
TEST(FitMemoryOptionsTest, KeepsWhatWasChosen) {
  const LlamaConfig config = ModelWithContext(1024);
  for (int chosen = 0; chosen < 32; ++chosen) {
    for (const int size : {1, 8, 64, 500, 900, 1100}) {
      MemoryOptions options;
      const ChosenMemoryOptions which = {.sink_tokens = (chosen & 1) != 0,
                                         .window_tokens = (chosen & 2) != 0,
                                         .segment_tokens = (chosen & 4) != 0,
                                         .region_tokens = (chosen & 8) != 0,
                                         .regions = (chosen & 16) != 0};
      if (which.sink_tokens) options.sink_tokens = size;
      if (which.window_tokens) options.window_tokens = size;
      if (which.segment_tokens) options.segment_tokens = size;
      if (which.region_tokens) options.region_tokens = size;
      if (which.regions) options.regions = {.selected = 1, .ring_regions = 2};
      const auto fitted = FitMemoryOptions(options, which, config, Precision::kBf16);
      if (!fitted.ok()) {
        EXPECT_THAT(fitted, StatusIs(absl::StatusCode::kInvalidArgument, ::testing::HasSubstr("_tokens")));
        continue;
      }
      EXPECT_THAT(ValidateMemoryOptions(*fitted, config), IsOk());
      EXPECT_TRUE(!which.sink_tokens || fitted->sink_tokens == size);
      EXPECT_TRUE(!which.window_tokens || fitted->window_tokens == size);
      EXPECT_TRUE(!which.segment_tokens || fitted->segment_tokens == size);
      EXPECT_TRUE(!which.region_tokens || fitted->region_tokens == size);
      EXPECT_TRUE(!which.regions || fitted->regions == options.regions);
    }
  }
}

}  // namespace
}  // namespace tome
