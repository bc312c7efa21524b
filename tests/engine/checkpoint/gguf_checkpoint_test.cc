#include "engine/checkpoint/gguf/gguf_checkpoint.h"

#include <cmath>
#include <functional>
#include <limits>
#include <numbers>

#include "engine/text/tokenizer.h"
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
using ::tome::testing::GgufWriter;
using ::tome::testing::IsOk;
using ::tome::testing::SetSentencePieceTokenizer;
using ::tome::testing::StatusIs;
using ::tome::testing::TinyGguf;
using ::tome::testing::TinyModelOptions;
using ::tome::testing::TinyVocabSize;
namespace gguf = ::tome::testing::gguf;

TEST(GgufCheckpointTest, ReadsConfigTensorsAndTokenizer) {
  const std::string bytes = TinyGguf({.tied = false}).Bytes();
  TOME_ASSERT_OK_AND_ASSIGN(const CheckpointContents contents, ReadGguf(bytes, "f"));
  LlamaConfig expected;
  expected.name = "Tiny";
  expected.vocab_size = TinyVocabSize();
  expected.hidden_size = 64, expected.num_layers = 2, expected.num_heads = 4, expected.num_kv_heads = 2;
  expected.head_dim = 16, expected.ffn_size = 96, expected.context_length = 4096;
  expected.rms_norm_epsilon = 1e-5f, expected.rope_theta = 10000;
  expected.tied_output = false, expected.rope_interleaved = true;
  EXPECT_EQ(contents.config, expected);
  EXPECT_EQ(contents.tensors.size(), 3u + 2 * 9);
  EXPECT_THAT(contents.tensors.at("model.layers.1.mlp.down_proj.weight").shape, ElementsAre(64, 96));
  EXPECT_THAT(contents.tensors.at("lm_head.weight").shape, ElementsAre(TinyVocabSize(), 64));

  const TokenizerData& tokenizer = contents.tokenizer;
  EXPECT_EQ(tokenizer.kind, TokenizerKind::kByteLevelBpe);
  EXPECT_EQ(tokenizer.pre_tokenizer, PreTokenizer::kGpt2);
  EXPECT_EQ(tokenizer.pieces.size(), static_cast<std::size_t>(TinyVocabSize()));
  EXPECT_EQ(tokenizer.merges.front(), std::pair(std::string("\xC4\xA0"), std::string("t")));
  EXPECT_EQ(tokenizer.bos, TinyVocabSize() - 2);
  EXPECT_EQ(tokenizer.eos, TinyVocabSize() - 1);
  EXPECT_EQ(tokenizer.add_bos, false);
  EXPECT_EQ(tokenizer.pieces.back().type, PieceType::kControl);
}

TEST(GgufCheckpointTest, AnAbsentOutputMeansATiedOne) {
  const std::string bytes = TinyGguf({.tied = true}).Bytes();
  TOME_ASSERT_OK_AND_ASSIGN(const CheckpointContents contents, ReadGguf(bytes, "f"));
  EXPECT_TRUE(contents.config.tied_output);
  EXPECT_FALSE(contents.tensors.contains("lm_head.weight"));
}

TEST(GgufCheckpointTest, OptionalKeysHaveDefaults) {
  GgufWriter writer = TinyGguf();
  for (const char* key : {"general.name", "llama.attention.key_length", "llama.attention.value_length",
                          "llama.rope.dimension_count", "llama.rope.freq_base"}) {
    writer.Remove(key);
  }
  const std::string bytes = writer.Bytes();
  TOME_ASSERT_OK_AND_ASSIGN(const CheckpointContents contents, ReadGguf(bytes, "f"));
  EXPECT_EQ(contents.config.head_dim, 16);
  EXPECT_EQ(contents.config.rope_theta, 10000.0);
}

struct Corruption {
  std::function<void(GgufWriter&)> change;
  std::string message;
};

