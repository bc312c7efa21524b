// Weights with adapters, against PEFT's logits and against weights that were merged by hand.
#include "engine/model/adapted_weights.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/adapter/adapter_file.h"
#include "engine/memory/sequence_cache.h"
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
using enum AdaptedMatrix;

const std::filesystem::path kGolden = std::filesystem::path(TOME_SOURCE_DIR) / "tests" / "golden";

std::shared_ptr<const Model> LoadFp32(const std::string& path) {
  absl::StatusOr<std::shared_ptr<const Model>> model =
      Model::Load({.path = path, .precision = Precision::kFp32, .num_threads = 2});
  EXPECT_THAT(model, IsOk());
  return model.ok() ? *model : nullptr;
}

const LlamaWeights& WeightsOf(const Model& model) { return LlamaModel::From(model).weights(); }

LlamaWeights Adapted(const LlamaWeights& base, const std::shared_ptr<const Adapter>& adapter) {
  absl::StatusOr<LlamaWeights> weights = WithAdapter(base, *adapter);
  EXPECT_THAT(weights, IsOk());
  return *std::move(weights);
}

// Logits [T, V] of a text read in chunks; chunks of 0: token by token, as decoding does it.
at::Tensor Logits(const LlamaWeights& weights, const std::vector<TokenId>& tokens, std::size_t chunk) {
  SequenceCache cache(weights, MemoryState(MemoryOptions{}), static_cast<std::int64_t>(tokens.size()));
  TokenAttention* attention = &cache;
  std::vector<at::Tensor> parts;
  for (std::size_t first = 0; first < tokens.size(); first += std::max<std::size_t>(1, chunk)) {
    const auto part = absl::MakeConstSpan(tokens).subspan(first, std::max<std::size_t>(1, chunk));
    parts.push_back(chunk == 0 ? DecodeTokens(weights, part, {&attention, 1})
                               : ComputeLogits(weights, Forward(weights, part, cache)));
    cache.Advance(static_cast<std::int64_t>(part.size()));
  }
  return at::cat(parts);
}

std::vector<TokenId> SomeTokens(int count) {
  std::vector<TokenId> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back((i * 37 + 5) % 250);
  return tokens;
}

double LargestDifference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

TEST(WithAdapter, GivesPeftsLogits) {
  const std::shared_ptr<const Model> model = LoadFp32((kGolden / "tiny_llama").string());
  ASSERT_NE(model, nullptr);
  const auto golden = nlohmann::json::parse(std::ifstream(kGolden / "adapters" / "logits.json"));
  const std::vector<TokenId> tokens = golden["tokens"];
  for (const std::string name :
       {"plain", "patterns", "rslora", "one_layer", "trained", "trained_norms", "plain.gguf"}) {
    TOME_ASSERT_OK_AND_ASSIGN(const auto adapter,
                              LoadAdapter((kGolden / "adapters" / name).string(), WeightsOf(*model).config));
    const LlamaWeights weights = Adapted(WeightsOf(*model), adapter);
    for (const std::size_t chunk : {std::size_t{0}, std::size_t{1}, std::size_t{5}, tokens.size()}) {
      const at::Tensor logits = Logits(weights, tokens, chunk);
      const auto& rows = golden["logits"][name == "plain.gguf" ? "plain" : name];
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const at::Tensor expected = at::tensor(rows[i].get<std::vector<float>>());
        EXPECT_LT(LargestDifference(logits[golden["positions"][i].get<std::int64_t>()], expected), 1e-4)
            << name << " in chunks of " << chunk;
      }
    }
  }
}

TEST(WithAdapter, LeavesTheModelAsItIs) {
  const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  const at::Tensor before = Logits(WeightsOf(*model), SomeTokens(40), 16);
  const auto adapter = RandomAdapter(model->info().config, {.trained = {"model.norm.weight"}});
  TOME_ASSERT_OK_AND_ASSIGN(const auto weights, LlamaModel::From(*model).AdaptedWeights(adapter));
  EXPECT_GT(LargestDifference(Logits(*weights, SomeTokens(40), 16), before), 0.1);
  EXPECT_TRUE(at::equal(Logits(WeightsOf(*model), SomeTokens(40), 16), before));
}

