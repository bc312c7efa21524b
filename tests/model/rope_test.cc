#include "engine/model/rope.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace tome {
namespace {

LlamaConfig SmallConfig() {
  LlamaConfig config;
  config.head_dim = 16;
  config.context_length = 64;
  config.rope_theta = 10000.0;
  return config;
}

TEST(Rope, FrequenciesFollowTheFormula) {
  const RopeFrequencies frequencies = ComputeRopeFrequencies(SmallConfig());
  ASSERT_EQ(frequencies.inverse.size(), 8u);
  for (int i = 0; i < 8; ++i) EXPECT_DOUBLE_EQ(frequencies.inverse[i], std::pow(10000.0, -2.0 * i / 16));
  EXPECT_EQ(frequencies.attention_scale, 1.0);
}

TEST(Rope, LinearDividesEveryFrequency) {
  LlamaConfig config = SmallConfig();
  const RopeFrequencies plain = ComputeRopeFrequencies(config);
  config.rope_scaling.kind = RopeScaling::Kind::kLinear;
  config.rope_scaling.factor = 4;
  const RopeFrequencies scaled = ComputeRopeFrequencies(config);
  for (int i = 0; i < 8; ++i) EXPECT_DOUBLE_EQ(scaled.inverse[i], plain.inverse[i] / 4);
}

TEST(Rope, YarnAndLlama3KeepFastPairsAndInterpolateSlowOnes) {
  for (const auto kind : {RopeScaling::Kind::kYarn, RopeScaling::Kind::kLlama3}) {
    LlamaConfig config = SmallConfig();
    const RopeFrequencies plain = ComputeRopeFrequencies(config);
    config.rope_scaling.kind = kind;
    config.rope_scaling.factor = 8;
    config.rope_scaling.original_context_length = 64;
    config.rope_scaling.beta_fast = 8;
    const RopeFrequencies scaled = ComputeRopeFrequencies(config);
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
  EXPECT_DOUBLE_EQ(ComputeRopeFrequencies(config).attention_scale, 0.1 * std::log(4.0) + 1);
  config.rope_scaling.attention_factor = 1.5;
  EXPECT_DOUBLE_EQ(ComputeRopeFrequencies(config).attention_scale, 1.5);
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

}  // namespace
}  // namespace tome
