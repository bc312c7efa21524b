// The pass that goes layer by layer, against one long chain of libtorch's own operations.
#include "engine/training/training_pass.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "engine/model/adapted_weights.h"
#include "engine/model/llama_model.h"
#include "tests/support/engine_models.h"
#include "tests/support/random_adapter.h"
#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::RandomAdapter;
using testing::StatusIs;
using enum AdaptedMatrix;

const LlamaWeights& WeightsOf(const Model& model) { return LlamaModel::From(model).weights(); }

std::vector<TrainingSequence> SomeSequences() {
  std::vector<TrainingSequence> batch;
  for (const auto& [length, first] : {std::pair(33, 1), std::pair(20, 12), std::pair(2, 1), std::pair(33, 30)}) {
    TrainingSequence sequence{.first_counted = static_cast<std::size_t>(first)};
    for (int i = 0; i < length; ++i) sequence.tokens.push_back((i * 37 + length + first) % 250);
    batch.push_back(std::move(sequence));
  }
  return batch;
}

TrainingModel ModelWith(const LlamaWeights& weights, const std::string& pattern, const AdapterContents& contents,
                        const std::string& encoding = "") {
  auto model =
      MakeTrainingModel(weights, encoding, *AttentionPattern::Parse(pattern), Trainable::From(weights, contents));
  EXPECT_THAT(model, IsOk());
  return *std::move(model);
}

// --- By definition, in fp64 ------------------------------------------------------------------------------------------

class Reference {
 public:
  explicit Reference(const TrainingModel& model) : model_(model), weights_(*model.weights) {
    for (const NamedParameter& parameter : model.trainable.parameters()) {
      leaves_[parameter.name] = parameter.tensor.detach().to(at::kDouble).requires_grad_();
    }
  }

  at::Tensor Loss(const TrainingSequence& sequence) const {
    const auto length = static_cast<std::int64_t>(sequence.tokens.size()) - 1;
    const at::Tensor tokens = at::tensor(std::vector<std::int64_t>(sequence.tokens.begin(), sequence.tokens.end()));
    at::Tensor hidden = Whole("model.embed_tokens.weight", weights_.embedding.Rows(0, model_.config.vocab_size))
                            .index_select(0, tokens.narrow(0, 0, length));
    for (std::int64_t index = 0; index < model_.config.num_layers; ++index) hidden = Layer(index, hidden);
    const at::Tensor head = leaves_.contains("model.embed_tokens.weight") && model_.trainable.tied_output()
                                ? leaves_.at("model.embed_tokens.weight")
                                : Whole("lm_head.weight", weights_.output().Rows(0, model_.config.vocab_size));
    const at::Tensor logits = at::linear(Norm(hidden, Whole("model.norm.weight", weights_.final_norm)), head);
    const auto first = static_cast<std::int64_t>(sequence.first_counted);
    const at::Tensor targets = tokens.narrow(0, first, length + 1 - first).unsqueeze(1);
    return -at::log_softmax(logits.narrow(0, first - 1, length + 1 - first), 1).gather(1, targets).sum();
  }

  const std::map<std::string, at::Tensor>& leaves() const { return leaves_; }

 private:
  at::Tensor Whole(const std::string& name, const at::Tensor& frozen) const {
    const auto found = leaves_.find(name);
    return found == leaves_.end() ? frozen.to(at::kDouble) : found->second;
  }

  at::Tensor Norm(const at::Tensor& x, const at::Tensor& weight) const {
    return x / at::sqrt(x.square().mean(-1, true) + model_.config.rms_norm_epsilon) * weight;
  }

  at::Tensor Product(std::int64_t layer, AdaptedMatrix matrix, const Linear& stacked, std::int64_t first,
                     const at::Tensor& x) const {
    const std::int64_t rows = ShapeOf(matrix, model_.config).rows;
    at::Tensor product = at::linear(x, stacked.Rows(first, rows).to(at::kDouble));
    const std::string name = ModuleName(layer, matrix);
    if (!leaves_.contains(name + ".lora_A.weight")) return product;
    const at::Tensor inner = at::matmul(x, leaves_.at(name + ".lora_A.weight").t());
    return product +
           model_.trainable.Pair(layer, matrix).scale * at::matmul(inner, leaves_.at(name + ".lora_B.weight").t());
  }

