#include "engine/checkpoint/llama2c_checkpoint.h"

#include <cmath>
#include <cstring>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model_formats.h"

namespace tome {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using ::tome::testing::IsOk;
using ::tome::testing::StatusIs;
using ::tome::testing::TinyLlama2c;
using ::tome::testing::TinyLlama2cVocabulary;
using ::tome::testing::TinyModelOptions;

constexpr int kVocabSize = 300;

TinyModelOptions Options(bool tied) {
  return {.num_layers = 2,
          .hidden_size = 16,
          .num_heads = 4,
          .num_kv_heads = 2,
          .head_dim = 4,
          .ffn_size = 24,
          .context_length = 8,
          .vocab_size = kVocabSize,
          .tied = tied};
}

template <typename T>
std::string Patched(std::string bytes, std::size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof(T));
  return bytes;
}

TEST(Llama2cCheckpointTest, ReadsConfigAndTensors) {
  for (const bool tied : {true, false}) {
    const std::string bytes = TinyLlama2c(Options(tied));
    TOME_ASSERT_OK_AND_ASSIGN(const CheckpointContents contents, ReadLlama2c(bytes, "f"));
    LlamaConfig expected;
    expected.vocab_size = kVocabSize, expected.hidden_size = 16, expected.num_layers = 2, expected.num_heads = 4;
    expected.num_kv_heads = 2, expected.head_dim = 4, expected.ffn_size = 24, expected.context_length = 8;
    expected.rms_norm_epsilon = 1e-5, expected.rope_theta = 10000;
    expected.tied_output = tied, expected.rope_interleaved = true;
    EXPECT_EQ(contents.config, expected);
    EXPECT_EQ(contents.tensors.size(), 2u + 2 * 9 + (tied ? 0 : 1));
    EXPECT_THAT(contents.tensors.at("model.layers.1.mlp.up_proj.weight").shape, ElementsAre(24, 16));
  }
}

// The layout puts w2 (down) before w3 (up), and the output layer after the rotary tables.
TEST(Llama2cCheckpointTest, FindsEachTensorsOwnValues) {
  const TinyModelOptions options = Options(/*tied=*/false);
  const std::string bytes = TinyLlama2c(options);
  TOME_ASSERT_OK_AND_ASSIGN(const CheckpointContents contents, ReadLlama2c(bytes, "f"));
  for (const testing::TinyTensor& expected : testing::TinyTensors(options)) {
    if (expected.name.find("q_proj") != std::string::npos || expected.name.find("k_proj") != std::string::npos)
      continue;
    const CheckpointTensor& found = contents.tensors.at(expected.name);
    std::vector<float> values(expected.values.size());
    DequantizeRow(found.type, found.data, absl::MakeSpan(values));
    EXPECT_EQ(values, expected.values) << expected.name;
    EXPECT_EQ(found.shape, expected.shape) << expected.name;
  }
}

TEST(Llama2cCheckpointTest, RefusesBrokenModels) {
  const std::string sound = TinyLlama2c(Options(true));
  const struct {
    std::string bytes, message;
  } cases[] = {
      {"", "dim: expected 4 bytes at offset 0, found 0"},
      {Patched(sound, 0, 0x616b3432), "dim: expected the legacy format (export.py --version 0)"},
      {Patched(sound, 0, 0), "hidden size: expected 1 to 1048576, found 0"},
      {Patched(sound, 0, -16), "hidden size: expected 1 to 1048576, found -16"},
      {Patched(sound, 0, 1 << 28), "hidden size: expected 1 to 1048576, found 268435456"},
      {Patched(sound, 4, -1), "feed-forward size"},
      {Patched(sound, 8, 2000), "number of layers: expected 1 to 1024, found 2000"},
      {Patched(sound, 8, 3), "before the end"},
      {Patched(sound, 12, 0), "n_heads: expected a divisor of dim 16, found 0"},
      {Patched(sound, 12, 5), "n_heads: expected a divisor of dim 16, found 5"},
      {Patched(sound, 12, 16), "head dimension: expected an even number, found 1"},
      {Patched(sound, 16, 3), "expected a divisor of the 4 query heads, found 3"},
      {Patched(sound, 20, 0), "vocabulary size: expected 1 to 16777216, found 0"},
      {Patched(sound, 20, INT32_MIN), "vocabulary size: expected 1 to 16777216, found 2147483648"},
      {Patched(sound, 20, -kVocabSize), "tensor 'lm_head.weight': expected 19200 bytes"},
      {Patched(sound, 24, -8), "context length"},
      {Patched(sound, 24, 1 << 30), "rotary tables: expected 17179869184 bytes"},
      {sound + "x", "expected the end at offset"},
  };
  for (const auto& [bytes, message] : cases) {
    EXPECT_THAT(ReadLlama2c(bytes, "some.bin"),
                StatusIs(absl::StatusCode::kInvalidArgument, AllOf(StartsWith("some.bin: "), HasSubstr(message))));
  }
}

