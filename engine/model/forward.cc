#include "engine/model/forward.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "engine/model/cpu/kernels.h"

namespace tome {
namespace {

at::Tensor Embed(const LlamaWeights& weights, absl::Span<const TokenId> tokens) {
  const std::int64_t count = static_cast<std::int64_t>(tokens.size());
  if (!weights.device.is_cpu()) {
    const at::Tensor ids = at::tensor(at::ArrayRef<TokenId>(tokens.data(), tokens.size()), at::kInt).to(weights.device);
    return weights.embedding.index_select(0, ids).to(at::kFloat);
  }
  at::Tensor hidden = at::empty({count, weights.config.hidden_size}, at::kFloat);
  for (std::int64_t i = 0; i < count; ++i) {
    weights.packed_embedding.Expand(tokens[i], 1, hidden.mutable_data_ptr<float>() + i * hidden.size(1));
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

// Writes x [rows, n], fp32, times the transposed matrix to `out` [rows, m]; some rows of the matrix are expanded at a
// time.
void MultiplyExpanded(const PackedMatrix& matrix, const at::Tensor& x, const at::Tensor& out) {
  constexpr std::int64_t kRowsAtOnce = 4096;  // 9 MB at SmolLM2's width
  const std::int64_t all = matrix.num_rows();
  at::Tensor block = at::empty({std::min(kRowsAtOnce, all), matrix.n()}, at::kFloat);
  for (std::int64_t first = 0; first < all; first += kRowsAtOnce) {
    const std::int64_t count = std::min(kRowsAtOnce, all - first);
    matrix.Expand(first, count, block.mutable_data_ptr<float>());
    out.narrow(1, first, count).copy_(at::linear(x, block.narrow(0, 0, count)));
  }
}

at::Tensor Linear(const at::Tensor& x, const at::Tensor& matrix, const PackedMatrix& packed) {
  if (matrix.defined()) return at::linear(x, matrix);
  const at::Tensor out = at::empty({x.size(0), packed.num_rows()}, at::kFloat);
  MultiplyExpanded(packed, x.to(at::kFloat), out);
  return out.to(x.scalar_type());
}

// Adds to `hidden` what all layers before the last give; returns what the last one adds.
at::Tensor RunLayers(const LlamaWeights& weights, std::int64_t num_layers, const at::Tensor& hidden,
                     SequenceAttention& attention) {
  const LlamaConfig& config = weights.config;
  at::Tensor delta;
  for (std::int64_t index = 0; index < num_layers; ++index) {
    const LayerWeights& layer = weights.layers[index];
    at::Tensor normed = AddNorm(hidden, delta, layer.attention_norm, config.rms_norm_epsilon, weights.type);
    const at::Tensor qkv = Linear(normed, layer.qkv, layer.packed_qkv);
    const at::Tensor attended = at::empty({hidden.size(0), config.num_heads * config.head_dim}, qkv.options());
    attention.Attend(index, qkv, attended);
    delta = Linear(attended, layer.attention_out, layer.packed_attention_out);
    normed = AddNorm(hidden, delta, layer.ffn_norm, config.rms_norm_epsilon, weights.type);
    const at::Tensor gate_up = Linear(normed, layer.gate_up, layer.packed_gate_up);
    delta = Linear(ActivateGate(gate_up), layer.down, layer.packed_down);
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
  const std::int64_t vocab = weights.config.vocab_size, rows = normed.size(0), width = normed.size(1);
  if (!weights.device.is_cpu()) {
    const at::Tensor& output = weights.config.tied_output ? weights.embedding : weights.output;
    return at::linear(normed.to(weights.type), output).to(at::kFloat).cpu();
  }
  at::Tensor logits = at::empty({rows, vocab}, at::kFloat);
  if (rows <= kMaxProductRows) {
    ProductInput input;
    input.Set(normed.const_data_ptr<float>(), static_cast<int>(rows), width);
    weights.output_matrix().Multiply(input, logits.mutable_data_ptr<float>(), vocab);
    return logits;
  }
  MultiplyExpanded(weights.output_matrix(), normed, logits);
  return logits;
}

}  // namespace tome
