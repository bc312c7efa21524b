#include "engine/adapter/gguf_adapter.h"

#include "engine/adapter/peft_adapter.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/adapter/adapter_tests.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace tome {
namespace {

using testing::GgufWriter;
using testing::GoldenAdapter;
using ::testing::HasSubstr;
using testing::StatusIs;
using testing::TinyLlamaConfig;
using enum AdaptedMatrix;

TEST(GgufAdapter, IsTheSameAdapterAsPeftsOwnFile) {
  TOME_ASSERT_OK_AND_ASSIGN(const auto peft, ReadPeftAdapter(GoldenAdapter("plain"), TinyLlamaConfig()));
  const std::string bytes = testing::ReadFile(GoldenAdapter("plain.gguf"));
  for (const bool interleaved_model : {false, true}) {
    LlamaConfig config = TinyLlamaConfig();
    config.rope_interleaved = interleaved_model;
    TOME_ASSERT_OK_AND_ASSIGN(const auto gguf, ParseGgufAdapter(bytes, config, "f"));
    EXPECT_EQ(gguf->digest(), peft->digest());
  }
}

GgufWriter OnePair() {
  GgufWriter writer;
  writer.SetString("general.type", "adapter");
  writer.SetString("general.architecture", "llama");
  writer.SetString("adapter.type", "lora");
  writer.SetFloat("adapter.lora.alpha", 6);
  const auto add = [&](const char* name, std::vector<std::int64_t> shape) {
    const std::vector<float> values(static_cast<std::size_t>(shape[0] * shape[1]), 0.5f);
    writer.tensors.push_back(
        {name, shape, testing::gguf::kF32, testing::EncodeValues(values, testing::TinyModelType::kF32)});
  };
  add("blk.1.ffn_up.weight.lora_a", {2, 64});
  add("blk.1.ffn_up.weight.lora_b", {96, 2});
  return writer;
}

absl::StatusOr<std::shared_ptr<const Adapter>> Parse(const GgufWriter& writer) {
  return ParseGgufAdapter(writer.Bytes(), TinyLlamaConfig(), "f");
}

TEST(GgufAdapter, AlphaOfZeroMeansAScaleOfOne) {
  GgufWriter writer = OnePair();
  TOME_ASSERT_OK_AND_ASSIGN(auto adapter, Parse(writer));
  EXPECT_EQ(adapter->contents().Pair(1, kUp).scale, 3);
  writer.SetFloat("adapter.lora.alpha", 0);
  TOME_ASSERT_OK_AND_ASSIGN(adapter, Parse(writer));
  EXPECT_EQ(adapter->contents().Pair(1, kUp).scale, 1);
}

TEST(GgufAdapter, RefusesOtherFilesByTheirKeys) {
  const std::pair<const char*, const char*> cases[] = {
      {"general.type", "model"}, {"general.architecture", "qwen2"}, {"adapter.type", "control_vector"}};
  for (const auto& [key, value] : cases) {
    GgufWriter writer = OnePair();
    writer.SetString(key, value);
    EXPECT_THAT(Parse(writer), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(key)));
    writer.Remove(key);
    EXPECT_THAT(Parse(writer), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(key)));
  }
  GgufWriter writer = OnePair();
  writer.SetInt32s("adapter.alora.invocation_tokens", {1, 2});
  EXPECT_THAT(Parse(writer), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("activated adapters")));
}

TEST(GgufAdapter, RefusesTensorsThatDoNotFit) {
  const auto renamed = [](std::size_t index, const char* name, std::vector<std::int64_t> shape) {
    GgufWriter writer = OnePair();
    writer.tensors[index].name = name;
    if (!shape.empty()) writer.tensors[index].shape = std::move(shape);
    return writer;
  };
  const std::pair<GgufWriter, const char*> cases[] = {
      {renamed(0, "blk.2.ffn_up.weight.lora_a", {}), "N below 2"},
      {renamed(0, "token_embd.weight.lora_a", {}), "found another name"},
      {renamed(0, "blk.1.ffn_norm.weight.lora_a", {}), "found another name"},
      {renamed(0, "blk.1.ffn_gate.weight.lora_a", {}), "'blk.1.ffn_gate.weight.lora_b' is missing"},
      {renamed(0, "blk.1.ffn_up.weight.lora_a", {4, 32}), "expected shape [rank, 64], found [4, 32]"},
      {renamed(1, "blk.1.ffn_up.weight.lora_b", {192, 1}), "expected shape [96, 2], found [192, 1]"},
      {renamed(1, "blk.1.ffn_up.weight.lora_b", {192}), "expected shape [96, 2], found [192]"},
  };
  for (const auto& [writer, message] : cases) {
    EXPECT_THAT(Parse(writer), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  }
}

}  // namespace
}  // namespace tome
