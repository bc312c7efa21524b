#include "engine/model/forward.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "engine/kernels/cpu/kernels.h"

namespace tome {
namespace {

at::Tensor Embed(const LlamaWeights& weights, absl::Span<const TokenId> tokens) {
  const std::int64_t count = static_cast<std::int64_t>(tokens.size());
  if (!weights.device.is_cpu()) {
    const at::Tensor ids = at::tensor(at::ArrayRef<TokenId>(tokens.data(), tokens.size()), at::kInt).to(weights.device);
    return weights.embedding.dense().index_select(0, ids).to(at::kFloat);
  }
  at::Tensor hidden = at::empty({count, weights.config.hidden_size}, at::kFloat);
  for (std::int64_t i = 0; i < count; ++i) {
    weights.embedding.CopyRow(tokens[i], hidden.mutable_data_ptr<float>() + i * hidden.size(1));
  }
  return hidden;
}

template <typename T>
at::Tensor AddNormOnCpu(const at::Tensor& hidden, const at::Tensor& delta, const at::Tensor& weight, float epsilon,
                        at::ScalarType type) {
  const CpuKernels& kernels = GetCpuKernels();
  const std::int64_t rows = hidden.size(0), width = hidden.size(1);
  at::Tensor normed = at::empty({rows, width}, type);
  float* x = hidden.mutable_data_ptr<float>();
  const T* change = delta.defined() ? delta.const_data_ptr<T>() : nullptr;
  T* out = normed.mutable_data_ptr<T>();
  at::parallel_for(0, rows, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      AddRmsNorm(kernels, x + row * width, change == nullptr ? nullptr : change + row * width,
                 weight.const_data_ptr<float>(), epsilon, width, out + row * width);
    }
  });
  return normed;
}

// hidden += delta, where delta is defined; returns hidden normed, in `type`.
at::Tensor AddNorm(const at::Tensor& hidden, const at::Tensor& delta, const at::Tensor& weight, double epsilon,
                   at::ScalarType type) {
  if (hidden.is_cpu()) {
    return type == at::kFloat ? AddNormOnCpu<float>(hidden, delta, weight, static_cast<float>(epsilon), type)
                              : AddNormOnCpu<at::BFloat16>(hidden, delta, weight, static_cast<float>(epsilon), type);
  }
  if (delta.defined()) hidden.add_(delta);
  const at::Tensor scale = hidden.square().mean(-1, /*keepdim=*/true).add_(epsilon).rsqrt_();
  return (hidden * scale).mul_(weight).to(type);
}

template <typename T>
at::Tensor SwigluOnCpu(const at::Tensor& gate_up) {
  const CpuKernels& kernels = GetCpuKernels();
  const std::int64_t rows = gate_up.size(0), width = gate_up.size(1) / 2;
  at::Tensor activated = at::empty({rows, width}, gate_up.options());
  const T* in = gate_up.const_data_ptr<T>();
  T* out = activated.mutable_data_ptr<T>();
  at::parallel_for(0, rows, 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) Swiglu(kernels, in + row * 2 * width, width, out + row * width);
  });
  return activated;
}

at::Tensor ActivateGate(const at::Tensor& gate_up) {
  if (gate_up.is_cpu()) {
    return gate_up.scalar_type() == at::kFloat ? SwigluOnCpu<float>(gate_up) : SwigluOnCpu<at::BFloat16>(gate_up);
  }
  const std::int64_t width = gate_up.size(1) / 2;
  return at::silu(gate_up.narrow(1, 0, width)).mul_(gate_up.narrow(1, width, width));
}

// Adds to `hidden` what all layers before the last give; returns what the last one adds.
at::Tensor RunLayers(const LlamaWeights& weights, std::int64_t num_layers, const at::Tensor& hidden,
                     SequenceAttention& attention) {
  const LlamaConfig& config = weights.config;
  at::Tensor delta;
  for (std::int64_t index = 0; index < num_layers; ++index) {
    const LayerWeights& layer = weights.layers[index];
    at::Tensor normed = AddNorm(hidden, delta, layer.attention_norm, config.rms_norm_epsilon, weights.type);
    const at::Tensor qkv = layer.qkv.Apply(normed);
    const at::Tensor attended = at::empty({hidden.size(0), config.num_heads * config.head_dim}, qkv.options());
    attention.Attend(index, qkv, attended);
    delta = layer.attention_out.Apply(attended);
    normed = AddNorm(hidden, delta, layer.ffn_norm, config.rms_norm_epsilon, weights.type);
    const at::Tensor gate_up = layer.gate_up.Apply(normed);
    delta = layer.down.Apply(ActivateGate(gate_up));
  }
  return delta;
}

}  // namespace

at::Tensor Forward(const LlamaWeights& weights, absl::Span<const TokenId> tokens, SequenceAttention& attention) {
  const c10::InferenceMode inference;
  const at::Tensor hidden = Embed(weights, tokens);
  hidden.add_(RunLayers(weights, weights.config.num_layers, hidden, attention));
  return hidden;
}

void ForwardLayers(const LlamaWeights& weights, absl::Span<const TokenId> tokens, std::int64_t num_layers,
                   SequenceAttention& attention) {
  const c10::InferenceMode inference;
  RunLayers(weights, num_layers, Embed(weights, tokens), attention);
}

at::Tensor ComputeLogits(const LlamaWeights& weights, const at::Tensor& hidden) {
  const c10::InferenceMode inference;
  const at::Tensor normed =
      AddNorm(hidden.clone(), at::Tensor(), weights.final_norm, weights.config.rms_norm_epsilon, at::kFloat);
  if (!weights.device.is_cpu()) return weights.output().Apply(normed.to(weights.type)).to(at::kFloat).cpu();
  const std::int64_t vocab = weights.config.vocab_size, rows = normed.size(0);
  if (rows > kMaxProductRows) return weights.output().ApplyPacked(normed);
  at::Tensor logits = at::empty({rows, vocab}, at::kFloat);
  ProductInput input;
  input.Set(normed.const_data_ptr<float>(), static_cast<int>(rows), normed.size(1));
  weights.output().Apply(input, logits.mutable_data_ptr<float>(), vocab);
  return logits;
}

}  // namespace tome
