// One pass of a LLaMA over new tokens. What the tokens attend to is the caller's business: the keys and values, the
// caches and the positions live behind SequenceAttention.
//
// Shapes: T new tokens, E hidden size, H query heads, KV key-value heads, D head dimension, V vocabulary.
#ifndef TOME_ENGINE_MODEL_FORWARD_H_
#define TOME_ENGINE_MODEL_FORWARD_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "absl/types/span.h"
#include "engine/base/types.h"
#include "engine/model/weights.h"

namespace tome {

// Attention of one sequence, called layer after layer in order. Not thread-safe.
class SequenceAttention {
 public:
  virtual ~SequenceAttention() = default;

  // `qkv` [T, (H + 2 KV) D], un-rotated queries, keys and values of the new tokens, in the weights' type. Remembers
  // keys and values, and writes the attended values to `out` [T, H D], of the same type.
  virtual void Attend(std::int64_t layer, const at::Tensor& qkv, const at::Tensor& out) = 0;
};

// As above for one new token on the CPU, in fp32 and without tensors.
class TokenAttention {
 public:
  virtual ~TokenAttention() = default;
  // `qkv` [(H + 2 KV) D]; `out` [H D].
  virtual void AttendToken(std::int64_t layer, const float* qkv, float* out) = 0;
};

// Hidden states after the last layer, before the final norm: fp32 [T, E]. Throws what torch throws.
at::Tensor Forward(const LlamaWeights& weights, absl::Span<const TokenId> tokens, SequenceAttention& attention);

// As much of Forward as calls `attention` for layers 0 .. num_layers - 1.
void ForwardLayers(const LlamaWeights& weights, absl::Span<const TokenId> tokens, std::int64_t num_layers,
                   SequenceAttention& attention);

// Logits fp32 [n, V] on the CPU of hidden states [n, E].
at::Tensor ComputeLogits(const LlamaWeights& weights, const at::Tensor& hidden);

// One token of each of several sequences in a single pass over the weights, on the CPU. Returns logits fp32 [n, V]. A
// row does not depend on the others or on their number: it is bit for bit what a call with that sequence alone gives.
at::Tensor DecodeTokens(const LlamaWeights& weights, absl::Span<const TokenId> tokens,
                        absl::Span<TokenAttention* const> attentions);
// The same where sequences have adapters of their own: `weights` of each, all WithAdapter of one model's, or it itself.
at::Tensor DecodeTokens(absl::Span<const LlamaWeights* const> weights, absl::Span<const TokenId> tokens,
                        absl::Span<TokenAttention* const> attentions);

}  // namespace tome

#endif  // TOME_ENGINE_MODEL_FORWARD_H_
