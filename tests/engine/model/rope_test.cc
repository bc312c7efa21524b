#include "engine/model/rope.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/model/position_encoding.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tome {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

LlamaConfig SmallConfig() {
  LlamaConfig config;
  config.head_dim = 16;
  config.context_length = 64;
  config.rope_theta = 10000.0;
  return config;
}

TEST(Rope, FrequenciesFollowTheFormula) {
  const RopeFrequencies frequencies = ComputeRopeFrequencies(SmallConfig(), 64);
  ASSERT_EQ(frequencies.inverse.size(), 8u);
  for (int i = 0; i < 8; ++i) EXPECT_DOUBLE_EQ(frequencies.inverse[i], std::pow(10000.0, -2.0 * i / 16));
  EXPECT_EQ(frequencies.attention_scale, 1.0);
}

TEST(Rope, LinearDividesEveryFrequency) {
  LlamaConfig config = SmallConfig();
  const RopeFrequencies plain = ComputeRopeFrequencies(config, 64);
  config.rope_scaling.kind = RopeScaling::Kind::kLinear;
  config.rope_scaling.factor = 4;
  const RopeFrequencies scaled = ComputeRopeFrequencies(config, 64);
  for (int i = 0; i < 8; ++i) EXPECT_DOUBLE_EQ(scaled.inverse[i], plain.inverse[i] / 4);
}

TEST(Rope, YarnAndLlama3KeepFastPairsAndInterpolateSlowOnes) {
  for (const auto kind : {RopeScaling::Kind::kYarn, RopeScaling::Kind::kLlama3}) {
    LlamaConfig config = SmallConfig();
    const RopeFrequencies plain = ComputeRopeFrequencies(config, 64);
    config.rope_scaling.kind = kind;
    config.rope_scaling.factor = 8;
    config.rope_scaling.original_context_length = 64;
    config.rope_scaling.beta_fast = 8;
    const RopeFrequencies scaled = ComputeRopeFrequencies(config, 64);
    EXPECT_NEAR(scaled.inverse.front(), plain.inverse.front(), 1e-12);
    EXPECT_NEAR(scaled.inverse.back(), plain.inverse.back() / 8, 1e-12);
    for (int i = 0; i < 8; ++i) {
      EXPECT_LE(scaled.inverse[i], plain.inverse[i] + 1e-12);
      EXPECT_GE(scaled.inverse[i], plain.inverse[i] / 8 - 1e-12);
    }
  }
}

TEST(Rope, YarnScalesAttention) {
  LlamaConfig config = SmallConfig();
  config.rope_scaling.kind = RopeScaling::Kind::kYarn;
  config.rope_scaling.factor = 4;
  EXPECT_DOUBLE_EQ(ComputeRopeFrequencies(config, 64).attention_scale, 0.1 * std::log(4.0) + 1);
  config.rope_scaling.attention_factor = 1.5;
  EXPECT_DOUBLE_EQ(ComputeRopeFrequencies(config, 64).attention_scale, 1.5);
}

TEST(Rope, ScoresDependOnlyOnTheDistance) {
  at::manual_seed(1);
  const RopeTable table = RopeTable::Make(SmallConfig(), 64, at::kCPU);
  const at::Tensor query = at::randn({1, 1, 16}), key = at::randn({1, 1, 16});
  const auto score = [&](int query_position, int key_position) {
    const at::Tensor q = at::empty_like(query), k = at::empty_like(key);
    RotateInto(query, table, query_position, q);
    RotateInto(key, table, key_position, k);
    return (q * k).sum().item<float>();
  };
  EXPECT_NEAR(score(9, 4), score(45, 40), 1e-4);
  EXPECT_GT(std::abs(score(9, 4) - score(9, 5)), 1e-4);
}

TEST(Rope, KernelAndTensorRotationsAgree) {
  at::manual_seed(2);
  const RopeTable table = RopeTable::Make(SmallConfig(), 64, at::kCPU);
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor source = at::randn({3, 20, 16}).to(type);
    const at::Tensor fast = at::empty_like(source), slow = at::empty({1, 3, 20, 16}, type);
    RotateInto(source, table, 30, fast);
    RotateInto(source.unsqueeze(0), table, 30, slow);  // four dimensions take the tensor path
    EXPECT_TRUE(at::allclose(fast.to(at::kFloat), slow.squeeze(0).to(at::kFloat), 1e-2, 1e-6)) << type;
    if (type == at::kFloat) {
      EXPECT_TRUE(at::allclose(fast, slow.squeeze(0), 1e-5, 1e-6));
    }
  }
}

TEST(Rope, RotatingInPlaceAndIntoStridedTargetsGivesTheSame) {
  at::manual_seed(3);
  const RopeTable table = RopeTable::Make(SmallConfig(), 64, at::kCPU);
  const at::Tensor source = at::randn({20, 3, 16}).transpose(0, 1);  // as in a fused qkv
  const at::Tensor target = at::zeros({3, 50, 16});
  RotateInto(source, table, 5, target.narrow(1, 5, 20));
  const at::Tensor in_place = source.clone();
  RotateInto(in_place, table, 5, in_place);
  EXPECT_TRUE(at::equal(target.narrow(1, 5, 20), in_place));
  EXPECT_EQ(target.narrow(1, 25, 25).abs().max().item<float>(), 0);
}

