// DecodeTokens: the pass over one token of each of a few sequences. Every matrix is read once for all of them, straight
// from its packed form, and small vectors stay in plain arrays, where libtorch's cost per call would dominate.

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "engine/kernels/cpu/kernels.h"
#include "engine/model/forward.h"

namespace tome {
namespace {

// Row-major activations [n, width] of up to kMaxProductRows sequences.
class Activations {
 public:
  Activations(std::int64_t rows, std::int64_t width) : width_(width), values_(rows * width) {}
  float* row(std::int64_t i) { return values_.data() + i * width_; }
  float* data() { return values_.data(); }
  std::int64_t width() const { return width_; }

 private:
  std::int64_t width_;
  std::vector<float> values_;
};

class Decoder {
 public:
  Decoder(const LlamaWeights& weights, absl::Span<const TokenId> tokens, absl::Span<TokenAttention* const> attentions)
      : weights_(weights),
        config_(weights.config),
        rows_(static_cast<int>(tokens.size())),
        attentions_(attentions),
        hidden_(rows_, config_.hidden_size),
        normed_(rows_, config_.hidden_size),
        delta_(rows_, config_.hidden_size),
        qkv_(rows_, (config_.num_heads + 2 * config_.num_kv_heads) * config_.head_dim),
        attended_(rows_, config_.num_heads * config_.head_dim),
        gate_up_(rows_, 2 * config_.ffn_size),
        activated_(rows_, config_.ffn_size) {
    for (int i = 0; i < rows_; ++i) weights_.embedding.CopyRow(tokens[i], hidden_.row(i));
  }

  void Run(float* logits) {
    const CpuKernels& kernels = GetCpuKernels();
    for (std::int64_t index = 0; index < config_.num_layers; ++index) {
      const LayerWeights& layer = weights_.layers[index];
      AddNorm(/*has_delta=*/index > 0, layer.attention_norm);
      Multiply(layer.qkv, normed_, &qkv_);
      for (int i = 0; i < rows_; ++i) attentions_[i]->AttendToken(index, qkv_.row(i), attended_.row(i));
      Multiply(layer.attention_out, attended_, &delta_);
      AddNorm(/*has_delta=*/true, layer.ffn_norm);
      Multiply(layer.gate_up, normed_, &gate_up_);
      for (int i = 0; i < rows_; ++i) Swiglu(kernels, gate_up_.row(i), config_.ffn_size, activated_.row(i));
      Multiply(layer.down, activated_, &delta_);
    }
    AddNorm(/*has_delta=*/true, weights_.final_norm);
    input_.Set(normed_.data(), rows_, normed_.width());
    weights_.output().Apply(input_, logits, config_.vocab_size);
  }

 private:
  void AddNorm(bool has_delta, const at::Tensor& weight) {
    for (int i = 0; i < rows_; ++i) {
      AddRmsNorm(GetCpuKernels(), hidden_.row(i), has_delta ? delta_.row(i) : nullptr, weight.const_data_ptr<float>(),
                 static_cast<float>(config_.rms_norm_epsilon), config_.hidden_size, normed_.row(i));
    }
  }

  void Multiply(const Linear& matrix, Activations& in, Activations* out) {
    input_.Set(in.data(), rows_, in.width());
    matrix.Apply(input_, out->data(), out->width());
  }

  const LlamaWeights& weights_;
  const LlamaConfig& config_;
  int rows_;
  absl::Span<TokenAttention* const> attentions_;
  Activations hidden_, normed_, delta_, qkv_, attended_, gate_up_, activated_;
  ProductInput input_;
};

}  // namespace

at::Tensor DecodeTokens(const LlamaWeights& weights, absl::Span<const TokenId> tokens,
                        absl::Span<TokenAttention* const> attentions) {
  const c10::InferenceMode inference;
  at::Tensor logits = at::empty({static_cast<std::int64_t>(tokens.size()), weights.config.vocab_size}, at::kFloat);
  for (std::size_t first = 0; first < tokens.size(); first += kMaxProductRows) {
    const std::size_t count = std::min<std::size_t>(kMaxProductRows, tokens.size() - first);
    Decoder decoder(weights, tokens.subspan(first, count), attentions.subspan(first, count));
    decoder.Run(logits.mutable_data_ptr<float>() + first * weights.config.vocab_size);
  }
  return logits;
}

}  // namespace tome
