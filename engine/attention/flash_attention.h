// Causal attention of many queries on the CPU with libtorch's kernel (arXiv 2205.14135).
//
// Shapes as in causal_attention.h.
#ifndef TOME_ENGINE_ATTENTION_FLASH_ATTENTION_H_
#define TOME_ENGINE_ATTENTION_FLASH_ATTENTION_H_

#include <ATen/core/Tensor.h>

namespace tome {

// `queries` [H, T, D] contiguous, `keys` and `values` [KV, P + T, D], fp32 or bf16. Writes `out` [T, H D], contiguous.
//
// The past is one unmasked call with the queries of a KV head side by side, the new tokens are a second, causal one,
// and both are joined by their log-sum-exps: no mask is built, and nothing masked is computed.
void FlashAttention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values, const at::Tensor& out);

}  // namespace tome

#endif  // TOME_ENGINE_ATTENTION_FLASH_ATTENTION_H_
