// Logits against transformers' (tests/golden/README.md tells the format of the golden files).
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "engine/memory/sequence_cache.h"
#include "engine/model/forward.h"
#include "engine/model/llama_model.h"
#include "tests/support/engine_models.h"
#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using nlohmann::json;
using testing::SmolLm2Path;

const std::filesystem::path kGolden = std::filesystem::path(TOME_SOURCE_DIR) / "tests" / "golden";

std::shared_ptr<const Model> Load(const std::string& path, Precision precision) {
  absl::StatusOr<std::shared_ptr<const Model>> model =
      Model::Load({.path = path, .precision = precision, .num_threads = 2});
  EXPECT_THAT(model, testing::IsOk());
  return model.ok() ? *model : nullptr;
}

// Logits fp32 [T, V] of a text read from position 0 in chunks.
at::Tensor DenseLogits(const Model& model, const std::vector<TokenId>& tokens, std::size_t chunk) {
  const LlamaWeights& weights = LlamaModel::From(model).weights();
  SequenceCache cache(weights, MemoryState(MemoryOptions{}), static_cast<std::int64_t>(tokens.size()));
  std::vector<at::Tensor> parts;
  for (std::size_t first = 0; first < tokens.size(); first += chunk) {
    const std::size_t count = std::min(chunk, tokens.size() - first);
    const at::Tensor hidden = Forward(weights, absl::MakeConstSpan(tokens).subspan(first, count), cache);
    cache.Advance(static_cast<std::int64_t>(count));
    parts.push_back(ComputeLogits(weights, hidden));
  }
  return at::cat(parts);
}

json ReadGolden(const std::string& name) { return json::parse(std::ifstream(kGolden / "logits" / name)); }

void ExpectGolden(const at::Tensor& logits, const json& golden_case, const json& vocabulary_ids, double tolerance) {
  const std::string name = golden_case["name"];
  for (const json& golden : golden_case["positions"]) {
    const at::Tensor row = logits[golden["position"].get<std::int64_t>()];
    for (std::size_t i = 0; i < vocabulary_ids.size(); ++i) {
      const std::int64_t id = vocabulary_ids[i];
      ASSERT_NEAR(row[id].item<float>(), golden["logits"][i].get<double>(), tolerance)
          << name << " position " << golden["position"] << " token " << id;
    }
    for (std::size_t i = 0; i < golden["top5_ids"].size(); ++i) {
      const std::int64_t id = golden["top5_ids"][i];
      ASSERT_NEAR(row[id].item<float>(), golden["top5_logits"][i].get<double>(), tolerance)
          << name << " position " << golden["position"] << " token " << id;
    }
    ASSERT_NEAR(at::logsumexp(row, 0).item<float>(), golden["logsumexp"].get<double>(), tolerance) << name;
  }
}

double Top1Agreement(const at::Tensor& logits, const json& golden_case) {
  const at::Tensor expected = at::tensor(golden_case["top1_ids"].get<std::vector<std::int64_t>>());
  return logits.argmax(1).eq(expected).to(at::kDouble).mean().item<double>();
}

TEST(Logits, SmolLm2InFp32EqualsTransformers) {
  TOME_SKIP_WITHOUT(SmolLm2Path());
  const std::shared_ptr<const Model> model = Load(SmolLm2Path(), Precision::kFp32);
  ASSERT_NE(model, nullptr);
  const json golden = ReadGolden("smollm2.json");
  for (const json& golden_case : golden["cases"]) {
    const std::vector<TokenId> tokens = golden_case["tokens"];
    const at::Tensor logits = DenseLogits(*model, tokens, 512);
    ExpectGolden(logits, golden_case, golden["vocabulary_ids"], 1e-3);
    EXPECT_GE(Top1Agreement(logits, golden_case), 0.995) << golden_case["name"];
  }
}

TEST(Logits, SmolLm2InBf16AgreesWithFp32OnAtLeast97PercentOfTokens) {
  TOME_SKIP_WITHOUT(SmolLm2Path());
  const std::shared_ptr<const Model> model = Load(SmolLm2Path(), Precision::kBf16);
  ASSERT_NE(model, nullptr);
  const json golden = ReadGolden("smollm2.json");
  for (const json& golden_case : golden["cases"]) {
    if (golden_case["name"] != "tokens_2000") continue;
    const at::Tensor logits = DenseLogits(*model, golden_case["tokens"], 512);
    const double agreement = Top1Agreement(logits, golden_case);
    RecordProperty("top1_agreement", std::to_string(agreement));
    EXPECT_GE(agreement, 0.97);
    return;
  }
  FAIL() << "the golden file has no case tokens_2000";
}

// The small random folder with each position encoding, put together as a checkpoint folder.
class TinyLlama : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(PositionEncodings, TinyLlama,
                         ::testing::Values("none", "linear", "llama3", "yarn", "yarn_parameters", "dynamic"));

TEST_P(TinyLlama, EqualsTransformersHoweverTheTextIsCut) {
  const testing::TempDir folder;
  for (const char* name : {"model.safetensors", "tokenizer.json"}) {
    std::filesystem::copy_file(kGolden / "tiny_llama" / name, folder.path() / name);
  }
  const std::string config = GetParam() == "none" ? "config.json" : "config." + GetParam() + ".json";
  std::filesystem::copy_file(kGolden / "tiny_llama" / config, folder.path() / "config.json");
  const std::shared_ptr<const Model> model = Load(folder.path().string(), Precision::kFp32);
  ASSERT_NE(model, nullptr);
  const json golden = ReadGolden("tiny_llama." + GetParam() + ".json");
  for (const json& golden_case : golden["cases"]) {
    const std::vector<TokenId> tokens = golden_case["tokens"];
    for (const std::size_t chunk : {std::size_t{1}, std::size_t{7}, tokens.size()}) {
      ExpectGolden(DenseLogits(*model, tokens, chunk), golden_case, golden["vocabulary_ids"], 1e-4);
    }
  }
}

}  // namespace
}  // namespace tome