  at::Tensor Turned(const at::Tensor& rows, std::int64_t heads) const {
    const std::int64_t length = rows.size(0), half = model_.config.head_dim / 2;
    const RopeTable table = RopeTable::Make(model_.config, length, at::kCPU);
    const at::Tensor cosines = table.cosines.to(at::kDouble).unsqueeze(1),
                     sines = table.sines.to(at::kDouble).unsqueeze(1);
    const at::Tensor split = rows.view({length, heads, 2 * half});
    const at::Tensor a = split.narrow(2, 0, half), b = split.narrow(2, half, half);
    return at::cat({a * cosines - b * sines, b * cosines + a * sines}, 2).transpose(0, 1);
  }

  at::Tensor Layer(std::int64_t index, const at::Tensor& hidden) const {
    const LlamaConfig& config = model_.config;
    const LayerWeights& layer = weights_.layers[index];
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    at::Tensor x = Norm(hidden, Whole(prefix + "input_layernorm.weight", layer.attention_norm));
    const std::int64_t queries = config.num_heads * config.head_dim, keys = config.num_kv_heads * config.head_dim;
    const at::Tensor q = Turned(Product(index, kQuery, layer.qkv, 0, x), config.num_heads);
    const at::Tensor k = Turned(Product(index, kKey, layer.qkv, queries, x), config.num_kv_heads);
    const at::Tensor v = Product(index, kValue, layer.qkv, queries + keys, x)
                             .view({x.size(0), config.num_kv_heads, config.head_dim})
                             .transpose(0, 1);
    const auto heads = *model_.pattern.ForHeads(config.num_heads, x.size(0));
    const at::Tensor attended =
        ReferencePatternAttention(heads, {.queries = x.size(0)}, q.unsqueeze(0), k.unsqueeze(0), v.unsqueeze(0));
    const at::Tensor rows = attended.squeeze(0).transpose(0, 1).reshape({x.size(0), queries});
    const at::Tensor middle = hidden + Product(index, kOutput, layer.attention_out, 0, rows);
    x = Norm(middle, Whole(prefix + "post_attention_layernorm.weight", layer.ffn_norm));
    const at::Tensor gate = Product(index, kGate, layer.gate_up, 0, x);
    const at::Tensor up = Product(index, kUp, layer.gate_up, config.ffn_size, x);
    return middle + Product(index, kDown, layer.down, 0, gate * at::sigmoid(gate) * up);
  }

  const TrainingModel& model_;
  const LlamaWeights& weights_;
  std::map<std::string, at::Tensor> leaves_;
};

void ExpectEqualToReference(const TrainingModel& model, const std::vector<TrainingSequence>& batch,
                            const std::string& what) {
  const Reference reference(model);
  at::Tensor expected = at::zeros({}, at::kDouble);
  for (const TrainingSequence& sequence : batch) expected = expected + reference.Loss(sequence);
  torch::autograd::backward({expected * 0.25}, {});
  for (const bool recompute : {true, false}) {
    TOME_ASSERT_OK_AND_ASSIGN(const double nats,
                              RunTrainingPass(model, batch, {.scale = 0.25, .recompute = recompute}));
    EXPECT_NEAR(nats, expected.item<double>(), 1e-4 * nats) << what;
    for (const NamedParameter& parameter : model.trainable.parameters()) {
      const at::Tensor wanted = reference.leaves().at(parameter.name).grad();
      ASSERT_TRUE(parameter.tensor.grad().defined()) << what << " " << parameter.name;
      const at::Tensor found = parameter.tensor.grad().to(at::kDouble);
      EXPECT_LT((found - wanted).norm().item<double>(), 1e-4 * wanted.norm().item<double>() + 1e-9)
          << what << " " << parameter.name << (recompute ? ", recomputed" : "");
      at::Tensor(parameter.tensor).mutable_grad() = at::Tensor();
    }
  }
}

TEST(TrainingPass, GivesTheGradientsOfPlainAutogradUnderEveryPattern) {
  const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  const LlamaWeights& weights = WeightsOf(*model);
  const auto adapter = RandomAdapter(weights.config, {.rank = 3});
  for (const char* pattern : {"dense", "s2", "scca-fixed", "scca-flow(m=2)", "sda2", "longmixed", "sliding(5)"}) {
    std::vector<TrainingSequence> batch = SomeSequences();
    ExpectEqualToReference(ModelWith(weights, pattern, adapter->contents()), batch, pattern);
  }
}

