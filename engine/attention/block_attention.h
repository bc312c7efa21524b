// Causal attention of many queries in bf16 with the engine's own kernels, which pack keys and values once for all
// queries of a KV head and take the softmax on the way: for CPUs on which libtorch multiplies bf16 through fp32.
//
// Shapes as in causal_attention.h.
#ifndef TOME_ENGINE_ATTENTION_BLOCK_ATTENTION_H_
#define TOME_ENGINE_ATTENTION_BLOCK_ATTENTION_H_

#include <ATen/core/Tensor.h>

namespace tome {

// Whether BlockAttention takes heads of this size.
bool BlockAttentionTakes(std::int64_t head_dim);

// `queries` [H, T, D] contiguous, `keys` and `values` [KV, P + T, D] with rows one behind the other, all bf16 and on
// the CPU. Writes `out` [T, H D], contiguous. Does not depend on the number of threads.
void BlockAttention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values, const at::Tensor& out);

}  // namespace tome

#endif  // TOME_ENGINE_ATTENTION_BLOCK_ATTENTION_H_
