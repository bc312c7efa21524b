#include "engine/memory/sequence_cache.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "engine/attention/causal_attention.h"
#include "engine/attention/pattern_attention.h"
#include "engine/base/status.h"
#include "engine/kernels/cpu/kernels.h"

namespace tome {

QueryKeyValue QueryKeyValue::Split(const at::Tensor& qkv, const LlamaConfig& config) {
  const at::Tensor heads =
      qkv.view({qkv.size(0), config.num_heads + 2 * config.num_kv_heads, config.head_dim}).transpose(0, 1);
  return {heads.narrow(0, 0, config.num_heads), heads.narrow(0, config.num_heads, config.num_kv_heads),
          heads.narrow(0, config.num_heads + config.num_kv_heads, config.num_kv_heads)};
}

QueryKeyValue QueryKeyValue::Rotated(const RopeTable& rope) const {
  const QueryKeyValue rotated{at::empty(queries.sizes(), queries.options()), at::empty(keys.sizes(), keys.options()),
                              values.contiguous()};
  RotateInto(queries, rope, 0, rotated.queries);
  RotateInto(keys, rope, 0, rotated.keys);
  return rotated;
}

SegmentAttention::SegmentAttention(const LlamaWeights& weights, const MemoryState& state, std::int64_t segment_tokens)
    : weights_(weights),
      state_(state),
      tokens_(segment_tokens),
      chosen_(static_cast<std::size_t>(weights.config.num_layers)) {
  const LlamaConfig& config = weights.config;
  const RegionMemory& regions = state.regions();
  // The options were validated when the memory was made.
  const AttentionPattern pattern = *AttentionPattern::Parse(state.options().attention);
  if (!pattern.dense()) heads_ = *pattern.ForHeads(config.num_heads);
  const auto options = at::TensorOptions().dtype(weights.type).device(weights.device);
  std::int64_t region_tokens = 0;
  if (regions.enabled()) {
    pooled_.count = (tokens_ + regions.query_region_tokens() - 1) / regions.query_region_tokens();
    pooled_.values.resize(pooled_.count * config.num_layers * config.num_kv_heads * config.head_dim);
    region_tokens =
        std::min<std::int64_t>(regions.size(), std::int64_t{regions.options().selected} * regions.options().merge) *
        state.options().region_tokens;
  }
  block_ = KeyValueBlock::Allocate(config, tokens_, weights.type, weights.device);
  queries_ = at::empty({config.num_heads, tokens_, config.head_dim}, options);
  keys_ = at::empty({config.num_kv_heads, state.tokens_kept() + region_tokens + tokens_, config.head_dim}, options);
  values_ = at::empty_like(keys_);
}

void SegmentAttention::Attend(std::int64_t layer, const at::Tensor& qkv, const at::Tensor& out) {
  const auto [queries, keys, values] = QueryKeyValue::Split(qkv, weights_.config);
  block_.keys.select(0, layer).copy_(keys);
  block_.values.select(0, layer).copy_(values);
  const RegionMemory& regions = state_.regions();
  if (regions.enabled()) AddPooledQueries(layer, queries);
  // Without regions to choose from all tokens attend to the same.
  const std::int64_t run = regions.size() > 0 ? regions.merged_tokens() : tokens_;
  for (std::int64_t first = 0; first < tokens_; first += run) {
    const std::int64_t count = std::min(run, tokens_ - first), seen = first + count;
    std::vector<std::int64_t> chosen;
    if (regions.size() > 0) chosen = Choose(layer, first / regions.query_region_tokens());
    const std::int64_t past = state_.Gather(layer, weights_.rope, keys_, values_, chosen);
    if (regions.size() > 0) chosen_[layer].push_back(std::move(chosen));
    RotateInto(keys.narrow(1, 0, seen), weights_.rope, past, keys_.narrow(1, past, seen));
    values_.narrow(1, past, seen).copy_(values.narrow(1, 0, seen));
    const at::Tensor own = queries_.flatten().narrow(0, 0, queries_.size(0) * count * queries_.size(2));
    const at::Tensor rotated = own.view({queries_.size(0), count, queries_.size(2)});
    RotateInto(queries.narrow(1, first, count), weights_.rope, past + first, rotated);
    AttendRun(rotated, first, past, out.narrow(0, first, count));
  }
}

void SegmentAttention::AttendRun(const at::Tensor& queries, std::int64_t first, std::int64_t past,
                                 const at::Tensor& out) const {
  const std::int64_t count = queries.size(1);
  const at::Tensor keys = keys_.narrow(1, 0, past + first + count), values = values_.narrow(1, 0, past + first + count);
  if (heads_.empty()) return CausalAttention(queries, keys, values, out);
  const PatternPlan plan(heads_, {.first_query = state_.tokens_read() + first,
                                  .queries = count,
                                  .first_key = state_.tokens_read() - state_.window_tokens(),
                                  .prefix = past - state_.window_tokens()});
  const at::Tensor attended =
      PatternAttention(plan, queries.unsqueeze(0), keys.unsqueeze(0), values.unsqueeze(0)).squeeze(0);
  out.view({count, queries.size(0), queries.size(2)}).copy_(attended.transpose(0, 1));
}

void SegmentAttention::AddPooledQueries(std::int64_t layer, const at::Tensor& queries) {
  const LlamaConfig& config = weights_.config;
  const std::int64_t width = config.num_kv_heads * config.head_dim, size = state_.regions().query_region_tokens();
  for (std::int64_t i = 0; i < pooled_.count; ++i) {
    const at::Tensor own = queries.narrow(1, i * size, std::min(size, tokens_ - i * size));
    const at::Tensor pooled =
        own.to(at::kFloat).mean(1).view({config.num_kv_heads, -1, config.head_dim}).sum(1).cpu().contiguous();
    std::copy_n(pooled.const_data_ptr<float>(), width, pooled_.values.data() + (i * config.num_layers + layer) * width);
  }
}

std::vector<std::int64_t> SegmentAttention::Choose(std::int64_t layer, std::int64_t first) const {
  const RegionMemory& regions = state_.regions();
  const RegionMemoryOptions& options = regions.options();
  if (const std::int64_t leader = layer - layer % options.route_every; leader != layer) {
    return chosen_[leader][first / options.merge];
  }
  const LlamaConfig& config = weights_.config;
  const std::int64_t width = config.num_kv_heads * config.head_dim, stride = config.num_layers * width;
  const PooledQueries& before = first == 0 ? regions.queries() : pooled_;
  const std::int64_t begin = first == 0 ? 0 : first - options.merge;
  return regions.Select(layer, before.values.data() + begin * stride + layer * width,
                        first == 0 ? before.count : options.merge, stride);
}

SegmentRouting SegmentAttention::TakeRouting() {
  const RegionMemory& regions = state_.regions();
  SegmentRouting routing;
  if (!regions.enabled()) return routing;
  routing.chosen.resize(static_cast<std::size_t>(regions.size()));
  for (const auto& runs : chosen_) {
    for (const auto& run : runs) {
      for (const std::int64_t region : run) ++routing.chosen[region];
    }
  }
  // The last run of merged query regions.
  const std::int64_t merge = regions.options().merge,
                     stride = static_cast<std::int64_t>(pooled_.values.size()) / pooled_.count;
  const std::int64_t begin = (pooled_.count - 1) / merge * merge;
  routing.queries.count = pooled_.count - begin;
  routing.queries.values.assign(pooled_.values.begin() + begin * stride, pooled_.values.end());
  return routing;
}

SegmentReading ReadSegment(const LlamaWeights& weights, const MemoryState& state, absl::Span<const TokenId> segment) {
  TORCH_CHECK(!segment.empty(), "a segment without tokens");
  SegmentAttention attention(weights, state, static_cast<std::int64_t>(segment.size()));
  SegmentReading reading;
  reading.hidden = Forward(weights, segment, attention);
  reading.routing = attention.TakeRouting();
  reading.block = std::move(attention).TakeBlock();
  return reading;
}

absl::Status CheckUsable(const SegmentReading& reading) {
  if (AreUsable(reading.hidden) && AreUsable(reading.block.keys) && AreUsable(reading.block.values) &&
      AreUsable(reading.routing.queries.values)) {
    return absl::OkStatus();
  }
  return Internal("the model gives keys or values that are no usable numbers; its weights are damaged");
}

SequenceCache::SequenceCache(const LlamaWeights& weights, const MemoryState& state,
                             absl::Span<const TokenRange> attended, std::int64_t capacity)
    : weights_(weights) {
  const LlamaConfig& config = weights.config;
  const auto options = at::TensorOptions().dtype(weights.type).device(weights.device);
  keys_ = at::empty({config.num_layers, config.num_kv_heads, capacity, config.head_dim}, options);
  values_ = at::empty_like(keys_);
  const StoredTokens stored(state);
  for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
    stored.Gather(layer, weights.rope, attended, keys_.select(0, layer), values_.select(0, layer));
  }
  for (const TokenRange& range : attended) size_ += range.tokens();
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
  TORCH_CHECK(size_ < std::min(keys_.size(2), weights_.rope.cosines.size(0)), "the sequence is full with ", size_);
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
