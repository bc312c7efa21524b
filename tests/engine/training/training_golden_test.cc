// Gradients and ten steps, against transformers and PEFT (tests/golden/README.md tells the format).
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/adapter/peft_adapter.h"
#include "engine/checkpoint/huggingface/safetensors.h"
#include "engine/files/mapped_file.h"
#include "engine/model/llama_model.h"
#include "engine/training/adam_w.h"
#include "engine/training/training_pass.h"
#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using nlohmann::json;
using testing::IsOk;

const std::filesystem::path kGolden = std::filesystem::path(TOME_SOURCE_DIR) / "tests" / "golden";

json ReadGolden() { return json::parse(std::ifstream(kGolden / "training" / "training.json")); }

std::vector<TrainingSequence> Sequences(const json& golden) {
  std::vector<TrainingSequence> sequences;
  for (const json& sequence : golden["sequences"]) {
    sequences.push_back({.tokens = sequence["tokens"], .first_counted = sequence["first_counted"]});
  }
  return sequences;
}

const Model& TinyLlama() {
  static const auto model =
      Model::Load({.path = (kGolden / "tiny_llama").string(), .precision = Precision::kFp32, .num_threads = 2});
  EXPECT_THAT(model, IsOk());
  return **model;
}

TrainingModel ModelWith(const std::string& adapter_name) {
  const LlamaWeights& weights = LlamaModel::From(TinyLlama()).weights();
  const auto adapter = ReadPeftAdapter((kGolden / "adapters" / adapter_name).string(), weights.config);
  EXPECT_THAT(adapter, IsOk());
  return *MakeTrainingModel(weights, "", AttentionPattern(), Trainable::From(weights, (*adapter)->contents()));
}

std::int64_t Counted(const std::vector<TrainingSequence>& batch) {
  std::int64_t counted = 0;
  for (const TrainingSequence& sequence : batch) counted += sequence.counted();
  return counted;
}

// What the golden file keeps of a gradient.
at::Tensor Kept(const std::string& name, const at::Tensor& gradient, const json& golden) {
  if (name == "lm_head.weight") return gradient.narrow(0, 0, golden["output_rows"].get<std::int64_t>());
  if (name != "model.embed_tokens.weight") return gradient;
  std::set<std::int64_t> rows;
  for (const std::size_t index : golden["gradients_of"]) {
    const std::vector<std::int64_t> tokens = golden["sequences"][index]["tokens"];
    rows.insert(tokens.begin(), tokens.end() - 1);
  }
  return gradient.index_select(0, at::tensor(std::vector<std::int64_t>(rows.begin(), rows.end())));
}

class Golden : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Adapters, Golden, ::testing::Values("plain", "trained"));

// transformers' own gradients in fp32 are up to 2.2e-5 from these, which are in fp64.
TEST_P(Golden, GradientsAreThoseOfTransformersAndPeft) {
  const json golden = ReadGolden();
  const std::vector<TrainingSequence> sequences = Sequences(golden), batch = {sequences[0], sequences[1]};
  const std::string path = (kGolden / "training" / ("gradients." + GetParam() + ".safetensors")).string();
  TOME_ASSERT_OK_AND_ASSIGN(const auto file, MappedFile::Open(path));
  TOME_ASSERT_OK_AND_ASSIGN(const TensorMap expected, ParseSafetensors(file->view(), path));
  for (const bool recompute : {true, false}) {
    const TrainingModel model = ModelWith(GetParam());
    ASSERT_EQ(model.trainable.parameters().size(), expected.size());
    const double scale = 1 / static_cast<double>(Counted(batch));
    TOME_ASSERT_OK_AND_ASSIGN(const double nats,
                              RunTrainingPass(model, batch, {.scale = scale, .recompute = recompute}));
    EXPECT_NEAR(nats * scale, golden["loss"][GetParam()].get<double>(), 1e-5);
    for (const NamedParameter& parameter : model.trainable.parameters()) {
      ASSERT_TRUE(parameter.tensor.grad().defined()) << parameter.name;
      const CheckpointTensor& stored = expected.at(parameter.name);
      at::Tensor values = at::empty(stored.shape, at::kFloat);
      std::memcpy(values.mutable_data_ptr<float>(), stored.data.data(), stored.data.size());
      const at::Tensor found = Kept(parameter.name, parameter.tensor.grad(), golden);
      ASSERT_EQ(found.sizes(), values.sizes()) << parameter.name;
      EXPECT_LT((found - values).norm().item<double>() / values.norm().item<double>(), 2e-5) << parameter.name;
    }
  }
}

TEST_P(Golden, TenStepsGiveTorchsLosses) {
  const json golden = ReadGolden();
  const std::vector<TrainingSequence> sequences = Sequences(golden);
  const TrainingModel model = ModelWith(GetParam());
  AdamW optimizer(model.trainable.parameters(), {.weight_decay = golden["weight_decay"]});
  const json& steps = golden["steps"][GetParam()];
  for (std::size_t step = 0; step < steps["losses"].size(); ++step) {
    const std::vector<TrainingSequence> batch = {sequences[step % 4], sequences[(step + 1) % 4]};
    const double scale = 1 / static_cast<double>(Counted(batch));
    TOME_ASSERT_OK_AND_ASSIGN(const double nats, RunTrainingPass(model, batch, {.scale = scale}));
    EXPECT_NEAR(nats * scale, steps["losses"][step].get<double>(), 1e-4) << step;
    const double norm = optimizer.GradientNorm();
    EXPECT_NEAR(norm, steps["gradient_norms"][step].get<double>(), 1e-3 * norm) << step;
    optimizer.Step(golden["learning_rate"], std::min(1.0, golden["clip_norm"].get<double>() / norm));
  }
}

}  // namespace
}  // namespace tome