TEST(Rope, ScalingsEqualThoseOfTransformers) {
  const auto golden = nlohmann::json::parse(testing::ReadFile(TOME_SOURCE_DIR "/tests/golden/rope.json"));
  ASSERT_EQ(golden["cases"].size(), 24u);
  for (const auto& example : golden["cases"]) {
    LlamaConfig config;
    config.head_dim = example["head_dim"];
    config.rope_theta = example["theta"];
    config.context_length = example["trained"];
    const std::string type = example["type"];
    const std::string name = type == "dynamic" ? "dynamic-ntk" : type;
    const auto scaled = WithPositionEncoding(name + "(" + example["factor"].dump() + ")", config);
    ASSERT_THAT(scaled, testing::IsOk());
    config = *scaled;
    config.rope_scaling.beta_fast = example.value("beta_fast", config.rope_scaling.beta_fast);
    config.rope_scaling.beta_slow = example.value("beta_slow", config.rope_scaling.beta_slow);
    const RopeFrequencies found = ComputeRopeFrequencies(config, example.value("length", 0));
    ASSERT_EQ(found.inverse.size(), example["inverse"].size());
    for (std::size_t i = 0; i < found.inverse.size(); ++i) {
      EXPECT_NEAR(found.inverse[i] / example["inverse"][i].get<double>(), 1, 1e-5) << example.dump() << " " << i;
    }
    EXPECT_NEAR(found.attention_scale, example["attention_scale"].get<double>(), 1e-5) << example.dump();
  }
}

TEST(Rope, ScaledAnglesStayWhatWasTrained) {
  const LlamaConfig config = SmallConfig();
  const RopeTable plain = RopeTable::Make(config, 64, at::kCPU);
  const RopeTable linear = RopeTable::Make(*WithPositionEncoding("linear(4)", config), 256, at::kCPU);
  EXPECT_TRUE(at::allclose(linear.cosines.slice(0, 0, 256, 4), plain.cosines, 1e-5, 1e-6));
}

TEST(Rope, CyclicPositionsComeAgain) {
  const LlamaConfig config = *WithPositionEncoding("crd-ntk(3)", SmallConfig());
  EXPECT_EQ(config.context_length, 192);
  const RopeTable table = RopeTable::Make(config, 192, at::kCPU);
  EXPECT_TRUE(at::equal(table.cosines.narrow(0, 0, 64), table.cosines.narrow(0, 64, 64)));
  EXPECT_TRUE(at::equal(table.sines.narrow(0, 0, 64), table.sines.narrow(0, 128, 64)));
  const RopeTable shifted = RopeTable::Make(config, 100, at::kCPU, 60);
  EXPECT_TRUE(at::equal(shifted.sines.narrow(0, 0, 4), table.sines.narrow(0, 60, 4)));
  EXPECT_TRUE(at::equal(shifted.sines.narrow(0, 4, 64), table.sines.narrow(0, 0, 64)));
  const RopeFrequencies frequencies = ComputeRopeFrequencies(config, 192);
  EXPECT_DOUBLE_EQ(frequencies.inverse[1], std::pow(10000.0 * std::pow(3.0, 16.0 / 14), -2.0 / 16));
}

TEST(Rope, TheBaseOfCrdGrowsInStages) {
  EXPECT_EQ(CrdStageFactor(8, 0, 1), 8);
  EXPECT_EQ(CrdStageFactor(8, 0, 8), 1);
  EXPECT_EQ(CrdStageFactor(8, 3, 8), 4);
  EXPECT_EQ(CrdStageFactor(8, 7, 8), 8);
}

TEST(PositionEncoding, ExtendsTheContext) {
  LlamaConfig config = SmallConfig();
  EXPECT_EQ(*WithPositionEncoding("", config), config);
  EXPECT_EQ(WithPositionEncoding("rope", config)->context_length, 64);
  for (const char* name : {"linear(2.5)", "ntk(2.5)", "dynamic-ntk(2.5)", "yarn(2.5)", "llama3(2.5)", "crd-ntk(2.5)"}) {
    EXPECT_EQ(WithPositionEncoding(name, config)->context_length, 160) << name;
    EXPECT_EQ(TrainedLength(*WithPositionEncoding(name, config)), 64) << name;
  }
}

TEST(PositionEncoding, SaysWhatIsAllowed) {
  const LlamaConfig config = SmallConfig();
  const std::pair<const char*, const char*> cases[] = {{"alibi", "expected rope, linear(factor)"},
                                                       {"rope(2)", "expected rope, linear(factor)"},
                                                       {"yarn", "like yarn(4)"},
                                                       {"yarn(", "like yarn(4)"},
                                                       {"yarn()", "like yarn(4)"},
                                                       {"yarn(0.5)", "a factor of 1 to 1024"},
                                                       {"yarn(nan)", "a factor of 1 to 1024"},
                                                       {"linear(1e9)", "a factor of 1 to 1024"},
                                                       {"linear(4)x", "like linear(4)"}};
  for (const auto& [encoding, message] : cases) {
    EXPECT_THAT(WithPositionEncoding(encoding, config),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)))
        << encoding;
  }
}

TEST(PositionEncoding, KeepsWhatTheCheckpointWasTrainedWith) {
  LlamaConfig config = SmallConfig();
  config.rope_scaling = {.kind = RopeScaling::Kind::kYarn, .factor = 4, .original_context_length = 16, .beta_fast = 20};
  EXPECT_THAT(WithPositionEncoding("linear(2)", config),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("trained with yarn of factor 4")));
  EXPECT_THAT(WithPositionEncoding("rope", config),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("trained with yarn")));
  EXPECT_THAT(WithPositionEncoding("yarn(2)", config),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("or a larger one")));
  const auto further = WithPositionEncoding("yarn(8)", config);
  ASSERT_THAT(further, testing::IsOk());
  EXPECT_EQ(further->context_length, 128);
  EXPECT_EQ(further->rope_scaling.beta_fast, 20);
}

}  // namespace
}  // namespace tome
