#include "engine/attention/causal_attention.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "engine/attention/block_attention.h"
#include "engine/attention/flash_attention.h"
#include "engine/base/cpu_features.h"

namespace tome {
namespace {

// libtorch multiplies bf16 with AMX tiles; without them it turns them into fp32 first.
bool PrefersBlocks(const at::Tensor& queries) {
  return queries.scalar_type() == at::kBFloat16 && BlockAttentionTakes(queries.size(2)) && !GetCpuFeatures().amx_bf16;
}

// [T, P + T]: true where query t may see the key.
at::Tensor VisibleMask(std::int64_t past_tokens, std::int64_t tokens, at::Device device) {
  const auto options = at::TensorOptions().dtype(at::kBool).device(device);
  return at::ones({tokens, past_tokens + tokens}, options).tril_(past_tokens);
}

}  // namespace

void CausalAttention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                     const at::Tensor& out) {
  if (queries.is_cpu()) {
    return PrefersBlocks(queries) ? BlockAttention(queries, keys, values, out)
                                  : FlashAttention(queries, keys, values, out);
  }
  const std::int64_t heads = queries.size(0), tokens = queries.size(1), dim = queries.size(2);
  const at::Tensor attended = at::scaled_dot_product_attention(
      queries.unsqueeze(0), keys.unsqueeze(0), values.unsqueeze(0),
      VisibleMask(keys.size(1) - tokens, tokens, queries.device()), /*dropout_p=*/0.0, /*is_causal=*/false,
      /*scale=*/std::nullopt, /*enable_gqa=*/true);
  out.view({tokens, heads, dim}).copy_(attended.squeeze(0).transpose(0, 1));
}

at::Tensor ReferenceCausalAttention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values) {
  const std::int64_t heads = queries.size(0), tokens = queries.size(1), dim = queries.size(2);
  const std::int64_t group = heads / keys.size(0), past_tokens = keys.size(1) - tokens;
  const at::Tensor all_keys = keys.to(at::kFloat).repeat_interleave(group, 0);
  const at::Tensor all_values = values.to(at::kFloat).repeat_interleave(group, 0);
  at::Tensor scores =
      at::matmul(queries.to(at::kFloat), all_keys.transpose(1, 2)) / std::sqrt(static_cast<double>(dim));
  scores.masked_fill_(VisibleMask(past_tokens, tokens, queries.device()).logical_not(),
                      -std::numeric_limits<float>::infinity());
  return at::matmul(at::softmax(scores, -1), all_values).transpose(0, 1).reshape({tokens, heads * dim});
}

}  // namespace tome