void ExpectRefused(const std::vector<Corruption>& cases, const GgufWriter& sound) {
  ASSERT_THAT(ReadGguf(sound.Bytes(), "some.gguf"), IsOk());
  for (const auto& [change, message] : cases) {
    GgufWriter writer = sound;
    change(writer);
    const absl::Status status = ReadGguf(writer.Bytes(), "some.gguf").status();
    EXPECT_THAT(status,
                StatusIs(absl::StatusCode::kInvalidArgument, AllOf(StartsWith("some.gguf: "), HasSubstr(message))));
  }
}

TEST(GgufCheckpointTest, RefusesWrongConfigs) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  ExpectRefused(
      {
          {[](auto& w) { w.SetString("general.architecture", "qwen2"); },
           "'general.architecture': expected 'llama', found 'qwen2'"},
          {[](auto& w) { w.Remove("general.architecture"); },
           "'general.architecture': expected a string, found no such key"},
          {[](auto& w) { w.SetUint32("llama.block_count", 0); },
           "'llama.block_count': expected an integer from 1 to 1024"},
          {[](auto& w) { w.SetUint32("llama.block_count", 100000); }, "found 100000"},
          {[](auto& w) { w.SetUint32("llama.block_count", 3); },
           "tensor 'blk.2.attn_norm.weight' of shape [64] is missing"},
          {[](auto& w) { w.SetUint32("llama.block_count", 1); }, "expected no tensor beyond the"},
          {[](auto& w) { w.Remove("llama.context_length"); },
           "'llama.context_length': expected an integer, found no such key"},
          {[](auto& w) { w.SetUint32("llama.embedding_length", 32); }, "expected shape [304, 32], found [304, 64]"},
          {[](auto& w) { w.SetUint64("llama.embedding_length", 1ull << 63); }, "found 9223372036854775808"},
          {[](auto& w) { w.SetUint32("llama.feed_forward_length", 97); },
           "'blk.0.ffn_gate.weight': expected shape [97, 64]"},
          {[](auto& w) { w.SetUint32("llama.attention.head_count", 2); }, "expected shape [32, 64], found [64, 64]"},
          {[](auto& w) { w.SetUint32("llama.attention.head_count_kv", 3); }, "expected a divisor of the 4 query heads"},
          {[](auto& w) { w.SetInt32s("llama.attention.head_count_kv", {2, 4}); },
           "expected the same number for all layers, found 2 for layer 0 and 4 for layer 1"},
          {[](auto& w) { w.SetInt32s("llama.attention.head_count_kv", {2, 2, 2}); },
           "expected one integer, or one for each of the 2 layers, found an array of 3 values"},
          {[](auto& w) { w.SetStrings("llama.attention.head_count_kv", {"2", "2"}); }, "values of type string"},
          {[](auto& w) { w.SetFloat("llama.context_length", 4096.5); }, "from 1 to 2147483648, found 4096.5"},
          {[](auto& w) { w.SetUint32("llama.attention.value_length", 8); }, "expected the key length 16, found 8"},
          {[](auto& w) { w.Remove("llama.attention.key_length"), w.SetUint32("llama.attention.head_count", 5); },
           "'llama.attention.head_count': expected a divisor of the embedding length 64, found 5"},
          {[](auto& w) { w.SetUint32("llama.rope.dimension_count", 8); }, "expected the head dimension 16, found 8"},
          {[](auto& w) { w.SetFloat("llama.attention.layer_norm_rms_epsilon", kNan); }, "RMS norm epsilon"},
          {[](auto& w) { w.Remove("llama.attention.layer_norm_rms_epsilon"); }, "found no such key"},
          {[](auto& w) { w.SetFloat("llama.rope.freq_base", kNan); }, "rope theta"},
          {[](auto& w) { w.SetUint32("llama.vocab_size", 300); }, "expected shape [300, 64], found [304, 64]"},
          {[](auto& w) { w.SetUint32("llama.expert_count", 8); }, "'llama.expert_count': expected no experts, found 8"},
          {[](auto& w) { w.SetUint32("split.count", 2); }, "found a part of 2: join them first"},
          {[](auto& w) { w.SetFloat("llama.attention.scale", 0.5f); }, "'llama.attention.scale'"},
      },
      TinyGguf());
}

