#include "engine/training/training_layer.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "engine/base/status.h"
#include "engine/model/position_encoding.h"
#include "engine/training/differentiable.h"

namespace tome {
namespace {

// What a pair adds to x W^T, in the type of x.
at::Tensor Update(const TrainablePair& pair, const at::Tensor& x) {
  const at::Tensor inner = at::linear(x, pair.a.to(x.scalar_type())).mul(pair.scale);
  return at::linear(inner, pair.b.to(x.scalar_type()));
}

// The products of x with the matrices that are stacked in one.
std::vector<at::Tensor> Products(const TrainingModel& model, std::int64_t layer, const Linear& stacked,
                                 const std::vector<AdaptedMatrix>& matrices, const at::Tensor& x) {
  std::vector<std::int64_t> rows;
  for (const AdaptedMatrix matrix : matrices) rows.push_back(ShapeOf(matrix, model.config).rows);
  std::vector<at::Tensor> products = FrozenProduct(stacked, x).split_with_sizes(rows, 1);
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    const TrainablePair& pair = model.trainable.Pair(layer, matrices[i]);
    if (pair.a.defined()) products[i] = products[i].add(Update(pair, x));
  }
  return products;
}

// [T, heads D] -> [heads, T, D], contiguous.
at::Tensor ByHead(const at::Tensor& rows, std::int64_t head_dim) {
  return rows.reshape({rows.size(0), -1, head_dim}).transpose(0, 1).contiguous();
}

// [T, H D] of queries, keys and values [T, ..].
at::Tensor Attended(const TrainingModel& model, const SequenceLayout& layout, const std::vector<at::Tensor>& qkv) {
  std::vector<at::Tensor> parts;
  std::int64_t first = 0;
  for (std::size_t i = 0; i < layout.lengths().size(); ++i) {
    const std::int64_t length = layout.lengths()[i];
    const auto rows = [&](const at::Tensor& tensor) {
      return ByHead(tensor.narrow(0, first, length), model.config.head_dim);
    };
    const RopeTable& rope = layout.RopeOf(i);
    const at::Tensor attended = PatternAttention(layout.PlanOf(i), Rotate(rows(qkv[0]), rope).unsqueeze(0),
                                                 Rotate(rows(qkv[1]), rope).unsqueeze(0), rows(qkv[2]).unsqueeze(0));
    parts.push_back(attended.squeeze(0).transpose(0, 1).reshape({length, -1}));
    first += length;
  }
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

}  // namespace

absl::StatusOr<SequenceLayout> SequenceLayout::Make(const LlamaConfig& config, const AttentionPattern& pattern,
                                                    const std::vector<std::int64_t>& lengths,
                                                    const std::vector<std::int64_t>& shifts, at::Device device) {
  SequenceLayout layout;
  layout.lengths_ = lengths;
  const std::int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  if (shifts.empty()) layout.ropes_.push_back(RopeTable::Make(config, longest, device));
  for (std::size_t i = 0; i < shifts.size(); ++i) {
    layout.ropes_.push_back(RopeTable::Make(config, lengths[i], device, shifts[i]));
  }
  for (const std::int64_t length : lengths) {
    if (layout.plans_.contains(length)) continue;
    TOME_ASSIGN_OR_RETURN(const std::vector<HeadPattern> heads, pattern.ForHeads(config.num_heads, length));
    layout.plans_.emplace(length, PatternPlan(heads, AttentionSpan{.queries = length}));
  }
  return layout;
}

absl::StatusOr<TrainingModel> MakeTrainingModel(const LlamaWeights& weights, std::string_view encoding,
                                                AttentionPattern pattern, Trainable trainable) {
  TrainingModel model{.weights = &weights, .pattern = std::move(pattern), .trainable = std::move(trainable)};
  TOME_ASSIGN_OR_RETURN(model.config, WithPositionEncoding(encoding, weights.config));
  const Linear& output = weights.output();
  model.output = output.dense().defined() ? output.dense()
                                          : output.Rows(0, weights.config.vocab_size).to(weights.device, weights.type);
  return model;
}

at::Tensor TrainingLayer(const TrainingModel& model, std::int64_t index, const SequenceLayout& layout,
                         const at::Tensor& hidden) {
  using enum AdaptedMatrix;
  const LayerWeights& layer = model.weights->layers[index];
  const at::ScalarType type = model.weights->type;
  const double epsilon = model.config.rms_norm_epsilon;
  const std::string prefix = fmt::format("model.layers.{}.", index);
  const at::Tensor& attention_norm = model.trainable.Whole(prefix + "input_layernorm.weight", layer.attention_norm);
  const at::Tensor& ffn_norm = model.trainable.Whole(prefix + "post_attention_layernorm.weight", layer.ffn_norm);

  const auto qkv =
      Products(model, index, layer.qkv, {kQuery, kKey, kValue}, RmsNorm(hidden, attention_norm, epsilon).to(type));
  const at::Tensor attended = Attended(model, layout, qkv);
  const at::Tensor middle = hidden + Products(model, index, layer.attention_out, {kOutput}, attended)[0].to(at::kFloat);
  const auto gate_up = Products(model, index, layer.gate_up, {kGate, kUp}, RmsNorm(middle, ffn_norm, epsilon).to(type));
  const at::Tensor activated = at::silu(gate_up[0]).mul(gate_up[1]);
  return middle + Products(model, index, layer.down, {kDown}, activated)[0].to(at::kFloat);
}

}  // namespace tome
