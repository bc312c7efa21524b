#include "engine/attention/flash_attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>
#include <tuple>

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

std::tuple<at::Tensor, at::Tensor> TorchFlash(const at::Tensor& queries, const at::Tensor& keys,
                                              const at::Tensor& values, bool causal) {
  return at::_scaled_dot_product_flash_attention_for_cpu(queries, keys, values, /*dropout_p=*/0.0, causal);
}

}  // namespace

void FlashAttention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                    const at::Tensor& out) {
  const std::int64_t heads = queries.size(0), tokens = queries.size(1), dim = queries.size(2);
  const std::int64_t kv_heads = keys.size(0), past_tokens = keys.size(1) - tokens, group = heads / kv_heads;
  const auto new_part = [&](const at::Tensor& all) { return all.narrow(1, past_tokens, tokens).unsqueeze(0); };
  const auto past_part = [&](const at::Tensor& all) { return all.narrow(1, 0, past_tokens).unsqueeze(0); };

  const auto [own, own_lse] = TorchFlash(queries.unsqueeze(0), new_part(keys), new_part(values), /*causal=*/true);
  if (past_tokens == 0) {
    out.view({tokens, heads, dim}).copy_(own.squeeze(0).transpose(0, 1));
    return;
  }
  const at::Tensor grouped = queries.view({1, kv_heads, group * tokens, dim});
  const auto [past, past_lse] = TorchFlash(grouped, past_part(keys), past_part(values), /*causal=*/false);
  const at::Tensor past_by_head = past.reshape({1, heads, tokens, dim});
  const at::Tensor past_lse_by_head = past_lse.reshape({1, heads, tokens});
  if (queries.scalar_type() == at::kFloat) {
    JoinOnCpu<float>(past_by_head, past_lse_by_head, own, own_lse, out);
  } else {
    JoinOnCpu<at::BFloat16>(past_by_head, past_lse_by_head, own, own_lse, out);
  }
}

}  // namespace tome
