#include "engine/adapter/merged_model.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/memory/sequence_cache.h"
#include "engine/model/adapted_weights.h"
#include "engine/model/forward.h"
#include "engine/model/llama_model.h"
#include "tests/support/engine_models.h"
#include "tests/support/random_adapter.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model_formats.h"

namespace tome {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::RandomAdapter;
using testing::StatusIs;

std::shared_ptr<const Model> LoadFp32(const std::string& path) {
  absl::StatusOr<std::shared_ptr<const Model>> model =
      Model::Load({.path = path, .precision = Precision::kFp32, .num_threads = 2});
  EXPECT_THAT(model, IsOk());
  return model.ok() ? *model : nullptr;
}

at::Tensor Logits(const LlamaWeights& weights) {
  std::vector<TokenId> tokens;
  for (int i = 0; i < 30; ++i) tokens.push_back((i * 37 + 5) % 250);
  SequenceCache cache(weights, MemoryState(MemoryOptions{}), 30);
  return ComputeLogits(weights, Forward(weights, tokens, cache));
}

// Each file format, and each way in which embedding and output can be trained.
TEST(WriteMergedModel, GivesTheLogitsOfTheAdaptedModel) {
  const testing::TempDir folder;
  testing::WriteTinyModel(folder.path() / "model");
  const std::string gguf = folder.Write("model.gguf", testing::TinyGguf().Bytes());
  const testing::RandomAdapterOptions cases[] = {
      {},
      {.rank = 2, .trained = {"model.embed_tokens.weight", "model.norm.weight"}},
      {.rank = 2, .trained = {"model.embed_tokens.weight"}, .tied_output = true},
      {.rank = 2, .trained = {"lm_head.weight", "model.layers.1.input_layernorm.weight"}}};
  int number = 0;
  for (const std::string& path : {folder.File("model"), gguf}) {
    const std::shared_ptr<const Model> model = LoadFp32(path);
    ASSERT_NE(model, nullptr);
    TOME_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Checkpoint::Open({.path = path}));
    for (const testing::RandomAdapterOptions& options : cases) {
      const auto adapter = RandomAdapter(checkpoint->config(), options);
      const std::string merged = folder.File("merged" + std::to_string(number++));
      TOME_ASSERT_OK_AND_ASSIGN(const auto warnings, WriteMergedModel(*checkpoint, *adapter, merged, TensorType::kF32));
      EXPECT_EQ(warnings.empty(), path != gguf);
      if (path == gguf) testing::WriteFile(merged + "/tokenizer.json", testing::TinyTokenizerJson());
      const std::shared_ptr<const Model> loaded = LoadFp32(merged);
      ASSERT_NE(loaded, nullptr);
      TOME_ASSERT_OK_AND_ASSIGN(const LlamaWeights adapted, WithAdapter(LlamaModel::From(*model).weights(), *adapter));
      const at::Tensor expected = Logits(adapted);
      EXPECT_LT((Logits(LlamaModel::From(*loaded).weights()) - expected).abs().max().item<double>(),
                1e-4 * (1 + expected.abs().max().item<double>()));
    }
  }
}

TEST(WriteMergedModel, RefusesTheModelsOwnFolder) {
  const testing::TempDir folder;
  testing::WriteTinyModel(folder.path());
  TOME_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Checkpoint::Open({.path = folder.path().string()}));
  EXPECT_THAT(WriteMergedModel(*checkpoint, *RandomAdapter(checkpoint->config(), {}), folder.path().string(),
                               TensorType::kBF16),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("another folder")));
}

}  // namespace
}  // namespace tome
