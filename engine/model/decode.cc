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

// The matrices are those of the first row's weights; what an adapter adds or replaces is each row's own.
class Decoder {
 public:
  Decoder(absl::Span<const LlamaWeights* const> weights, absl::Span<const TokenId> tokens,
          absl::Span<TokenAttention* const> attentions)
      : weights_(weights),
        config_(weights[0]->config),
        rows_(static_cast<int>(tokens.size())),
        attentions_(attentions),
        hidden_(rows_, config_.hidden_size),
        normed_(rows_, config_.hidden_size),
        delta_(rows_, config_.hidden_size),
        qkv_(rows_, (config_.num_heads + 2 * config_.num_kv_heads) * config_.head_dim),
        attended_(rows_, config_.num_heads * config_.head_dim),
        gate_up_(rows_, 2 * config_.ffn_size),
        activated_(rows_, config_.ffn_size) {
    for (int i = 0; i < rows_; ++i) weights_[i]->embedding.CopyRow(tokens[i], hidden_.row(i));
  }

  void Run(float* logits) {
    const CpuKernels& kernels = GetCpuKernels();
    for (std::int64_t index = 0; index < config_.num_layers; ++index) {
      AddNorm(/*has_delta=*/index > 0, index, &LayerWeights::attention_norm);
      Multiply(index, &LayerWeights::qkv, normed_, &qkv_);
      for (int i = 0; i < rows_; ++i) attentions_[i]->AttendToken(index, qkv_.row(i), attended_.row(i));
      Multiply(index, &LayerWeights::attention_out, attended_, &delta_);
      AddNorm(/*has_delta=*/true, index, &LayerWeights::ffn_norm);
      Multiply(index, &LayerWeights::gate_up, normed_, &gate_up_);
      for (int i = 0; i < rows_; ++i) Swiglu(kernels, gate_up_.row(i), config_.ffn_size, activated_.row(i));
      Multiply(index, &LayerWeights::down, activated_, &delta_);
    }
    for (int i = 0; i < rows_; ++i) AddNorm(/*has_delta=*/true, weights_[i]->final_norm, i);
    ComputeLogits(logits);
  }

 private:
  void AddNorm(bool has_delta, const at::Tensor& weight, int i) {
    AddRmsNorm(GetCpuKernels(), hidden_.row(i), has_delta ? delta_.row(i) : nullptr, weight.const_data_ptr<float>(),
               static_cast<float>(config_.rms_norm_epsilon), config_.hidden_size, normed_.row(i));
  }
  void AddNorm(bool has_delta, std::int64_t layer, at::Tensor LayerWeights::* weight) {
    for (int i = 0; i < rows_; ++i) AddNorm(has_delta, weights_[i]->layers[layer].*weight, i);
  }

  void Multiply(std::int64_t layer, Linear LayerWeights::* matrix, Activations& in, Activations* out) {
    input_.Set(in.data(), rows_, in.width());
    (weights_[0]->layers[layer].*matrix).Apply(input_, out->data(), out->width());
    AddUpdates(layer, matrix, in, out);
  }

  // Rows with the same update take it in one go.
  void AddUpdates(std::int64_t layer, Linear LayerWeights::* matrix, Activations& in, Activations* out) {
    bool done[kMaxProductRows] = {};
    for (int first = 0; first < rows_; ++first) {
      const LowRankUpdate* update = (weights_[first]->layers[layer].*matrix).update().get();
      if (update == nullptr || done[first]) continue;
      const float* x[kMaxProductRows];
      float* sums[kMaxProductRows];
      std::size_t count = 0;
      for (int i = first; i < rows_; ++i) {
        if ((weights_[i]->layers[layer].*matrix).update().get() != update) continue;
        done[i] = true;
        x[count] = in.row(i);
        sums[count++] = out->row(i);
      }
      update->AddTo({x, count}, {sums, count});
    }
  }

  // Rows with the same output layer, mostly all, share a product.
  void ComputeLogits(float* logits) {
    const std::int64_t vocab = config_.vocab_size;
    for (int first = 0; first < rows_;) {
      int end = first + 1;
      while (end < rows_ && weights_[end]->output().SharesWith(weights_[first]->output())) ++end;
      input_.Set(normed_.row(first), end - first, normed_.width());
      weights_[first]->output().Apply(input_, logits + first * vocab, vocab);
      first = end;
    }
  }

  absl::Span<const LlamaWeights* const> weights_;
  const LlamaConfig& config_;
  int rows_;
  absl::Span<TokenAttention* const> attentions_;
  Activations hidden_, normed_, delta_, qkv_, attended_, gate_up_, activated_;
  ProductInput input_;
};

}  // namespace

at::Tensor DecodeTokens(absl::Span<const LlamaWeights* const> weights, absl::Span<const TokenId> tokens,
                        absl::Span<TokenAttention* const> attentions) {
  const c10::InferenceMode inference;
  const std::int64_t vocab = weights[0]->config.vocab_size;
  at::Tensor logits = at::empty({static_cast<std::int64_t>(tokens.size()), vocab}, at::kFloat);
  for (std::size_t first = 0; first < tokens.size(); first += kMaxProductRows) {
    const std::size_t count = std::min<std::size_t>(kMaxProductRows, tokens.size() - first);
    Decoder decoder(weights.subspan(first, count), tokens.subspan(first, count), attentions.subspan(first, count));
    decoder.Run(logits.mutable_data_ptr<float>() + first * vocab);
  }
  return logits;
}

at::Tensor DecodeTokens(const LlamaWeights& weights, absl::Span<const TokenId> tokens,
                        absl::Span<TokenAttention* const> attentions) {
  const std::vector<const LlamaWeights*> same(tokens.size(), &weights);
  return DecodeTokens(same, tokens, attentions);
}

}  // namespace tome
