#include "engine/checkpoint/checkpoint.h"

#include <cstring>
#include <filesystem>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model_formats.h"

namespace tome {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::tome::testing::StatusIs;
using ::tome::testing::TempDir;
using ::tome::testing::TinyGguf;
using ::tome::testing::TinyModelOptions;
using ::tome::testing::WriteTinyModel;

constexpr char kSmolLm2[] = TOME_DEPS_DIR "/models/SmolLM2-135M-Instruct.Q4_1.gguf";
constexpr char kStories[] = TOME_SOURCE_DIR "/../shared/data/models/stories260K.bin";
constexpr char kStoriesVocabulary[] = TOME_SOURCE_DIR "/../shared/data/models/llama2c_tok512.bin";

TEST(CheckpointTest, OpensEachFormatByWhatItFinds) {
  const TempDir folder;
  WriteTinyModel(folder.path() / "hf");
  folder.Write("model.gguf", TinyGguf().Bytes());
  folder.Write("unnamed", TinyGguf().Bytes());
  folder.Write("model.bin", testing::TinyLlama2c({.context_length = 8, .vocab_size = 300}));
  folder.Write("tokenizer.bin", testing::TinyLlama2cVocabulary(300));
  const std::pair<std::string, std::string> cases[] = {
      {"hf", "huggingface"}, {"model.gguf", "gguf"}, {"unnamed", "gguf"}, {"model.bin", "llama2c"}};
  for (const auto& [name, format] : cases) {
    TOME_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Checkpoint::Open({.path = folder.File(name)}));
    EXPECT_EQ(checkpoint->format(), format);
    EXPECT_EQ(checkpoint->path(), folder.File(name));
    EXPECT_NE(checkpoint->tokenizer().kind, TokenizerKind::kNone);
    ASSERT_NE(checkpoint->Find("model.embed_tokens.weight"), nullptr);
    EXPECT_EQ(checkpoint->Find("token_embd.weight"), nullptr);
  }
}

// The three formats of one tiny model hold the same values; only the order of q and k rows differs.
TEST(CheckpointTest, FormatsAgreeOnTheWeights) {
  const TempDir folder;
  const TinyModelOptions options = {.context_length = 8, .vocab_size = 304};
  WriteTinyModel(folder.path() / "hf", options);
  folder.Write("model.gguf", TinyGguf(options).Bytes());
  folder.Write("model.bin", testing::TinyLlama2c(options));
  folder.Write("tokenizer.bin", testing::TinyLlama2cVocabulary(304));
  TOME_ASSERT_OK_AND_ASSIGN(const auto hf, Checkpoint::Open({.path = folder.File("hf")}));
  for (const char* name : {"model.gguf", "model.bin"}) {
    TOME_ASSERT_OK_AND_ASSIGN(const auto other, Checkpoint::Open({.path = folder.File(name)}));
    ASSERT_EQ(other->tensors().size(), hf->tensors().size());
    EXPECT_TRUE(other->config().rope_interleaved);
    EXPECT_FALSE(hf->config().rope_interleaved);
    for (const auto& [tensor_name, tensor] : hf->tensors()) {
      const CheckpointTensor& found = *other->Find(tensor_name);
      EXPECT_EQ(found.shape, tensor.shape);
      const bool reordered =
          tensor_name.find("q_proj") != std::string::npos || tensor_name.find("k_proj") != std::string::npos;
      EXPECT_EQ(found.data == tensor.data, !reordered) << tensor_name;
    }
  }
}

TEST(CheckpointTest, SaysWhatIsWrongWithThePath) {
  const TempDir folder;
  folder.Write("notes.txt", "hello");
  folder.Write("broken.gguf", "hello");
  folder.Write("model.bin", testing::TinyLlama2c({.context_length = 8, .vocab_size = 300}));
  const struct {
    Checkpoint::Options options;
    absl::StatusCode code;
    std::string message;
  } cases[] = {
      {{.path = ""}, absl::StatusCode::kInvalidArgument, "found an empty path"},
      {{.path = folder.File("absent.gguf")}, absl::StatusCode::kNotFound, "absent.gguf: no such file"},
      {{.path = folder.File("notes.txt")}, absl::StatusCode::kInvalidArgument, "notes.txt: expected a .gguf file"},
      {{.path = folder.File("broken.gguf")},
       absl::StatusCode::kInvalidArgument,
       "broken.gguf: magic: expected 'GGUF', found 'hell'"},
      {{.path = folder.path().string()}, absl::StatusCode::kNotFound, "config.json: no such file"},
      {{.path = folder.File("model.bin")}, absl::StatusCode::kNotFound, "tokenizer.bin: no such file"},
      {{.path = folder.File("model.bin"), .tokenizer_path = folder.File("notes.txt")},
       absl::StatusCode::kInvalidArgument,
       "notes.txt: expected the 300 pieces"},
  };
  for (const auto& [options, code, message] : cases) {
    EXPECT_THAT(Checkpoint::Open(options), StatusIs(code, HasSubstr(message)));
  }
}

