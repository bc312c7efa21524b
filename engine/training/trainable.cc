#include "engine/training/trainable.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

namespace tome {
namespace {

constexpr char kEmbedding[] = "model.embed_tokens.weight", kNorm[] = "model.norm.weight";

at::Tensor Leaf(const at::Tensor& values, at::Device device) {
  return values.to(device, at::kFloat, /*non_blocking=*/false, /*copy=*/true).contiguous().requires_grad_();
}

// The same numbers from every standard library.
at::Tensor Uniform(std::int64_t rows, std::int64_t columns, std::mt19937_64& random) {
  const double bound = 1 / std::sqrt(static_cast<double>(columns));
  at::Tensor values = at::empty({rows, columns}, at::kFloat);
  float* out = values.mutable_data_ptr<float>();
  for (std::int64_t i = 0; i < rows * columns; ++i) {
    const double unit = static_cast<double>(random() >> 11) * 0x1.0p-53;
    out[i] = static_cast<float>((2 * unit - 1) * bound);
  }
  return values;
}

std::string InputNorm(std::int64_t layer) { return fmt::format("model.layers.{}.input_layernorm.weight", layer); }
std::string FfnNorm(std::int64_t layer) {
  return fmt::format("model.layers.{}.post_attention_layernorm.weight", layer);
}

at::Tensor FromFloats(const std::vector<float>& values, at::IntArrayRef shape) {
  return at::from_blob(const_cast<float*>(values.data()), shape, at::kFloat);
}

}  // namespace

std::vector<float> Floats(const at::Tensor& tensor) {
  const at::Tensor values = tensor.detach().to(at::kCPU, at::kFloat).contiguous();
  return {values.const_data_ptr<float>(), values.const_data_ptr<float>() + values.numel()};
}

Trainable Trainable::Make(const LlamaWeights& weights, const TrainableOptions& options) {
  const LlamaConfig& config = weights.config;
  Trainable trainable;
  trainable.layers_.resize(static_cast<std::size_t>(config.num_layers));
  std::mt19937_64 random(options.seed);
  for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
    for (const AdaptedMatrix matrix : kAdaptedMatrices) {
      if (std::find(options.matrices.begin(), options.matrices.end(), matrix) == options.matrices.end()) continue;
      const MatrixShape shape = ShapeOf(matrix, config);
      const auto own = options.ranks.find(matrix);
      const std::int64_t rank = own == options.ranks.end() ? options.rank : own->second;
      trainable.Add(layer, matrix,
                    {.a = Leaf(Uniform(rank, shape.columns, random), weights.device),
                     .b = Leaf(at::zeros({shape.rows, rank}), weights.device),
                     .scale = options.alpha / static_cast<double>(options.rank)});
    }
    if (!options.norms) continue;
    trainable.AddWhole(InputNorm(layer), Leaf(weights.layers[layer].attention_norm, weights.device));
    trainable.AddWhole(FfnNorm(layer), Leaf(weights.layers[layer].ffn_norm, weights.device));
  }
  if (options.norms) trainable.AddWhole(kNorm, Leaf(weights.final_norm, weights.device));
  if (options.embedding) {
    trainable.AddWhole(kEmbedding, Leaf(weights.embedding.Rows(0, config.vocab_size), weights.device));
    trainable.tied_output_ = config.tied_output;
  }
  return trainable;
}

Trainable Trainable::From(const LlamaWeights& weights, const AdapterContents& contents) {
  Trainable trainable;
  trainable.layers_.resize(contents.layers.size());
  for (std::int64_t layer = 0; layer < weights.config.num_layers; ++layer) {
    for (const AdaptedMatrix matrix : kAdaptedMatrices) {
      const LowRankPair& pair = contents.Pair(layer, matrix);
      if (pair.rank == 0) continue;
      const MatrixShape shape = ShapeOf(matrix, weights.config);
      trainable.Add(layer, matrix,
                    {.a = Leaf(FromFloats(pair.a, {pair.rank, shape.columns}), weights.device),
                     .b = Leaf(FromFloats(pair.b, {shape.rows, pair.rank}), weights.device),
                     .scale = pair.scale});
    }
    for (const std::string& name : {InputNorm(layer), FfnNorm(layer)}) {
      const auto found = contents.trained.find(name);
      if (found == contents.trained.end()) continue;
      trainable.AddWhole(name, Leaf(FromFloats(found->second, {weights.config.hidden_size}), weights.device));
    }
  }
  for (const char* name : {kNorm, kEmbedding, "lm_head.weight"}) {
    const auto found = contents.trained.find(name);
    if (found == contents.trained.end()) continue;
    trainable.AddWhole(name,
                       Leaf(FromFloats(found->second, *TrainableTensorShape(name, weights.config)), weights.device));
  }
  trainable.tied_output_ = contents.tied_output && weights.config.tied_output && trainable.Has(kEmbedding);
  return trainable;
}

AdapterContents Trainable::Contents() const {
  AdapterContents contents;
  contents.layers.resize(layers_.size());
  contents.tied_output = tied_output_;
  for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
    for (const AdaptedMatrix matrix : kAdaptedMatrices) {
      const TrainablePair& pair = Pair(static_cast<std::int64_t>(layer), matrix);
      if (!pair.a.defined()) continue;
      contents.Pair(static_cast<std::int64_t>(layer), matrix) = {
          .rank = pair.a.size(0), .scale = pair.scale, .a = Floats(pair.a), .b = Floats(pair.b)};
    }
  }
  for (const auto& [name, tensor] : wholes_) contents.trained[name] = Floats(tensor);
  return contents;
}

const at::Tensor& Trainable::Whole(const std::string& name, const at::Tensor& frozen) const {
  const auto found = wholes_.find(name);
  return found == wholes_.end() ? frozen : found->second;
}

void Trainable::Add(std::int64_t layer, AdaptedMatrix matrix, TrainablePair pair) {
  if (parameters_.empty()) first_layer_ = layer;
  const std::string name = ModuleName(layer, matrix);
  parameters_.push_back({name + ".lora_A.weight", pair.a});
  parameters_.push_back({name + ".lora_B.weight", pair.b});
  layers_[static_cast<std::size_t>(layer)][static_cast<std::size_t>(matrix)] = std::move(pair);
}

void Trainable::AddWhole(const std::string& name, const at::Tensor& values) {
  const bool in_layer = name.starts_with("model.layers.");
  if (parameters_.empty())
    first_layer_ = in_layer ? std::stoll(name.substr(13)) : static_cast<std::int64_t>(layers_.size());
  if (name == kEmbedding) first_layer_ = 0;
  parameters_.push_back({name, values});
  wholes_[name] = values;
}

}  // namespace tome
