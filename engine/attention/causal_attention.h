// Dense causal attention of new tokens at the end of a sequence: the exact attention over sink, window and segment.
//
// Shapes: P past tokens, T new tokens, H query heads, KV key-value heads (KV divides H; query head h uses head
// h / (H / KV)), D head dimension. Query t sees keys 0 .. P + t. Scores are scaled by 1 / sqrt(D).
#ifndef TOME_ENGINE_ATTENTION_CAUSAL_ATTENTION_H_
#define TOME_ENGINE_ATTENTION_CAUSAL_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace tome {

// `queries` [H, T, D] contiguous and `keys`, `values` [KV, P + T, D], all of one type (fp32 or bf16) and rotated; the
// last dimension is contiguous. Writes `out` [T, H D].
//
// On the CPU fp32, and bf16 where there are AMX tiles, is FlashAttention's, other bf16 BlockAttention's.
void CausalAttention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                     const at::Tensor& out);

// The same by definition: scores, a mask, softmax, in fp32. Slow; what tests compare with.
at::Tensor ReferenceCausalAttention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values);

// One query of each head over `num_keys` keys, on the CPU. `queries` [H][D] rotated; head k's keys are at
// keys + k * head_stride, [num_keys][D]; values alike. Writes `out` [H][D]. Keys are cut into runs of a fixed size that
// threads share, so the result does not depend on the number of threads. Type: float or c10::BFloat16.
struct DecodeShape {
  std::int64_t num_heads;
  std::int64_t num_kv_heads;
  std::int64_t head_dim;
  std::int64_t head_stride;
  std::int64_t num_keys;
};
template <typename Type>
void DecodeAttention(const DecodeShape& shape, const float* queries, const Type* keys, const Type* values, float* out);

}  // namespace tome

#endif  // TOME_ENGINE_ATTENTION_CAUSAL_ATTENTION_H_