TEST(CheckpointTest, TheDigestChangesWithEveryPartOfTheModel) {
  const TempDir folder;
  const auto digest = [&](const TinyModelOptions& options) {
    std::filesystem::remove_all(folder.path() / "hf");
    WriteTinyModel(folder.path() / "hf", options);
    return Checkpoint::Open({.path = folder.File("hf")}).value()->ComputeDigest();
  };
  const std::string original = digest({});
  EXPECT_EQ(original.size(), 64u);
  EXPECT_EQ(digest({}), original);
  EXPECT_EQ(digest({.num_files = 2}), original) << "how the tensors are spread over files does not matter";
  EXPECT_NE(digest({.seed = 2}), original);
  EXPECT_NE(digest({.rope_theta = 10001}), original);
  EXPECT_NE(digest({.rms_norm_epsilon = 2e-5}), original);
  EXPECT_NE(digest({.rope_scaling_json = R"({"rope_type":"linear","factor":2})"}), original);
  EXPECT_NE(digest({.type = testing::TinyModelType::kBF16}), original);
}

TEST(CheckpointTest, TensorsOutliveTheFilesName) {
  const TempDir folder;
  const std::string path = folder.Write("model.gguf", TinyGguf().Bytes());
  TOME_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Checkpoint::Open({.path = path}));
  const std::string digest = checkpoint->ComputeDigest();
  std::filesystem::remove(path);
  EXPECT_EQ(checkpoint->ComputeDigest(), digest);
}

TEST(CheckpointTest, OpensSmolLm2) {
  if (!std::filesystem::exists(kSmolLm2)) GTEST_SKIP() << kSmolLm2 << " is absent: run scripts/setup.sh";
  TOME_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Checkpoint::Open({.path = kSmolLm2}));
  const LlamaConfig& config = checkpoint->config();
  EXPECT_EQ(config.vocab_size, 49152);
  EXPECT_EQ(config.hidden_size, 576);
  EXPECT_EQ(config.num_layers, 30);
  EXPECT_EQ(config.num_heads, 9);
  EXPECT_EQ(config.num_kv_heads, 3);
  EXPECT_EQ(config.head_dim, 64);
  EXPECT_EQ(config.ffn_size, 1536);
  EXPECT_EQ(config.context_length, 8192);
  EXPECT_EQ(config.rope_theta, 100000);
  EXPECT_TRUE(config.tied_output);
  EXPECT_EQ(checkpoint->tensors().size(), 272u);
  EXPECT_EQ(checkpoint->Find("model.embed_tokens.weight")->type, TensorType::kQ8_0);
  EXPECT_EQ(checkpoint->Find("model.layers.29.mlp.up_proj.weight")->type, TensorType::kQ4_1);
  const TokenizerData& tokenizer = checkpoint->tokenizer();
  EXPECT_EQ(tokenizer.pre_tokenizer, PreTokenizer::kSmolLm);
  EXPECT_EQ(tokenizer.pieces.size(), 49152u);
  EXPECT_EQ(tokenizer.merges.size(), 48900u);
  EXPECT_EQ(tokenizer.bos, 1);
  EXPECT_EQ(tokenizer.eos, 2);
  EXPECT_EQ(tokenizer.add_bos, false);
}

TEST(CheckpointTest, OpensStories260K) {
  if (!std::filesystem::exists(kStories)) GTEST_SKIP() << kStories << " is absent";
  TOME_ASSERT_OK_AND_ASSIGN(const auto checkpoint,
                            Checkpoint::Open({.path = kStories, .tokenizer_path = kStoriesVocabulary}));
  const LlamaConfig& config = checkpoint->config();
  EXPECT_EQ(config.vocab_size, 512);
  EXPECT_EQ(config.hidden_size, 64);
  EXPECT_EQ(config.num_layers, 5);
  EXPECT_EQ(config.num_heads, 8);
  EXPECT_EQ(config.num_kv_heads, 4);
  EXPECT_EQ(config.ffn_size, 172);
  EXPECT_TRUE(config.tied_output);
  EXPECT_EQ(checkpoint->tokenizer().pieces.size(), 512u);
  EXPECT_EQ(checkpoint->tokenizer().pieces[1].text, "<s>");
}

}  // namespace
}  // namespace tome
