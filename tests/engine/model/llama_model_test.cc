#include "engine/model/llama_model.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "engine/memory/sequence_cache.h"
#include "engine/model/forward.h"
#include "tests/support/engine_models.h"
#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::SharedDataPath;
using testing::StatusIs;

const LlamaWeights& WeightsOf(const Model& model) { return LlamaModel::From(model).weights(); }

TEST(ModelLoad, MissingFileIsNotFound) {
  EXPECT_THAT(Model::Load({.path = "/nonexistent/model.gguf"}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nonexistent/model.gguf")));
}

TEST(ModelLoad, DeviceThatIsNotThereIsRefused) {
  if (at::hasCUDA()) GTEST_SKIP() << "this machine has a CUDA device";
  const testing::TempDir folder;
  testing::WriteTinyModel(folder.path());
  EXPECT_THAT(Model::Load({.path = folder.path().string(), .device = Device::kCuda}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("cuda")));
}

TEST(ModelLoad, ModelWithoutTokenizerIsRefused) {
  const testing::TempDir folder;
  testing::WriteTinyModel(folder.path(), {.tokenizer = false});
  EXPECT_THAT(Model::Load({.path = folder.path().string()}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("tokenizer")));
}

TEST(ModelLoad, InfoTellsWhatWasLoaded) {
  const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  const ModelInfo& info = model->info();
  EXPECT_EQ(info.format, "huggingface");
  EXPECT_EQ(info.config.num_layers, 2);
  EXPECT_EQ(info.precision, Precision::kFp32);
  EXPECT_EQ(info.num_threads, 2);
  EXPECT_EQ(info.model_digest.size(), 64u);
  EXPECT_GT(info.num_parameters, 0);
  EXPECT_GE(info.weight_bytes, static_cast<std::size_t>(info.num_parameters) * 4);
  EXPECT_EQ(info.chat_template, ChatTemplate::kChatMl);
}

TEST(ModelLoad, DigestTellsModelsApart) {
  const std::string first = testing::LoadTinyModel({.seed = 1})->info().model_digest;
  EXPECT_EQ(first, testing::LoadTinyModel({.seed = 1})->info().model_digest);
  EXPECT_NE(first, testing::LoadTinyModel({.seed = 2})->info().model_digest);
}

TEST(ParseNames, AcceptAndRefuse) {
  EXPECT_EQ(*ParseDevice("cuda"), Device::kCuda);
  EXPECT_EQ(*ParsePrecision("bf16"), Precision::kBf16);
  EXPECT_THAT(ParseDevice("tpu"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("cpu or cuda")));
  EXPECT_THAT(ParsePrecision("int3"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("bf16")));
}

// Logits after each token of a text, by the pass that decoding uses.
at::Tensor DecodedLogits(const LlamaWeights& weights, const std::vector<TokenId>& tokens) {
  SequenceCache cache(weights, MemoryState(MemoryOptions{}), static_cast<std::int64_t>(tokens.size()));
  std::vector<at::Tensor> rows;
  for (const TokenId token : tokens) {
    TokenAttention* attention = &cache;
    rows.push_back(DecodeTokens(weights, {&token, 1}, {&attention, 1}));
    cache.Advance(1);
  }
  return at::cat(rows);
}

TEST(DecodeTokens, EqualsTheForwardPassOverShapesAndTypes) {
  const testing::TinyModelOptions shapes[] = {
      {},
      {.num_layers = 1, .hidden_size = 96, .num_heads = 6, .num_kv_heads = 1, .head_dim = 32, .tied = false},
      {.num_layers = 3, .hidden_size = 40, .num_heads = 4, .num_kv_heads = 4, .head_dim = 24, .ffn_size = 50}};
  for (const testing::TinyModelOptions& shape : shapes) {
    for (const auto& [precision, tolerance] : {std::pair(Precision::kFp32, 1e-4), std::pair(Precision::kBf16, 0.06)}) {
      const std::shared_ptr<const Model> model = testing::LoadTinyModel(shape, precision);
      const LlamaWeights& weights = WeightsOf(*model);
      std::vector<TokenId> tokens;
      for (int i = 0; i < 60; ++i) tokens.push_back((i * 37 + 5) % 250);
      SequenceCache cache(weights, MemoryState(MemoryOptions{}), 60);
      const at::Tensor expected = ComputeLogits(weights, Forward(weights, tokens, cache));
      const at::Tensor found = DecodedLogits(weights, tokens);
      EXPECT_LT((found - expected).abs().max().item<float>(), tolerance * (1 + expected.abs().max().item<float>()))
          << PrecisionName(precision);
    }
  }
}

TEST(DecodeTokens, RowsDoNotDependOnWhoElseDecodes) {
  const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  const LlamaWeights& weights = WeightsOf(*model);
  constexpr int kSequences = 6;  // more than one pass takes
  std::vector<std::unique_ptr<SequenceCache>> alone, together;
  std::vector<TokenId> tokens;
  std::vector<TokenAttention*> attentions;
  for (int i = 0; i < kSequences; ++i) {
    tokens.push_back(10 + i);
    for (auto* caches : {&alone, &together}) {
      auto cache = std::make_unique<SequenceCache>(weights, MemoryState(MemoryOptions{}), 20);
      std::vector<TokenId> prompt(static_cast<std::size_t>(i) + 1, 30 + i);
      Forward(weights, prompt, *cache);
      cache->Advance(i + 1);
      caches->push_back(std::move(cache));
    }
    attentions.push_back(together.back().get());
  }
  const at::Tensor batch = DecodeTokens(weights, tokens, attentions);
  for (int i = 0; i < kSequences; ++i) {
    TokenAttention* attention = alone[i].get();
    EXPECT_TRUE(at::equal(DecodeTokens(weights, {&tokens[i], 1}, {&attention, 1})[0], batch[i])) << i;
  }
}

TEST(ComputeLogits, FewAndManyRowsAgree) {
  const std::shared_ptr<const Model> model = testing::LoadTinyModel({.tied = false});
  const LlamaWeights& weights = WeightsOf(*model);
  const at::Tensor hidden = at::randn({9, weights.config.hidden_size});
  const at::Tensor many = ComputeLogits(weights, hidden), few = ComputeLogits(weights, hidden.narrow(0, 3, 2));
  EXPECT_TRUE(at::allclose(many.narrow(0, 3, 2), few, 1e-4, 1e-5));
}

TEST(Stories260K, GreedyTextEqualsTheExpectedOutput) {
  const std::string path = SharedDataPath("models/stories260K.bin");
  TOME_SKIP_WITHOUT(path);
  const absl::StatusOr<std::shared_ptr<const Model>> model =
      Model::Load({.path = path,
                   .tokenizer_path = SharedDataPath("models/llama2c_tok512.bin"),
                   .precision = Precision::kFp32,
                   .num_threads = 2});
  ASSERT_THAT(model, IsOk());
  std::ostringstream expected;
  expected << std::ifstream(SharedDataPath("models/stories260K_greedy_expected.txt")).rdbuf();

  const absl::StatusOr<Memory> memory =
      Memory::Create(*model, {.sink_tokens = 4, .window_tokens = 64, .segment_tokens = 64, .regions = {.selected = 0}});
  ASSERT_THAT(memory, IsOk());
  GenerationOptions options;
  options.max_tokens = 256;
  options.stop_tokens = {1};  // llama2.c ends a story at BOS
  absl::StatusOr<Task> task = Task::Generate(*memory, {1}, options);
  ASSERT_THAT(task, IsOk());
  std::string text;
  while (!task->finished()) {
    Task* tasks[] = {&*task};
    const StepResult result = std::move(Step(tasks)[0]);
    ASSERT_THAT(result.status, IsOk());
    text += result.text;
  }
  while (!text.empty() && (text.front() == ' ')) text.erase(0, 1);
  std::string wanted = expected.str();
  while (!wanted.empty() && wanted.back() == '\n') wanted.pop_back();
  EXPECT_EQ(text.substr(0, wanted.size()), wanted);
}

}  // namespace
}  // namespace tome
