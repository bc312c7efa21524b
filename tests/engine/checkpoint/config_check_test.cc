#include "engine/checkpoint/contents/config_check.h"

#include <cmath>
#include <functional>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using ::tome::testing::IsOk;
using ::tome::testing::StatusIs;

LlamaConfig GoodConfig() {
  LlamaConfig config;
  config.vocab_size = 100, config.hidden_size = 64, config.num_layers = 2, config.num_heads = 4;
  config.num_kv_heads = 2, config.head_dim = 16, config.ffn_size = 96, config.context_length = 128;
  return config;
}

RopeScaling Scaling(RopeScaling::Kind kind) {
  RopeScaling scaling;
  scaling.kind = kind;
  scaling.factor = 8;
  return scaling;
}

TEST(ConfigCheckTest, TakesSensibleConfigs) {
  EXPECT_THAT(CheckConfig(GoodConfig(), "f"), IsOk());
  for (const RopeScaling::Kind kind : {RopeScaling::Kind::kLinear, RopeScaling::Kind::kDynamicNtk,
                                       RopeScaling::Kind::kYarn, RopeScaling::Kind::kLlama3}) {
    LlamaConfig config = GoodConfig();
    config.rope_scaling = Scaling(kind);
    EXPECT_THAT(CheckConfig(config, "f"), IsOk());
  }
}

TEST(ConfigCheckTest, RefusesWhatMakesNoSense) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInfinity = std::numeric_limits<double>::infinity();
  using Kind = RopeScaling::Kind;
  const struct {
    std::function<void(LlamaConfig&)> change;
    std::string message;
  } cases[] = {
      {[](auto& c) { c.vocab_size = 0; }, "vocabulary size: expected 1 to 16777216, found 0"},
      {[](auto& c) { c.vocab_size = (1 << 24) + 1; }, "found 16777217"},
      {[](auto& c) { c.hidden_size = -64; }, "hidden size: expected 1 to 1048576, found -64"},
      {[](auto& c) { c.num_layers = 1025; }, "number of layers: expected 1 to 1024, found 1025"},
      {[](auto& c) { c.num_heads = 0; }, "number of query heads"},
      {[](auto& c) { c.num_kv_heads = 0; }, "number of key-value heads"},
      {[](auto& c) { c.num_kv_heads = 3; }, "expected a divisor of the 4 query heads, found 3"},
      {[](auto& c) { c.num_kv_heads = 8; }, "expected a divisor of the 4 query heads, found 8"},
      {[](auto& c) { c.head_dim = 15; }, "head dimension: expected an even number, found 15"},
      {[](auto& c) { c.num_heads = 1 << 19, c.head_dim = 4; }, "expected at most 1048576, found 524288 x 4"},
      {[](auto& c) { c.ffn_size = std::numeric_limits<std::int64_t>::max(); }, "feed-forward size"},
      {[](auto& c) { c.context_length = 0; }, "context length"},
      {[](auto& c) { c.rms_norm_epsilon = kNan; },
       "RMS norm epsilon: expected a number above 0 and below 1, found nan"},
      {[](auto& c) { c.rms_norm_epsilon = 0; }, "RMS norm epsilon"},
      {[](auto& c) { c.rms_norm_epsilon = 1; }, "RMS norm epsilon"},
      {[](auto& c) { c.rope_theta = kNan; }, "rope theta: expected a number above 1 and at most 1e15, found nan"},
      {[](auto& c) { c.rope_theta = kInfinity; }, "rope theta"},
      {[](auto& c) { c.rope_theta = 1; }, "rope theta"},
      {[](auto& c) { c.rope_scaling = Scaling(Kind::kLinear), c.rope_scaling.factor = kNan; }, "factor: expected 1 to"},
      {[](auto& c) { c.rope_scaling = Scaling(Kind::kLinear), c.rope_scaling.factor = 0.5; }, "factor: expected 1 to"},
      {[](auto& c) { c.rope_scaling = Scaling(Kind::kDynamicNtk), c.rope_scaling.original_context_length = -1; },
       "original context length"},
      {[](auto& c) { c.rope_scaling = Scaling(Kind::kLlama3), c.rope_scaling.high_freq_factor = 1; },
       "low frequency factor < high frequency factor, found 1 and 1"},
      {[](auto& c) { c.rope_scaling = Scaling(Kind::kLlama3), c.rope_scaling.low_freq_factor = kNan; }, "found nan"},
      {[](auto& c) { c.rope_scaling = Scaling(Kind::kYarn), c.rope_scaling.beta_fast = 1; }, "slow beta < fast beta"},
      {[](auto& c) { c.rope_scaling = Scaling(Kind::kYarn), c.rope_scaling.attention_factor = -1; },
       "attention factor"},
  };
  for (const auto& [change, message] : cases) {
    LlamaConfig config = GoodConfig();
    change(config);
    const absl::Status status = CheckConfig(config, "some.file");
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
    EXPECT_THAT(std::string(status.message()), StartsWith("some.file: "));
  }
}

}  // namespace
}  // namespace tome