// The rows of q and k stand in another order in each of these files.
TEST(WithAdapter, DoesNotDependOnTheFormatOfTheModel) {
  const testing::TempDir folder;
  testing::WriteTinyModel(folder.path() / "model");
  const std::string gguf = folder.Write("model.gguf", testing::TinyGguf().Bytes());
  const std::shared_ptr<const Model> first = LoadFp32(folder.File("model")), second = LoadFp32(gguf);
  ASSERT_TRUE(first != nullptr && second != nullptr);
  ASSERT_NE(first->info().config.rope_interleaved, second->info().config.rope_interleaved);
  const auto adapter = RandomAdapter(first->info().config, {.rank = 3});
  const at::Tensor expected = Logits(Adapted(WeightsOf(*first), adapter), SomeTokens(40), 16);
  EXPECT_LT(LargestDifference(Logits(Adapted(WeightsOf(*second), adapter), SomeTokens(40), 16), expected), 1e-5);
}

TEST(WithAdapter, DecodesAsItReadsInEveryPrecisionAndShape) {
  const testing::TinyModelOptions shapes[] = {
      {}, {.num_layers = 1, .hidden_size = 96, .num_heads = 6, .num_kv_heads = 1, .head_dim = 32, .tied = false}};
  for (const testing::TinyModelOptions& shape : shapes) {
    for (const auto& [precision, tolerance] : {std::pair(Precision::kFp32, 1e-4), std::pair(Precision::kBf16, 0.06)}) {
      const std::shared_ptr<const Model> model = testing::LoadTinyModel(shape, precision);
      for (const std::int64_t rank : {1, 7, 16, 33}) {
        const LlamaWeights weights = Adapted(
            WeightsOf(*model), RandomAdapter(model->info().config,
                                             {.rank = rank, .scale = 0.3, .matrices = {kQuery, kValue, kUp, kDown}}));
        const at::Tensor read = Logits(weights, SomeTokens(30), 30);
        EXPECT_LT(LargestDifference(Logits(weights, SomeTokens(30), 0), read),
                  tolerance * (1 + read.abs().max().item<double>()))
            << PrecisionName(precision) << ", rank " << rank;
      }
    }
  }
}

TEST(WithAdapter, WorksOnPackedWeightsWithoutADenseForm) {
  TOME_SKIP_WITHOUT(testing::SmolLm2Path());
  const std::shared_ptr<const Model> model = LoadFp32(testing::SmolLm2Path());
  ASSERT_NE(model, nullptr);
  const LlamaWeights dense =
      Adapted(WeightsOf(*model), RandomAdapter(model->info().config, {.rank = 16, .scale = 0.02}));
  LlamaWeights packed = dense;
  for (LayerWeights& layer : packed.layers) {
    for (Linear* matrix : {&layer.qkv, &layer.attention_out, &layer.gate_up, &layer.down}) {
      *matrix = Linear(at::Tensor(), matrix->packed(), matrix->part_rows()).With(matrix->update());
    }
  }
  const at::Tensor expected = Logits(dense, SomeTokens(12), 12);
  EXPECT_LT(LargestDifference(Logits(packed, SomeTokens(12), 12), expected), 2e-3);
  EXPECT_LT(LargestDifference(Logits(packed, SomeTokens(12), 0), expected), 2e-3);
}

// Of a tied model: the output stays what it was, unless the adapter says that it is the new embedding as well.
TEST(WithAdapter, TrainedEmbeddingsAreTheOutputOnlyWhereTheyAreTied) {
  const std::shared_ptr<const Model> model = testing::LoadTinyModel({.tied = true});
  const LlamaWeights& base = WeightsOf(*model);
  const std::string embedding = "model.embed_tokens.weight", output = "lm_head.weight";
  const struct {
    std::vector<std::string> trained;
    bool tied, own_embedding, own_output;
  } cases[] = {{{embedding}, false, true, false},
               {{embedding}, true, true, true},
               {{output}, false, false, true},
               {{embedding, output}, false, true, true}};
  for (const auto& [trained, tied, own_embedding, own_output] : cases) {
    const LlamaWeights weights =
        Adapted(base, RandomAdapter(base.config, {.matrices = {kOutput}, .trained = trained, .tied_output = tied}));
    EXPECT_EQ(!weights.embedding.SharesWith(base.embedding), own_embedding);
    EXPECT_EQ(!weights.output().SharesWith(base.output()), own_output);
    const at::Tensor read = Logits(weights, SomeTokens(20), 20);
    EXPECT_LT(LargestDifference(Logits(weights, SomeTokens(20), 0), read),
              1e-3 * (1 + read.abs().max().item<double>()));
  }
}

