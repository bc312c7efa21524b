#include "engine/attention/causal_attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>
#include <limits>
#include <tuple>

#include "engine/attention/block_attention.h"
#include "engine/base/cpu_features.h"

namespace tome {
namespace {

// out[t][h] = the softmax-weighted mean of two partial attentions, given their log-sum-exps.
template <typename T>
void JoinOnCpu(const at::Tensor& past, const at::Tensor& past_lse, const at::Tensor& own, const at::Tensor& own_lse,
               const at::Tensor& out) {
  const std::int64_t heads = own.size(1), tokens = own.size(2), dim = own.size(3);
  const auto past_values = past.accessor<T, 4>(), own_values = own.accessor<T, 4>();
  const auto past_sums = past_lse.accessor<float, 3>(), own_sums = own_lse.accessor<float, 3>();
  T* target = out.mutable_data_ptr<T>();
  at::parallel_for(0, tokens, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      for (std::int64_t h = 0; h < heads; ++h) {
        const float weight = 1.0f / (1.0f + std::exp(own_sums[0][h][t] - past_sums[0][h][t]));
        const T* a = past_values[0][h][t].data();
        const T* b = own_values[0][h][t].data();
        T* row = target + (t * heads + h) * dim;
        for (std::int64_t i = 0; i < dim; ++i) {
          row[i] = weight * static_cast<float>(a[i]) + (1.0f - weight) * static_cast<float>(b[i]);
        }
      }
    }
  });
}

std::tuple<at::Tensor, at::Tensor> FlashOnCpu(const at::Tensor& queries, const at::Tensor& keys,
                                              const at::Tensor& values, bool causal) {
  return at::_scaled_dot_product_flash_attention_for_cpu(queries, keys, values, /*dropout_p=*/0.0, causal);
}

// libtorch multiplies bf16 with AMX tiles; without them it turns them into fp32 first.
bool PrefersBlocks(const at::Tensor& queries) {
  return queries.scalar_type() == at::kBFloat16 && BlockAttentionTakes(queries.size(2)) && !GetCpuFeatures().amx_bf16;
}

void FlashAttentionOnCpu(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                         const at::Tensor& out) {
  const std::int64_t heads = queries.size(0), tokens = queries.size(1), dim = queries.size(2);
  const std::int64_t kv_heads = keys.size(0), past_tokens = keys.size(1) - tokens, group = heads / kv_heads;
  const auto new_part = [&](const at::Tensor& all) { return all.narrow(1, past_tokens, tokens).unsqueeze(0); };
  const auto past_part = [&](const at::Tensor& all) { return all.narrow(1, 0, past_tokens).unsqueeze(0); };

  const auto [own, own_lse] = FlashOnCpu(queries.unsqueeze(0), new_part(keys), new_part(values), /*causal=*/true);
  if (past_tokens == 0) {
    out.view({tokens, heads, dim}).copy_(own.squeeze(0).transpose(0, 1));
    return;
  }
  const at::Tensor grouped = queries.view({1, kv_heads, group * tokens, dim});
  const auto [past, past_lse] = FlashOnCpu(grouped, past_part(keys), past_part(values), /*causal=*/false);
  const at::Tensor past_by_head = past.reshape({1, heads, tokens, dim});
  const at::Tensor past_lse_by_head = past_lse.reshape({1, heads, tokens});
  if (queries.scalar_type() == at::kFloat) {
    JoinOnCpu<float>(past_by_head, past_lse_by_head, own, own_lse, out);
  } else {
    JoinOnCpu<at::BFloat16>(past_by_head, past_lse_by_head, own, own_lse, out);
  }
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
                                  : FlashAttentionOnCpu(queries, keys, values, out);
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
