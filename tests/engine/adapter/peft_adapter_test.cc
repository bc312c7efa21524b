#include "engine/adapter/peft_adapter.h"

#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/adapter/adapter_tests.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model.h"

namespace tome {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::GoldenAdapter;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::SafetensorsBytes;
using ::testing::StartsWith;
using testing::StatusIs;
using testing::TinyLlamaConfig;
using testing::TinyModelType;
using testing::TinyTensor;
using enum AdaptedMatrix;

std::shared_ptr<const Adapter> ReadGolden(const std::string& name) {
  const auto adapter = ReadPeftAdapter(GoldenAdapter(name), TinyLlamaConfig());
  EXPECT_THAT(adapter, IsOk());
  return adapter.ok() ? *adapter : nullptr;
}

TEST(PeftAdapter, ReadsWhatPeftWrites) {
  const auto adapter = ReadGolden("plain");
  ASSERT_NE(adapter, nullptr);
  EXPECT_THAT(adapter->warnings(), IsEmpty());
  for (std::int64_t layer = 0; layer < 2; ++layer) {
    for (const AdaptedMatrix matrix : kAdaptedMatrices) {
      const LowRankPair& pair = adapter->contents().Pair(layer, matrix);
      EXPECT_EQ(pair.rank, 4);
      EXPECT_EQ(pair.scale, 1.5);
    }
  }
  EXPECT_THAT(adapter->contents().trained, IsEmpty());
}

TEST(PeftAdapter, TakesRanksAndAlphasOfPatterns) {
  const auto adapter = ReadGolden("patterns");
  ASSERT_NE(adapter, nullptr);
  const AdapterContents& contents = adapter->contents();
  EXPECT_EQ(contents.Pair(0, kQuery).rank, 4);
  EXPECT_EQ(contents.Pair(1, kQuery).rank, 2);
  EXPECT_EQ(contents.Pair(1, kQuery).scale, 4);  // alpha 8
  EXPECT_EQ(contents.Pair(0, kDown).rank, 3);
  EXPECT_EQ(contents.Pair(0, kKey).scale, 0.5);
  EXPECT_EQ(contents.Pair(1, kValue).scale, 1.25);
  EXPECT_EQ(contents.Pair(1, kUp).scale, 2);
}

TEST(PeftAdapter, ScalesRankStabilisedPairsByTheRootOfTheRank) {
  const auto adapter = ReadGolden("rslora");
  ASSERT_NE(adapter, nullptr);
  EXPECT_EQ(adapter->contents().Pair(0, kQuery).scale, 4);  // 8 / sqrt(4)
  EXPECT_EQ(adapter->contents().Pair(0, kKey).rank, 0);
}

TEST(PeftAdapter, ReadsTrainedTensors) {
  const auto adapter = ReadGolden("trained");
  ASSERT_NE(adapter, nullptr);
  std::vector<std::string> names;
  for (const auto& [name, values] : adapter->contents().trained) names.push_back(name);
  EXPECT_THAT(names,
              ElementsAre("lm_head.weight", "model.embed_tokens.weight", "model.layers.0.input_layernorm.weight",
                          "model.layers.0.post_attention_layernorm.weight", "model.layers.1.input_layernorm.weight",
                          "model.layers.1.post_attention_layernorm.weight", "model.norm.weight"));
  EXPECT_EQ(adapter->contents().trained.find("model.embed_tokens.weight")->second.size(), 320u * 64);
}

TEST(PeftAdapter, DigestsTellAdaptersApart) {
  const auto plain = ReadGolden("plain"), patterns = ReadGolden("patterns");
  ASSERT_NE(plain, nullptr);
  EXPECT_EQ(plain->digest(), ReadGolden("plain")->digest());
  EXPECT_NE(plain->digest(), patterns->digest());
  AdapterContents scaled = plain->contents();
  scaled.Pair(1, kUp).scale *= 2;
  EXPECT_NE((*Adapter::Make(TinyLlamaConfig(), scaled, "made"))->digest(), plain->digest());
}

// A file with one pair of k_proj in layer 1, rank 2.
std::vector<TinyTensor> OnePair() {
  const std::string name = "base_model.model.model.layers.1.self_attn.k_proj.";
  return {{name + "lora_A.weight", {2, 64}, std::vector<float>(128, 0.5f)},
          {name + "lora_B.weight", {32, 2}, std::vector<float>(64, 0.25f)}};
}
constexpr char kConfig[] = R"({"peft_type":"LORA","r":2,"lora_alpha":4})";

absl::StatusOr<std::shared_ptr<const Adapter>> Parse(const std::string& config,
                                                     const std::vector<TinyTensor>& tensors) {
  return ParsePeftAdapter(config, SafetensorsBytes(tensors, TinyModelType::kF32), TinyLlamaConfig(), "f");
}

TEST(PeftAdapter, NeedsOnlyThePeftType) {
  std::vector<TinyTensor> tensors = OnePair();
  tensors[0].shape = {8, 64};
  tensors[0].values.resize(512);
  tensors[1].shape = {32, 8};
  tensors[1].values.resize(256);
  TOME_ASSERT_OK_AND_ASSIGN(const auto adapter, Parse(R"({"peft_type":"LORA"})", tensors));
  EXPECT_EQ(adapter->contents().Pair(1, kKey).scale, 1);
}

TEST(PeftAdapter, DropsUnknownFieldsWithAWarning) {
  TOME_ASSERT_OK_AND_ASSIGN(const auto adapter,
                            Parse(R"({"peft_type":"LORA","r":2,"brand_new":7,"off":false,"none":null})", OnePair()));
  EXPECT_THAT(adapter->warnings(), ElementsAre("f/adapter_config.json: field 'brand_new' is not known and not used"));
}

TEST(PeftAdapter, RefusesWhatItDoesNotSupportByName) {
  const std::pair<std::string, std::string> cases[] = {
      {R"("use_dora":true)", "'use_dora'"},
      {R"("lora_bias":true)", "'lora_bias'"},
      {R"("layer_replication":[[0,1]])", "'layer_replication'"},
      {R"("fan_in_fan_out":true)", "'fan_in_fan_out'"},
      {R"("bias":"all")", "'bias'"},
      {R"("trainable_token_indices":[1])", "'trainable_token_indices'"},
      {R"("target_parameters":["x"])", "'target_parameters'"},
      {R"("init_lora_weights":"pissa")", "'init_lora_weights'"},
      {R"("init_lora_weights":"olora")", "'init_lora_weights'"},
      {R"("use_qalora":true)", "'use_qalora'"},
  };
  for (const auto& [field, name] : cases) {
    EXPECT_THAT(Parse(R"({"peft_type":"LORA","r":2,)" + field + "}", OnePair()),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(StartsWith("f/adapter_config.json: field " + name), HasSubstr("expected"))));
  }
  EXPECT_THAT(Parse(R"({"peft_type":"IA3"})", OnePair()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'peft_type': expected 'LORA', found")));
  EXPECT_THAT(Parse("{}", OnePair()), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'peft_type'")));
}

TEST(PeftAdapter, RefusesPatternsThatContradictOrAreNone) {
  EXPECT_THAT(Parse(R"({"peft_type":"LORA","r":2,"alpha_pattern":{"k_proj":1,"self_attn.k_proj":2}})", OnePair()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'alpha_pattern': expected one pattern for "
                                                                     "model.layers.1.self_attn.k_proj")));
  EXPECT_THAT(Parse(R"({"peft_type":"LORA","r":2,"rank_pattern":{"k_(":1}})", OnePair()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expected a regular expression, found 'k_('")));
  EXPECT_THAT(Parse(R"({"peft_type":"LORA","r":2,"rank_pattern":{"k_proj":1.5}})", OnePair()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expected a rank of 1 or more")));
}

TEST(PeftAdapter, RefusesTensorsThatDoNotFit) {
  const auto changed = [](std::size_t index, std::string name, std::vector<std::int64_t> shape) {
    std::vector<TinyTensor> tensors = OnePair();
    tensors[index].name = std::move(name);
    std::int64_t count = 1;
    for (const std::int64_t size : shape) count *= size;
    tensors[index].shape = std::move(shape);
    tensors[index].values.assign(static_cast<std::size_t>(count), 1.0f);
    return tensors;
  };
  const std::string layer = "base_model.model.model.layers.1.";
  const struct {
    std::vector<TinyTensor> tensors;
    std::string message;
  } cases[] = {
      {changed(0, OnePair()[0].name, {3, 64}), "expected shape [2, 64], found [3, 64]"},
      {changed(1, OnePair()[1].name, {128, 2}), "expected shape [32, 2], found [128, 2]"},
      {changed(1, OnePair()[1].name, {64}), "expected shape [32, 2], found [64]"},
      {changed(1, layer + "self_attn.q_proj.lora_B.weight", {128, 2}), "q_proj.lora_A.weight' is missing"},
      {changed(0, "base_model.model.model.layers.2.self_attn.k_proj.lora_A.weight", {2, 64}), "model's 2 layers"},
      {changed(0, "base_model.model.model.layers.01.self_attn.k_proj.lora_A.weight", {2, 64}), "model's 2 layers"},
      {changed(0, layer + "self_attn.k_proj.lora_magnitude_vector", {32}), "lora_magnitude_vector"},
      {changed(0, layer + "self_attn.k_proj.weight", {32, 64}), "found another tensor"},
      {changed(0, "base_model.model.model.embed_tokens.weight", {321, 64}), "expected shape [320, 64]"},
      {changed(0, "model.norm.weight", {64}), "expected a name that begins with 'base_model.model.'"},
  };
  for (const auto& [tensors, message] : cases) {
    EXPECT_THAT(Parse(kConfig, tensors),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(StartsWith("f/adapter_model.safetensors: tensor "), HasSubstr(message))));
  }
  EXPECT_THAT(Parse(kConfig, {}), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("found none")));
  std::vector<TinyTensor> damaged = OnePair();
  damaged[1].values[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(Parse(kConfig, damaged),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("k_proj: expected finite numbers")));
}

TEST(PeftAdapter, SaysWhatAFolderHasInstead) {
  EXPECT_THAT(ReadPeftAdapter(GoldenAdapter("nowhere"), TinyLlamaConfig()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("adapter_config.json")));
}

}  // namespace
}  // namespace tome