TEST(WithAdapter, RefusesTheAdapterOfAnotherModel) {
  const std::shared_ptr<const Model> model = testing::LoadTinyModel(),
                                     other = testing::LoadTinyModel({.num_layers = 3}),
                                     wider = testing::LoadTinyModel({.ffn_size = 128});
  for (const auto& stranger : {other, wider}) {
    EXPECT_THAT(WithAdapter(WeightsOf(*model), *RandomAdapter(stranger->info().config, {})),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("adapter")));
  }
}

TEST(AdaptedWeights, AreMadeOnceAsLongAsTheAdapterLives) {
  const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  const LlamaModel& llama = LlamaModel::From(*model);
  std::weak_ptr<const LlamaWeights> held;
  {
    const auto adapter = RandomAdapter(model->info().config, {.seed = 1});
    TOME_ASSERT_OK_AND_ASSIGN(const auto weights, llama.AdaptedWeights(adapter));
    TOME_ASSERT_OK_AND_ASSIGN(const auto again, llama.AdaptedWeights(adapter));
    EXPECT_EQ(weights, again);
    held = weights;
  }
  const auto another = RandomAdapter(model->info().config, {.seed = 2});
  EXPECT_THAT(llama.AdaptedWeights(another), IsOk());
  EXPECT_TRUE(held.expired());
  EXPECT_EQ(*llama.AdaptedWeights(nullptr), nullptr);
}

TEST(DecodeTokens, RowsWithAdaptersOfTheirOwnAreThoseOfEachAlone) {
  const std::shared_ptr<const Model> model = testing::LoadTinyModel({.tied = true});
  const LlamaWeights& base = WeightsOf(*model);
  const auto& config = base.config;
  const LlamaWeights first = Adapted(base, RandomAdapter(config, {.seed = 1})),
                     second = Adapted(base, RandomAdapter(config, {.rank = 2, .seed = 2, .matrices = {kKey, kGate}})),
                     third =
                         Adapted(base, RandomAdapter(config, {.seed = 3,
                                                              .trained = {"lm_head.weight", "model.embed_tokens.weight",
                                                                          "model.norm.weight"}}));
  const std::vector<const LlamaWeights*> of_rows = {&first, &base, &second, &first, &third, &base, &third, &second};
  std::vector<std::unique_ptr<SequenceCache>> alone, together;
  std::vector<TokenId> tokens;
  std::vector<TokenAttention*> attentions;
  for (std::size_t i = 0; i < of_rows.size(); ++i) {
    tokens.push_back(static_cast<TokenId>(10 + i));
    for (auto* caches : {&alone, &together}) {
      auto cache = std::make_unique<SequenceCache>(*of_rows[i], MemoryState(MemoryOptions{}), 20);
      const std::vector<TokenId> prompt(i + 1, static_cast<TokenId>(30 + i));
      Forward(*of_rows[i], prompt, *cache);
      cache->Advance(static_cast<std::int64_t>(prompt.size()));
      caches->push_back(std::move(cache));
    }
    attentions.push_back(together.back().get());
  }
  const at::Tensor batch = DecodeTokens(of_rows, tokens, attentions);
  for (std::size_t i = 0; i < of_rows.size(); ++i) {
    TokenAttention* attention = alone[i].get();
    EXPECT_TRUE(
        at::equal(DecodeTokens(*of_rows[i], {&tokens[i], 1}, {&attention, 1})[0], batch[static_cast<std::int64_t>(i)]))
        << i;
  }
}

}  // namespace
}  // namespace tome