TEST(TrainingPass, GivesTheGradientsOfWhatElseIsTrained) {
  const std::vector<std::string> norms = {"model.norm.weight", "model.layers.0.input_layernorm.weight",
                                          "model.layers.1.post_attention_layernorm.weight"};
  for (const bool tied : {true, false}) {
    const std::shared_ptr<const Model> model = testing::LoadTinyModel({.tied = tied});
    const LlamaWeights& weights = WeightsOf(*model);
    std::vector<std::string> all = norms;
    all.push_back("model.embed_tokens.weight");
    const testing::RandomAdapterOptions cases[] = {
        {.rank = 2, .matrices = {kKey, kOutput}, .trained = norms},
        {.rank = 2, .matrices = {kQuery, kKey}, .trained = all, .tied_output = tied},
        {.rank = 2, .matrices = {kDown}, .trained = {"lm_head.weight"}},
        {.rank = 2, .matrices = {}, .trained = {"model.norm.weight"}},
        {.rank = 2, .matrices = {kUp}, .trained = {"model.embed_tokens.weight"}}};
    int number = 0;
    for (const testing::RandomAdapterOptions& options : cases) {
      ExpectEqualToReference(ModelWith(weights, "dense", RandomAdapter(weights.config, options)->contents()),
                             SomeSequences(), "case " + std::to_string(number++));
    }
  }
}

TEST(TrainingPass, UsesThePositionEncodingOfTheTraining) {
  const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  const auto adapter = RandomAdapter(WeightsOf(*model).config, {.rank = 2});
  for (const char* encoding : {"linear(4)", "ntk(2)", "yarn(8)"}) {
    ExpectEqualToReference(ModelWith(WeightsOf(*model), "dense", adapter->contents(), encoding), SomeSequences(),
                           encoding);
  }
}

// Positions p + shift, modulo what was trained; factors of 1 and of the encoding.
TEST(TrainingPass, ShiftsThePositionsOfCrdNtk) {
  const std::shared_ptr<const Model> model = testing::LoadTinyModel({.context_length = 24});
  const auto adapter = RandomAdapter(WeightsOf(*model).config, {.rank = 2});
  const TrainingModel training = ModelWith(WeightsOf(*model), "dense", adapter->contents(), "crd-ntk(4)");
  TrainingSequence sequence = SomeSequences()[0];
  const auto loss = [&](std::int64_t shift, double factor) {
    return *RunTrainingPass(training, {&sequence, 1},
                            {.with_gradients = false, .shifts = {shift}, .rope_factor = factor});
  };
  EXPECT_NEAR(loss(0, 0), *RunTrainingPass(training, {&sequence, 1}, {.with_gradients = false}), 1e-4);
  EXPECT_GT(std::abs(loss(7, 0) - loss(0, 0)), 1e-3);
  EXPECT_NEAR(loss(7, 0), loss(7, 4), 1e-4);
  EXPECT_GT(std::abs(loss(7, 1) - loss(7, 4)), 1e-3);
  // A shift changes nothing where no position goes over the end of the cycle.
  sequence.tokens.resize(12);
  EXPECT_NEAR(loss(0, 0), loss(5, 0), 1e-3);
  TOME_ASSERT_OK_AND_ASSIGN(const double nats, RunTrainingPass(training, SomeSequences(), {.shifts = {1, 2, 3, 4}}));
  EXPECT_TRUE(std::isfinite(nats));
}

TEST(TrainingPass, SkipsLayersBelowTheFirstThatIsTrained) {
  const std::shared_ptr<const Model> model = testing::LoadTinyModel({.num_layers = 3});
  const LlamaWeights& weights = WeightsOf(*model);
  AdapterContents contents = RandomAdapter(weights.config, {.rank = 2})->contents();
  contents.layers[0] = {};
  contents.layers[1] = {};
  const TrainingModel training = ModelWith(weights, "dense", contents);
  EXPECT_EQ(training.trainable.first_layer(), 2);
  ExpectEqualToReference(training, SomeSequences(), "upper layer");
}

TEST(TrainingPass, GradientsAddUp) {
  const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  const LlamaWeights& weights = WeightsOf(*model);
  const AdapterContents contents = RandomAdapter(weights.config, {.rank = 2})->contents();
  const TrainingModel once = ModelWith(weights, "dense", contents), twice = ModelWith(weights, "dense", contents);
  const std::vector<TrainingSequence> batch = SomeSequences();
  TOME_ASSERT_OK_AND_ASSIGN(const double all, RunTrainingPass(once, batch, {}));
  TOME_ASSERT_OK_AND_ASSIGN(const double first, RunTrainingPass(twice, absl::MakeSpan(batch).first(2), {}));
  TOME_ASSERT_OK_AND_ASSIGN(const double second, RunTrainingPass(twice, absl::MakeSpan(batch).subspan(2), {}));
  EXPECT_NEAR(all, first + second, 1e-3);
  for (std::size_t i = 0; i < once.trainable.parameters().size(); ++i) {
    const at::Tensor &a = once.trainable.parameters()[i].tensor.grad(),
                     &b = twice.trainable.parameters()[i].tensor.grad();
    EXPECT_LT((a - b).norm().item<double>(), 1e-5 * a.norm().item<double>());
  }
}