TEST(GgufCheckpointTest, NamesTheCommandThatJoinsParts) {
  GgufWriter writer = TinyGguf();
  writer.SetUint32("split.count", 3);
  const std::pair<std::string, std::string> cases[] = {
      {"dir/model-00002-of-00003.gguf", "llama-gguf-split --merge dir/model-00001-of-00003.gguf dir/model.gguf"},
      {"part.gguf", "llama-gguf-split --merge part.gguf part.gguf.whole.gguf"}};
  for (const auto& [path, command] : cases) {
    EXPECT_THAT(ReadGguf(writer.Bytes(), path), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(command)));
  }
  // The later parts have nothing else.
  for (const char* key : {"general.architecture", "llama.block_count", "llama.context_length"}) writer.Remove(key);
  EXPECT_THAT(ReadGguf(writer.Bytes(), "b.gguf"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--merge")));
}

TEST(GgufCheckpointTest, TakesNumbersInOtherSpellings) {
  GgufWriter writer = TinyGguf();
  writer.SetInt32s("llama.attention.head_count_kv", {2, 2});
  writer.SetInt32s("llama.attention.head_count", {4, 4});
  writer.SetInt32s("llama.feed_forward_length", {96, 96});
  writer.SetFloat("llama.context_length", 4096);
  const std::string bytes = writer.Bytes(), usual = TinyGguf().Bytes();
  TOME_ASSERT_OK_AND_ASSIGN(const CheckpointContents contents, ReadGguf(bytes, "f"));
  TOME_ASSERT_OK_AND_ASSIGN(const CheckpointContents expected, ReadGguf(usual, "f"));
  EXPECT_EQ(contents.config, expected.config);
  EXPECT_THAT(contents.warnings, ::testing::IsEmpty());
}

TEST(GgufCheckpointTest, ASlidingWindowIsTheContext) {
  GgufWriter writer = TinyGguf();
  writer.SetUint32("llama.attention.sliding_window", 512);
  const std::string bytes = writer.Bytes();
  TOME_ASSERT_OK_AND_ASSIGN(const CheckpointContents contents, ReadGguf(bytes, "f"));
  EXPECT_EQ(contents.config.context_length, 512);
  EXPECT_THAT(contents.warnings, ElementsAre(HasSubstr("'llama.attention.sliding_window'")));
}

TEST(GgufCheckpointTest, TakesTokenizersThatAreNotComplete) {
  const int size = TinyVocabSize();
  const struct {
    std::function<void(GgufWriter&)> change;
    std::string warning;
  } cases[] = {
      {[](auto& w) { w.Remove("tokenizer.ggml.pre"); }, "'tokenizer.ggml.pre': found no such key"},
      {[](auto& w) { w.Remove("tokenizer.ggml.token_type"); }, "'tokenizer.ggml.token_type': found no such key"},
      {[&](auto& w) { w.SetUint32("tokenizer.ggml.bos_token_id", size); },
       "'tokenizer.ggml.bos_token_id': expected an integer from 0 to 303, found 304: left out"},
      {[](auto& w) { w.SetUint32("tokenizer.ggml.eot_token_id", 4294967295); }, "'tokenizer.ggml.eot_token_id'"},
  };
  for (const auto& [change, warning] : cases) {
    GgufWriter writer = TinyGguf();
    change(writer);
    const std::string bytes = writer.Bytes();
    TOME_ASSERT_OK_AND_ASSIGN(const CheckpointContents contents, ReadGguf(bytes, "some.gguf"));
    EXPECT_THAT(contents.tokenizer.warnings, ElementsAre(AllOf(StartsWith("some.gguf: "), HasSubstr(warning))));
    EXPECT_EQ(contents.tokenizer.pieces.back().type, PieceType::kControl) << warning;
    EXPECT_THAT(Tokenizer::Create(contents.tokenizer), IsOk()) << warning;
  }
}

TEST(GgufCheckpointTest, GuessesTheTypesOfSentencePieces) {
  GgufWriter writer = TinyGguf();
  SetSentencePieceTokenizer(&writer);
  const std::string usual = writer.Bytes();
  writer.Remove("tokenizer.ggml.token_type");
  const std::string bytes = writer.Bytes();
  TOME_ASSERT_OK_AND_ASSIGN(const CheckpointContents expected, ReadGguf(usual, "f"));
  TOME_ASSERT_OK_AND_ASSIGN(const CheckpointContents contents, ReadGguf(bytes, "f"));
  ASSERT_EQ(contents.tokenizer.pieces.size(), expected.tokenizer.pieces.size());
  for (std::size_t id = 0; id < expected.tokenizer.pieces.size(); ++id) {
    EXPECT_EQ(contents.tokenizer.pieces[id].type, expected.tokenizer.pieces[id].type) << id;
  }
}

TEST(GgufCheckpointTest, LeavesOutSpecialTokensWithoutAnEmbedding) {
  GgufWriter writer = TinyGguf({.vocab_size = TinyVocabSize() - 1});
  const std::string bytes = writer.Bytes();
  TOME_ASSERT_OK_AND_ASSIGN(const CheckpointContents contents, ReadGguf(bytes, "f"));
  EXPECT_EQ(contents.tokenizer.pieces.size(), static_cast<std::size_t>(TinyVocabSize()) - 1);
  EXPECT_EQ(contents.tokenizer.eos, std::nullopt);
  EXPECT_THAT(contents.tokenizer.warnings, ElementsAre(HasSubstr("only 303 embeddings"), HasSubstr("eos_token_id")));
}

TEST(GgufCheckpointTest, EveryTokenThatEndsATextCounts) {
  GgufWriter writer = TinyGguf();
  writer.SetUint32("tokenizer.ggml.eot_token_id", 301);
  writer.SetUint32("tokenizer.ggml.eom_token_id", 40);
  const std::string bytes = writer.Bytes();
  TOME_ASSERT_OK_AND_ASSIGN(const CheckpointContents contents, ReadGguf(bytes, "f"));
  TOME_ASSERT_OK_AND_ASSIGN(const auto tokenizer, Tokenizer::Create(contents.tokenizer));
  EXPECT_EQ(tokenizer->eos(), TinyVocabSize() - 1);
  EXPECT_THAT(tokenizer->ends(), ::testing::UnorderedElementsAre(301, 303, 40)) << "<|endoftext|>, <|im_end|>, and 40";
}

TEST(GgufCheckpointTest, RefusesWrongTensors) {
  ExpectRefused(
      {
          {[](auto& w) { w.RemoveTensor("token_embd.weight"); }, "tensor 'token_embd.weight' is missing"},
          {[](auto& w) { w.RemoveTensor("output_norm.weight"); },
           "tensor 'output_norm.weight' of shape [64] is missing"},
          {[](auto& w) { w.FindTensor("blk.1.attn_q.weight").name = "blk.1.attn_q.bias"; },
           "tensor 'blk.1.attn_q.weight' of shape [64, 64] is missing"},
          {[](auto& w) { w.tensors.push_back({"blk.0.attn_q.bias", {64}, gguf::kF32, std::string(256, '\0')}); },
           "expected no tensor beyond the 20 of a LLaMA model with 2 layers, found 'blk.0.attn_q.bias' of shape [64]"},
          {[](auto& w) { w.FindTensor("blk.0.ffn_up.weight").shape = {64, 96}; },
           "tensor 'blk.0.ffn_up.weight': expected shape [96, 64], found [64, 96]"},
          {[](auto& w) { w.FindTensor("blk.0.attn_norm.weight").shape = {64, 1}; },
           "expected shape [64], found [64, 1]"},
      },
      TinyGguf());
}

TEST(GgufCheckpointTest, RecognisesPreTokenizers) {
  const std::tuple<std::string, PreTokenizer, bool> cases[] = {
      {"default", PreTokenizer::kGpt2, false},  {"gpt-2", PreTokenizer::kGpt2, false},
      {"smollm", PreTokenizer::kSmolLm, false}, {"llama-bpe", PreTokenizer::kLlama3, true},
      {"llama3", PreTokenizer::kLlama3, true},
  };
  for (const auto& [name, expected, llama3] : cases) {
    GgufWriter writer = TinyGguf();
    writer.SetString("tokenizer.ggml.pre", name);
    const std::string bytes = writer.Bytes();
    TOME_ASSERT_OK_AND_ASSIGN(const CheckpointContents contents, ReadGguf(bytes, "f"));
    EXPECT_EQ(contents.tokenizer.pre_tokenizer, expected) << name;
    EXPECT_EQ(contents.tokenizer.ignore_merges, llama3) << name;
    EXPECT_EQ(contents.tokenizer.add_bos, llama3) << name;
  }
}

TEST(GgufCheckpointTest, RefusesWrongByteLevelTokenizers) {
  ExpectRefused(
      {
          {[](auto& w) { w.SetString("tokenizer.ggml.model", "bert"); },
           "'tokenizer.ggml.model': expected 'gpt2' or 'llama', found 'bert'"},
          {[](auto& w) { w.SetString("tokenizer.ggml.pre", "qwen2"); },
           "expected one of default, gpt-2, smollm, llama-bpe, llama3, llama-v3, found 'qwen2'"},
          {[](auto& w) { w.Remove("tokenizer.ggml.tokens"); }, "expected an array of strings, found no such key"},
          {[](auto& w) { w.SetStrings("tokenizer.ggml.tokens", {}); }, "expected 1 to 304 pieces"},
          {[](auto& w) { w.SetStrings("tokenizer.ggml.tokens", std::vector<std::string>(305, "x")); },
           "expected 1 to 304 pieces (the vocabulary size), found 305"},
          {[](auto& w) {
             w.SetStrings("tokenizer.ggml.tokens", {"\xff"}), w.SetInt32s("tokenizer.ggml.token_type", {1});
           },
           "expected UTF-8, found '\\xff' at index 0"},
          {[](auto& w) { w.SetInt32s("tokenizer.ggml.token_type", {1, 2}); }, "as the 304 pieces, found 2 and 304"},
          {[](auto& w) { w.SetInt32s("tokenizer.ggml.token_type", std::vector<std::int32_t>(304, 7)); },
           "expected 1 to 6, found 7 at index 0"},
          {[](auto& w) { w.SetInt32s("tokenizer.ggml.token_type", std::vector<std::int32_t>(304, 0)); },
           "expected 1 to 6, found 0 at index 0"},
          {[](auto& w) { w.SetStrings("tokenizer.ggml.merges", {"a b", "ab"}); }, "found 'ab' at index 1"},
          {[](auto& w) { w.SetStrings("tokenizer.ggml.merges", {" b"}); }, "found ' b' at index 0"},
          {[](auto& w) { w.SetStrings("tokenizer.ggml.merges", {"a "}); }, "found 'a ' at index 0"},
          {[](auto& w) { w.SetStrings("tokenizer.ggml.merges", {"a b c"}); }, "found 'a b c' at index 0"},
          {[](auto& w) { w.SetString("tokenizer.ggml.bos_token_id", "1"); }, "found a value of type string"},
          {[](auto& w) { w.SetBool("tokenizer.ggml.add_space_prefix", true); }, "expected false for a byte-level BPE"},
      },
      TinyGguf());
}

TEST(GgufCheckpointTest, ReadsSentencePieceTokenizers) {
  GgufWriter writer = TinyGguf();
  SetSentencePieceTokenizer(&writer);
  writer.SetString("tokenizer.chat_template", "{{ messages }}");
  const std::string bytes = writer.Bytes();
  TOME_ASSERT_OK_AND_ASSIGN(const CheckpointContents contents, ReadGguf(bytes, "f"));
  const TokenizerData& tokenizer = contents.tokenizer;
  EXPECT_EQ(tokenizer.kind, TokenizerKind::kSentencePieceBpe);
  EXPECT_TRUE(tokenizer.add_dummy_prefix);
  EXPECT_EQ(tokenizer.add_bos, true);
  EXPECT_EQ(tokenizer.unknown, 0);
  EXPECT_EQ(tokenizer.bos, 1);
  EXPECT_EQ(tokenizer.eos, 2);
  EXPECT_EQ(tokenizer.chat_template, "{{ messages }}");
  EXPECT_EQ(tokenizer.pieces[0].type, PieceType::kUnknown);
  EXPECT_EQ(tokenizer.pieces[2].type, PieceType::kControl);
  EXPECT_EQ(tokenizer.pieces[3].text, "<0x00>");
  EXPECT_EQ(tokenizer.pieces[3].type, PieceType::kByte);
  EXPECT_EQ(tokenizer.pieces[259].score, -1000.0f);

  ExpectRefused(
      {
          {[](auto& w) { w.Remove("tokenizer.ggml.scores"); }, "expected an array of float32, found no such key"},
          {[](auto& w) { w.Remove("tokenizer.ggml.scores"); }, "convert the model anew"},
          {[](auto& w) { w.SetFloats("tokenizer.ggml.scores", {1}); }, "found 304 and 1"},
          {[](auto& w) { w.SetFloats("tokenizer.ggml.scores", std::vector<float>(304, std::nanf(""))); },
           "expected finite numbers, found nan at index 0"},
      },
      writer);
}

TEST(GgufCheckpointTest, ATokenizerMayBeAbsent) {
  GgufWriter writer = TinyGguf();
  std::erase_if(writer.values, [](const auto& value) { return value.first.starts_with("tokenizer."); });
  TOME_ASSERT_OK_AND_ASSIGN(const CheckpointContents contents, ReadGguf(writer.Bytes(), "f"));
  EXPECT_EQ(contents.tokenizer.kind, TokenizerKind::kNone);
}

TEST(GgufCheckpointTest, ReadsRopeScalings) {
  const struct {
    std::function<void(GgufWriter&)> change;
    RopeScaling expected;
  } cases[] = {
      {[](auto& w) { w.SetString("llama.rope.scaling.type", "none"), w.SetFloat("llama.rope.scaling.factor", 4); }, {}},
      {[](auto& w) { w.SetString("llama.rope.scaling.type", "linear"), w.SetFloat("llama.rope.scaling.factor", 4); },
       {.kind = RopeScaling::Kind::kLinear, .factor = 4}},
      {[](auto& w) { w.SetFloat("llama.rope.scale_linear", 2); }, {.kind = RopeScaling::Kind::kLinear, .factor = 2}},
      {[](auto& w) {
         w.SetString("llama.rope.scaling.type", "yarn");
         w.SetFloat("llama.rope.scaling.factor", 4);
         w.SetUint32("llama.rope.scaling.original_context_length", 1024);
         w.SetFloat("llama.rope.scaling.yarn_beta_fast", 16);
       },
       {.kind = RopeScaling::Kind::kYarn, .factor = 4, .original_context_length = 1024, .beta_fast = 16}},
      {[](auto& w) {
         w.SetString("llama.rope.scaling.type", "yarn");
         w.SetFloat("llama.rope.scaling.factor", 4);
         w.SetFloat("llama.rope.scaling.attn_factor", 0.5f);
       },
       {.kind = RopeScaling::Kind::kYarn, .factor = 4, .attention_factor = 0.5 * (0.1 * std::log(4.0) + 1)}},
  };
  for (const auto& [change, expected] : cases) {
    GgufWriter writer = TinyGguf();
    change(writer);
    TOME_ASSERT_OK_AND_ASSIGN(const CheckpointContents contents, ReadGguf(writer.Bytes(), "f"));
    EXPECT_EQ(contents.config.rope_scaling, expected);
  }
  ExpectRefused(
      {
          {[](auto& w) {
             w.SetString("llama.rope.scaling.type", "longrope"), w.SetFloat("llama.rope.scaling.factor", 4);
           },
           "expected none, linear or yarn, found 'longrope'"},
          {[](auto& w) {
             w.SetString("llama.rope.scaling.type", "yarn"), w.SetFloat("llama.rope.scaling.factor", 4);
             w.SetFloat("llama.rope.scaling.yarn_ext_factor", 0);
           },
           "yarn_ext_factor': expected 1, found 0"},
          {[](auto& w) {
             w.SetString("llama.rope.scaling.type", "yarn"), w.SetFloat("llama.rope.scaling.factor", 4);
             w.SetFloat("llama.rope.scaling.yarn_log_multiplier", 0.1f);
           },
           "yarn_log_multiplier': expected 0"},
          {[](auto& w) { w.SetFloat("llama.rope.scale_linear", -2); }, "rope scaling factor: expected 1 to"},
      },
      TinyGguf());
}

// The factors that llama.cpp's converter writes for Llama 3.1's rope_scaling.
std::vector<float> Llama3Factors(double theta, int head_dim, double factor, double original) {
  std::vector<float> factors;
  for (int i = 0; i < head_dim; i += 2) {
    const double wavelength = 2 * std::numbers::pi * std::pow(theta, static_cast<double>(i) / head_dim);
    if (wavelength < original / 4) {
      factors.push_back(1);
    } else if (wavelength > original / 1) {
      factors.push_back(static_cast<float>(factor));
    } else {
      const double smooth = (original / wavelength - 1) / (4 - 1);
      factors.push_back(static_cast<float>(1 / ((1 - smooth) / factor + smooth)));
    }
  }
  return factors;
}

void AddRopeFactors(GgufWriter* writer, const std::vector<float>& factors) {
  writer->tensors.push_back({"rope_freqs.weight",
                             {static_cast<std::int64_t>(factors.size())},
                             gguf::kF32,
                             {reinterpret_cast<const char*>(factors.data()), factors.size() * sizeof(float)}});
}

TEST(GgufCheckpointTest, RecognisesLlama3sRotaryFactors) {
  GgufWriter writer = TinyGguf({.rope_theta = 500000});
  const std::vector<float> factors = Llama3Factors(500000, 16, 32, 8192);
  ASSERT_TRUE(factors[4] > 1.01f && factors[4] < 31.9f) << "the case has a blended pair";
  AddRopeFactors(&writer, factors);
  TOME_ASSERT_OK_AND_ASSIGN(const CheckpointContents contents, ReadGguf(writer.Bytes(), "f"));
  const RopeScaling expected = {.kind = RopeScaling::Kind::kLlama3, .factor = 32, .original_context_length = 8192};
  EXPECT_EQ(contents.config.rope_scaling, expected);
}

TEST(GgufCheckpointTest, TakesRotaryFactorsOfOneAsNone) {
  GgufWriter writer = TinyGguf();
  AddRopeFactors(&writer, std::vector<float>(8, 1));
  TOME_ASSERT_OK_AND_ASSIGN(const CheckpointContents contents, ReadGguf(writer.Bytes(), "f"));
  EXPECT_EQ(contents.config.rope_scaling, RopeScaling{});
}

TEST(GgufCheckpointTest, RefusesOtherRotaryFactors) {
  ExpectRefused(
      {
          {[](auto& w) { AddRopeFactors(&w, {1, 1, 1, 2, 3, 4, 5, 6}); }, "other rotary factors are not supported"},
          {[](auto& w) { AddRopeFactors(&w, std::vector<float>(8, std::nanf(""))); }, "rope"},
          {[](auto& w) { AddRopeFactors(&w, {1, 1, 1}); }, "expected type F32 and shape [8], found F32 and [3]"},
          {[](auto& w) {
             AddRopeFactors(&w, std::vector<float>(8, 1));
             w.SetFloat("llama.rope.scale_linear", 2);
           },
           "expected no other rope scaling beside it"},
      },
      TinyGguf());
}

TEST(GgufCheckpointTest, RefusesEveryTruncation) {
  const TinyModelOptions small = {
      .num_layers = 1, .hidden_size = 8, .num_heads = 2, .num_kv_heads = 1, .head_dim = 4, .ffn_size = 8};
  const std::string bytes = TinyGguf(small).Bytes();
  ASSERT_THAT(ReadGguf(bytes, "f"), IsOk());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_THAT(ReadGguf(std::string_view(bytes).substr(0, size), "f"),
                StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("f: ")))
        << size;
  }
}

}  // namespace
}  // namespace tome
