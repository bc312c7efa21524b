#include "engine/memory/sequence_cache.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "engine/attention/causal_attention.h"
#include "engine/model/cpu/kernels.h"

namespace tome {

QueryKeyValue QueryKeyValue::Split(const at::Tensor& qkv, const LlamaConfig& config) {
  const at::Tensor heads =
      qkv.view({qkv.size(0), config.num_heads + 2 * config.num_kv_heads, config.head_dim}).transpose(0, 1);
  return {heads.narrow(0, 0, config.num_heads), heads.narrow(0, config.num_heads, config.num_kv_heads),
          heads.narrow(0, config.num_heads + config.num_kv_heads, config.num_kv_heads)};
}

SegmentAttention::SegmentAttention(const LlamaWeights& weights, const MemoryState& state, std::int64_t segment_tokens)
    : weights_(weights), state_(state) {
  const LlamaConfig& config = weights.config;
  const auto options = at::TensorOptions().dtype(weights.type).device(weights.device);
  const std::int64_t all_tokens = state.tokens_kept() + segment_tokens;
  block_ = KeyValueBlock::Allocate(config, segment_tokens, weights.type, weights.device);
  queries_ = at::empty({config.num_heads, segment_tokens, config.head_dim}, options);
  keys_ = at::empty({config.num_kv_heads, all_tokens, config.head_dim}, options);
  values_ = at::empty_like(keys_);
}

void SegmentAttention::Attend(std::int64_t layer, const at::Tensor& qkv, const at::Tensor& out) {
  const auto [queries, keys, values] = QueryKeyValue::Split(qkv, weights_.config);
  const std::int64_t past = state_.tokens_kept(), tokens = qkv.size(0);
  block_.keys.select(0, layer).copy_(keys);
  block_.values.select(0, layer).copy_(values);
  state_.Gather(layer, weights_.rope, keys_, values_);
  RotateInto(keys, weights_.rope, past, keys_.narrow(1, past, tokens));
  values_.narrow(1, past, tokens).copy_(values);
  RotateInto(queries, weights_.rope, past, queries_);
  CausalAttention(queries_, keys_, values_, out);
}

SequenceCache::SequenceCache(const LlamaWeights& weights, const MemoryState& state, std::int64_t capacity)
    : weights_(weights), size_(state.tokens_kept()) {
  const LlamaConfig& config = weights.config;
  const auto options = at::TensorOptions().dtype(weights.type).device(weights.device);
  keys_ = at::empty({config.num_layers, config.num_kv_heads, capacity, config.head_dim}, options);
  values_ = at::empty_like(keys_);
  for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
    state.Gather(layer, weights.rope, keys_.select(0, layer), values_.select(0, layer));
  }
}

void SequenceCache::Attend(std::int64_t layer, const at::Tensor& qkv, const at::Tensor& out) {
  const auto [queries, keys, values] = QueryKeyValue::Split(qkv, weights_.config);
  const std::int64_t tokens = qkv.size(0);
  const at::Tensor all_keys = keys_.select(0, layer).narrow(1, 0, size_ + tokens);
  const at::Tensor all_values = values_.select(0, layer).narrow(1, 0, size_ + tokens);
  RotateInto(keys, weights_.rope, size_, all_keys.narrow(1, size_, tokens));
  all_values.narrow(1, size_, tokens).copy_(values);
  const at::Tensor rotated = at::empty(queries.sizes(), queries.options());
  RotateInto(queries, weights_.rope, size_, rotated);
  CausalAttention(rotated, all_keys, all_values, out);
}

void SequenceCache::AttendToken(std::int64_t layer, const float* qkv, float* out) {
  if (keys_.scalar_type() == at::kFloat) return AttendTokenAs<float>(layer, qkv, out);
  AttendTokenAs<at::BFloat16>(layer, qkv, out);
}

template <typename Type>
void SequenceCache::AttendTokenAs(std::int64_t layer, const float* qkv, float* out) {
  const LlamaConfig& config = weights_.config;
  const CpuKernels& kernels = GetCpuKernels();
  const std::int64_t dim = config.head_dim;
  const float* cosines = weights_.rope.cosines.const_data_ptr<float>() + size_ * (dim / 2);
  const float* sines = weights_.rope.sines.const_data_ptr<float>() + size_ * (dim / 2);
  Type* keys = keys_.mutable_data_ptr<Type>() + layer * keys_.stride(0);
  Type* values = values_.mutable_data_ptr<Type>() + layer * values_.stride(0);

  std::vector<float> rotated((config.num_heads + config.num_kv_heads) * dim);
  for (std::int64_t head = 0; head < config.num_heads + config.num_kv_heads; ++head) {
    RotateRow(kernels, qkv + head * dim, cosines, sines, rotated.data() + head * dim, dim);
  }
  const float* new_keys = rotated.data() + config.num_heads * dim;
  const float* new_values = qkv + (config.num_heads + config.num_kv_heads) * dim;
  for (std::int64_t head = 0; head < config.num_kv_heads; ++head) {
    const std::int64_t row = head * keys_.stride(1) + size_ * dim;
    for (std::int64_t i = 0; i < dim; ++i) {
      keys[row + i] = new_keys[head * dim + i];
      values[row + i] = new_values[head * dim + i];
    }
  }
  DecodeAttention(DecodeShape{.num_heads = config.num_heads,
                              .num_kv_heads = config.num_kv_heads,
                              .head_dim = dim,
                              .head_stride = keys_.stride(1),
                              .num_keys = size_ + 1},
                  rotated.data(), keys, values, out);
}

}  // namespace tome
