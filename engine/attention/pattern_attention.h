// Attention with a pattern for each head, on kernels for dense attention; no mask is built.
//
// Shapes: P past tokens, T new tokens, S prefix keys, H query heads, KV key-value heads (KV divides H; query head h
// uses head h / (H / KV)), D head dimension. Scores are scaled by 1 / sqrt(D).
#ifndef TOME_ENGINE_ATTENTION_PATTERN_ATTENTION_H_
#define TOME_ENGINE_ATTENTION_PATTERN_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "engine/attention/attention_plan.h"
#include "engine/attention/pattern.h"

namespace tome {

// The plans of all heads for one span. Heads with the same pattern share one. An immutable value.
class PatternPlan {
 public:
  // `heads`: AttentionPattern::ForHeads.
  PatternPlan(const std::vector<HeadPattern>& heads, const AttentionSpan& span);

  struct Group {
    std::vector<std::int64_t> heads;  // ascending
    std::vector<AttentionPiece> pieces;
  };
  const std::vector<Group>& groups() const { return groups_; }
  const AttentionSpan& span() const { return span_; }
  // Multiply-adds of scores and values together, over all heads of dimension `head_dim`; masked halves not counted.
  std::int64_t MultiplyAdds(std::int64_t head_dim) const;

 private:
  AttentionSpan span_;
  std::vector<Group> groups_;
};

// `queries` [B, H, T, D]; `keys` and `values` [B, KV, S + first_key.. , D], of one type, rotated, the last dimension
// contiguous. Gives [B, H, T, D] of the same type; several pieces are joined in fp32. Gradients flow to all three.
//
// fp32, fp64 and bf16 on the CPU; on CUDA bf16 and fp16 through flash attention, fp32 through memory-efficient
// attention.
at::Tensor PatternAttention(const PatternPlan& plan, const at::Tensor& queries, const at::Tensor& keys,
                            const at::Tensor& values);

// The same by definition: a mask over dense attention, in fp32 or fp64. Slow; what tests compare with. For the span of
// the plan.
at::Tensor ReferencePatternAttention(const std::vector<HeadPattern>& heads, const AttentionSpan& span,
                                     const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values);

// [T, S + keys]: true where a query of the span sees the key.
at::Tensor VisibleMask(const HeadPattern& pattern, const AttentionSpan& span);

}  // namespace tome

#endif  // TOME_ENGINE_ATTENTION_PATTERN_ATTENTION_H_