TEST(TrainingPass, InBf16IsCloseToFp32) {
  const std::shared_ptr<const Model> exact = testing::LoadTinyModel(),
                                     rounded = testing::LoadTinyModel({}, Precision::kBf16);
  const AdapterContents contents = RandomAdapter(WeightsOf(*exact).config, {.rank = 4, .scale = 0.5})->contents();
  const TrainingModel a = ModelWith(WeightsOf(*exact), "s2", contents),
                      b = ModelWith(WeightsOf(*rounded), "s2", contents);
  TOME_ASSERT_OK_AND_ASSIGN(const double wanted, RunTrainingPass(a, SomeSequences(), {}));
  TOME_ASSERT_OK_AND_ASSIGN(const double found, RunTrainingPass(b, SomeSequences(), {}));
  EXPECT_NEAR(found, wanted, 0.02 * wanted);
  double error = 0, size = 0;
  for (std::size_t i = 0; i < a.trainable.parameters().size(); ++i) {
    const at::Tensor &x = a.trainable.parameters()[i].tensor.grad(), &y = b.trainable.parameters()[i].tensor.grad();
    EXPECT_EQ(y.scalar_type(), at::kFloat);
    error += (x - y).square().sum().item<double>();
    size += x.square().sum().item<double>();
  }
  EXPECT_LT(std::sqrt(error / size), 0.1);
}

// Of packed matrices without a dense form, which are expanded on both ways.
TEST(TrainingPass, TrainsOnPackedWeights) {
  TOME_SKIP_WITHOUT(testing::SmolLm2Path());
  TOME_ASSERT_OK_AND_ASSIGN(
      const auto model, Model::Load({.path = testing::SmolLm2Path(), .precision = Precision::kFp32, .num_threads = 2}));
  const LlamaWeights& dense = WeightsOf(*model);
  LlamaWeights packed = dense;
  for (LayerWeights& layer : packed.layers) {
    for (Linear* matrix : {&layer.qkv, &layer.attention_out, &layer.gate_up, &layer.down}) {
      *matrix = Linear(at::Tensor(), matrix->packed(), matrix->part_rows());
    }
  }
  const AdapterContents contents =
      RandomAdapter(dense.config, {.rank = 2, .scale = 0.02, .matrices = {kQuery, kDown}})->contents();
  const TrainingModel a = ModelWith(dense, "dense", contents), b = ModelWith(packed, "dense", contents);
  const std::vector<TrainingSequence> batch = {SomeSequences()[1]};
  TOME_ASSERT_OK_AND_ASSIGN(const double wanted, RunTrainingPass(a, batch, {}));
  TOME_ASSERT_OK_AND_ASSIGN(const double found, RunTrainingPass(b, batch, {}));
  EXPECT_NEAR(found, wanted, 1e-3 * wanted);
  for (std::size_t i = 0; i < a.trainable.parameters().size(); i += 17) {
    const at::Tensor &x = a.trainable.parameters()[i].tensor.grad(), &y = b.trainable.parameters()[i].tensor.grad();
    EXPECT_LT((x - y).norm().item<double>(), 1e-3 * x.norm().item<double>()) << a.trainable.parameters()[i].name;
  }
}

TEST(TrainingPass, RefusesBatchesThatHaveNothingToLearn) {
  const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  const TrainingModel training =
      ModelWith(WeightsOf(*model), "dense", RandomAdapter(WeightsOf(*model).config, {})->contents());
  const auto status = [&](std::vector<TrainingSequence> batch) {
    return RunTrainingPass(training, batch, {}).status();
  };
  EXPECT_THAT(status({}), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("found none")));
  EXPECT_THAT(status({{.tokens = {1, 2}, .first_counted = 2}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("first that counts")));
  EXPECT_THAT(status({{.tokens = {1, 2}, .first_counted = 0}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("first that counts")));
  EXPECT_THAT(status({{.tokens = {1, 1 << 20}}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("outside the vocabulary")));
}

}  // namespace
}  // namespace tome