TEST(Llama2cCheckpointTest, RefusesEveryTruncation) {
  const std::string bytes = TinyLlama2c(Options(true));
  for (std::size_t size = 0; size < bytes.size(); size += size < 64 ? 1 : 37) {
    ASSERT_THAT(ReadLlama2c(std::string_view(bytes).substr(0, size), "f"),
                StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("f: ")));
  }
  EXPECT_THAT(ReadLlama2c(std::string_view(bytes).substr(0, bytes.size() - 1), "f"),
              StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("f: ")));
}

TEST(Llama2cCheckpointTest, ReadsTheVocabulary) {
  const std::string bytes = TinyLlama2cVocabulary(kVocabSize);
  TOME_ASSERT_OK_AND_ASSIGN(const TokenizerData data, ReadLlama2cTokenizer(bytes, "f", kVocabSize));
  EXPECT_EQ(data.kind, TokenizerKind::kSentencePieceBpe);
  EXPECT_EQ(data.pieces.size(), static_cast<std::size_t>(kVocabSize));
  EXPECT_EQ(data.pieces[0].type, PieceType::kUnknown);
  EXPECT_EQ(data.pieces[1].text, "<s>");
  EXPECT_EQ(data.pieces[2].type, PieceType::kControl);
  EXPECT_EQ(data.pieces[3].text, "<0x00>");
  EXPECT_EQ(data.pieces[258].type, PieceType::kByte);
  EXPECT_EQ(data.pieces[259].text, "\xE2\x96\x81") << "a space is written as U+2581";
  EXPECT_EQ(data.pieces[259].score, -1000);
  EXPECT_EQ(data.bos, 1);
  EXPECT_EQ(data.eos, 2);
  EXPECT_EQ(data.add_bos, true);
}

TEST(Llama2cCheckpointTest, RefusesBrokenVocabularies) {
  const std::string sound = TinyLlama2cVocabulary(kVocabSize);
  const struct {
    std::string bytes;
    std::int64_t vocab_size;
    std::string message;
  } cases[] = {
      {"", kVocabSize, "longest piece: expected 4 bytes"},
      {Patched(sound, 0, 0), kVocabSize, "longest piece: expected a positive number, found 0"},
      {Patched(sound, 0, 5), kVocabSize, "piece 2: expected a length from 1 to 5, found 6"},
      {Patched(sound, 4, std::nanf("")), kVocabSize, "piece 0: expected a finite score, found nan"},
      {Patched(sound, 8, -1), kVocabSize, "piece 0: expected a length from 1 to 6, found -1"},
      {Patched(sound, 8, 0), kVocabSize, "piece 0: expected a length from 1 to 6, found 0"},
      {Patched(sound, 12, '\xff'), kVocabSize, "piece 0: expected UTF-8, found '\\xffunk>'"},
      {sound, kVocabSize - 1, "expected the end at offset"},
      {sound, kVocabSize + 1, "piece 300: expected 4 bytes"},
      {sound, 1 << 20, "expected the 1048576 pieces of the model's vocabulary"},
      {sound, 2, "expected the 2 pieces of the model's vocabulary (at least 3)"},
  };
  for (const auto& [bytes, vocab_size, message] : cases) {
    EXPECT_THAT(ReadLlama2cTokenizer(bytes, "some.bin", vocab_size),
                StatusIs(absl::StatusCode::kInvalidArgument, AllOf(StartsWith("some.bin: "), HasSubstr(message))));
  }
  for (std::size_t size = 0; size < sound.size(); ++size) {
    EXPECT_THAT(ReadLlama2cTokenizer(std::string_view(sound).substr(0, size), "f", kVocabSize),
                StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("f: ")));
  }
}

}  // namespace
}  // namespace tome
