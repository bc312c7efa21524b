#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/attention/causal_attention.h"
#include "engine/kernels/cpu/kernels.h"

namespace tome {
namespace {

constexpr std::int64_t kRunKeys = 512;

// Joins the partial attentions of one head's runs, in order.
void JoinRuns(const AttentionPartial* partials, std::int64_t num_runs, std::int64_t stride, std::int64_t dim,
              float* out) {
  float maximum = partials[0].maximum;
  for (std::int64_t run = 1; run < num_runs; ++run) maximum = std::max(maximum, partials[run * stride].maximum);
  float sum = 0;
  std::fill(out, out + dim, 0.0f);
  for (std::int64_t run = 0; run < num_runs; ++run) {
    const AttentionPartial& partial = partials[run * stride];
    const float scale = std::exp(partial.maximum - maximum);
    sum += partial.sum * scale;
    for (std::int64_t i = 0; i < dim; ++i) out[i] += partial.values[i] * scale;
  }
  for (std::int64_t i = 0; i < dim; ++i) out[i] /= sum;
}

}  // namespace

template <typename Type>
void DecodeAttention(const DecodeShape& shape, const float* queries, const Type* keys, const Type* values, float* out) {
  const std::int64_t dim = shape.head_dim, group = shape.num_heads / shape.num_kv_heads;
  const std::int64_t num_runs = (shape.num_keys + kRunKeys - 1) / kRunKeys;
  const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
  std::vector<float> scaled(queries, queries + shape.num_heads * dim);
  for (float& value : scaled) value *= scale;

  // partials[run][head]
  std::vector<float> sums(static_cast<std::size_t>(num_runs * shape.num_heads * dim));
  std::vector<AttentionPartial> partials(static_cast<std::size_t>(num_runs * shape.num_heads));
  for (std::size_t i = 0; i < partials.size(); ++i) partials[i].values = sums.data() + i * dim;

  const CpuKernels& kernels = GetCpuKernels();
  at::parallel_for(0, num_runs * shape.num_kv_heads, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> scores(static_cast<std::size_t>(group * kRunKeys));
    for (std::int64_t index = begin; index < end; ++index) {
      const std::int64_t head = index / num_runs, run = index % num_runs;
      const std::int64_t first = run * kRunKeys, count = std::min(kRunKeys, shape.num_keys - first);
      const std::int64_t offset = head * shape.head_stride + first * dim;
      Attend(kernels, scaled.data() + head * group * dim, static_cast<int>(group), keys + offset, values + offset,
             count, static_cast<int>(dim), scores.data(), &partials[run * shape.num_heads + head * group]);
    }
  });
  for (std::int64_t head = 0; head < shape.num_heads; ++head) {
    JoinRuns(&partials[head], num_runs, shape.num_heads, dim, out + head * dim);
  }
}

template void DecodeAttention<float>(const DecodeShape&, const float*, const float*, const float*, float*);
template void DecodeAttention<c10::BFloat16>(const DecodeShape&, const float*, const c10::BFloat16*,
                                             const c10::BFloat16*, float*);

}  // namespace tome
