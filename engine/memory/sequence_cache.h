// Keys and values of one sequence as attention wants them: rotated, side by side, with room for new tokens.
#ifndef TOME_ENGINE_MEMORY_SEQUENCE_CACHE_H_
#define TOME_ENGINE_MEMORY_SEQUENCE_CACHE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "engine/attention/pattern.h"
#include "engine/memory/memory_state.h"
#include "engine/memory/stored_tokens.h"
#include "engine/model/forward.h"

namespace tome {

// What Forward's qkv [T, (H + 2 KV) D] holds, as views: queries [H, T, D], keys and values [KV, T, D].
struct QueryKeyValue {
  at::Tensor queries, keys, values;
  static QueryKeyValue Split(const at::Tensor& qkv, const LlamaConfig& config);
  // Copies for attention of these tokens to each other alone, as the positions from 0 on: queries and keys rotated.
  QueryKeyValue Rotated(const RopeTable& rope) const;
};

// Reads one segment on top of a state: attends [sink | chosen regions | window | segment] and keeps the segment's keys
// and values.
class SegmentAttention final : public SequenceAttention {
 public:
  // Both outlive this object.
  SegmentAttention(const LlamaWeights& weights, const MemoryState& state, std::int64_t segment_tokens);

  void Attend(std::int64_t layer, const at::Tensor& qkv, const at::Tensor& out) override;

  // After the last layer, for MemoryState::Append.
  KeyValueBlock TakeBlock() && { return std::move(block_); }
  SegmentRouting TakeRouting();

  // The regions that each run of merged query regions attended to in a layer.
  const std::vector<std::vector<std::int64_t>>& chosen(std::int64_t layer) const { return chosen_[layer]; }

 private:
  // Of tokens first .. first + count - 1, rotated, over the rows of keys_ and values_ up to theirs. `past`: rows before
  // the segment's.
  void AttendRun(const at::Tensor& queries, std::int64_t first, std::int64_t past, const at::Tensor& out) const;
  void AddPooledQueries(std::int64_t layer, const at::Tensor& queries);
  // The regions for the run of merged query regions that begins with query region `first`.
  std::vector<std::int64_t> Choose(std::int64_t layer, std::int64_t first) const;

  const LlamaWeights& weights_;
  const MemoryState& state_;
  const std::int64_t tokens_;
  std::vector<HeadPattern> heads_;  // empty: dense
  KeyValueBlock block_;
  PooledQueries pooled_;                                        // of the segment's query regions
  std::vector<std::vector<std::vector<std::int64_t>>> chosen_;  // [layer][run]
  at::Tensor queries_, keys_, values_;                          // of one layer, reused by the next
};

// One pass over a segment that follows what a state has read.
struct SegmentReading {
  at::Tensor hidden;  // fp32 [T, E], see Forward
  // For MemoryState::Append.
  KeyValueBlock block;
  SegmentRouting routing;
};
SegmentReading ReadSegment(const LlamaWeights& weights, const MemoryState& state, absl::Span<const TokenId> segment);
// INTERNAL when it cannot be kept: the weights gave NaN, infinite or absurdly large numbers.
absl::Status CheckUsable(const SegmentReading& reading);

// A question's own cache: tokens that a state holds, then prompt and answer. Positions never shift, so every key is
// rotated once. One writer.
class SequenceCache final : public SequenceAttention, public TokenAttention {
 public:
  // `attended`: ascending, disjoint ranges of tokens that the state holds (StoredTokens). `capacity`: these, prompt and
  // answer together, at most the context. `weights` outlives this object.
  SequenceCache(const LlamaWeights& weights, const MemoryState& state, absl::Span<const TokenRange> attended,
                std::int64_t capacity);
  // Over sink and window.
  SequenceCache(const LlamaWeights& weights, const MemoryState& state, std::int64_t capacity)
      : SequenceCache(weights, state, KeptTokens(state), capacity) {}

  // A pass appends its tokens at size() .. for every layer; Advance then counts them.
  void Attend(std::int64_t layer, const at::Tensor& qkv, const at::Tensor& out) override;
  void AttendToken(std::int64_t layer, const float* qkv, float* out) override;
  void Advance(std::int64_t tokens) { size_ += tokens; }

  std::int64_t size() const { return size_; }
  std::int64_t capacity() const { return keys_.size(2); }

 private:
  template <typename Type>
  void AttendTokenAs(std::int64_t layer, const float* qkv, float* out);

  const LlamaWeights& weights_;
  at::Tensor keys_, values_;  // [L, KV, capacity, D]
  std::int64_t size_ = 0;
};

}  // namespace tome

#endif  // TOME_ENGINE_MEMORY_SEQUENCE_CACHE_H_
