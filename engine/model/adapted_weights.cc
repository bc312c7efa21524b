#include "engine/model/adapted_weights.h"

#include <ATen/ATen.h>

#include <memory>
#include <utility>
#include <vector>

#include "engine/base/status.h"

namespace tome {
namespace {

at::Tensor Copy(const std::vector<float>& values, at::IntArrayRef shape) {
  return at::from_blob(const_cast<float*>(values.data()), shape, at::kFloat).clone();
}

class Adapting {
 public:
  Adapting(const AdapterContents& contents, LlamaWeights* weights) : contents_(contents), weights_(*weights) {}

  void AdaptLayer(std::int64_t index) const {
    LayerWeights& layer = weights_.layers[static_cast<std::size_t>(index)];
    using enum AdaptedMatrix;
    Update(index, {kQuery, kKey, kValue}, &layer.qkv);
    Update(index, {kOutput}, &layer.attention_out);
    Update(index, {kGate, kUp}, &layer.gate_up);
    Update(index, {kDown}, &layer.down);
    const std::string prefix = fmt::format("model.layers.{}.", index);
    ReplaceVector(prefix + "input_layernorm.weight", &layer.attention_norm);
    ReplaceVector(prefix + "post_attention_layernorm.weight", &layer.ffn_norm);
  }

  void AdaptEnds() const {
    ReplaceVector("model.norm.weight", &weights_.final_norm);
    const bool was_tied = weights_.config.tied_output;
    const Linear old_embedding = weights_.embedding;
    const bool embedding = ReplaceMatrix("model.embed_tokens.weight", &weights_.embedding);
    const bool output = ReplaceMatrix("lm_head.weight", &weights_.untied_output);
    if (!was_tied || (!output && (!embedding || contents_.tied_output))) return;
    weights_.config.tied_output = false;
    if (!output) weights_.untied_output = old_embedding;
  }

 private:
  void Update(std::int64_t index, const std::vector<AdaptedMatrix>& matrices, Linear* linear) const {
    std::vector<LowRankPart> parts;
    for (std::size_t i = 0; i < matrices.size(); ++i) {
      const LowRankPair& pair = contents_.Pair(index, matrices[i]);
      if (pair.rank == 0) continue;
      const MatrixShape shape = ShapeOf(matrices[i], weights_.config);
      parts.push_back({.first_row = linear->FirstRow(i),
                       .scale = pair.scale,
                       .a = Copy(pair.a, {pair.rank, shape.columns}),
                       .b = Copy(pair.b, {shape.rows, pair.rank})});
    }
    if (parts.empty()) return;
    *linear = linear->With(std::make_shared<LowRankUpdate>(parts, weights_.type, weights_.device));
  }

  void ReplaceVector(const std::string& name, at::Tensor* target) const {
    const auto found = contents_.trained.find(name);
    if (found == contents_.trained.end()) return;
    *target = Copy(found->second, {static_cast<std::int64_t>(found->second.size())}).to(weights_.device);
  }

  bool ReplaceMatrix(const std::string& name, Linear* target) const {
    const auto found = contents_.trained.find(name);
    if (found == contents_.trained.end()) return false;
    const at::Tensor dense = Copy(found->second, {weights_.config.vocab_size, weights_.config.hidden_size})
                                 .to(weights_.device, weights_.type);
    *target = Linear(dense, weights_.device.is_cpu() ? PackedMatrix::Of(dense) : PackedMatrix());
    return true;
  }

  const AdapterContents& contents_;
  LlamaWeights& weights_;
};

// What was checked for another config may not fit this one.
absl::Status CheckFit(const AdapterContents& contents, const LlamaConfig& config) {
  for (std::int64_t layer = 0; layer < static_cast<std::int64_t>(contents.layers.size()); ++layer) {
    for (const AdaptedMatrix matrix : kAdaptedMatrices) {
      const LowRankPair& pair = contents.Pair(layer, matrix);
      const MatrixShape shape = ShapeOf(matrix, config);
      const bool fits = layer < config.num_layers &&
                        static_cast<std::int64_t>(pair.a.size()) == pair.rank * shape.columns &&
                        static_cast<std::int64_t>(pair.b.size()) == pair.rank * shape.rows;
      if (!fits) return InvalidArgument("the adapter's {} is not that of this model", ModuleName(layer, matrix));
    }
  }
  for (const auto& [name, values] : contents.trained) {
    const auto shape = TrainableTensorShape(name, config);
    std::int64_t count = 1;
    for (const std::int64_t size : shape.value_or(std::vector<std::int64_t>{-1})) count *= size;
    if (count != static_cast<std::int64_t>(values.size())) {
      return InvalidArgument("the adapter's {} is not that of this model", name);
    }
  }
  if (static_cast<std::int64_t>(contents.layers.size()) == config.num_layers) return absl::OkStatus();
  return InvalidArgument("the adapter has {} layers, the model {}", contents.layers.size(), config.num_layers);
}

}  // namespace

absl::StatusOr<LlamaWeights> WithAdapter(const LlamaWeights& base, const Adapter& adapter) {
  TOME_RETURN_IF_ERROR(CheckFit(adapter.contents(), base.config));
  LlamaWeights weights = base;
  const Adapting adapting(adapter.contents(), &weights);
  for (std::int64_t index = 0; index < base.config.num_layers; ++index) adapting.AdaptLayer(index);
  adapting.AdaptEnds();
  return weights;
}

}  // namespace tome
