// What an adapter adds to the product with one matrix of the model, which may be several matrices stacked.
#ifndef TOME_ENGINE_MODEL_LOW_RANK_UPDATE_H_
#define TOME_ENGINE_MODEL_LOW_RANK_UPDATE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace tome {

// Rows first_row .. first_row + m - 1 of a matrix [.., n] become W + scale B A.
struct LowRankPart {
  std::int64_t first_row = 0;
  double scale = 1;
  at::Tensor a;  // fp32 [r, n]
  at::Tensor b;  // fp32 [m, r]
};

// Immutable and thread-safe.
class LowRankUpdate {
 public:
  // `parts`: at least one, of one n, with rows that do not overlap. Products of many rows are taken in `type` on
  // `device`. On the CPU those of few rows are taken in fp32 over weights that are kept as bf16 where that loses
  // nothing.
  LowRankUpdate(const std::vector<LowRankPart>& parts, at::ScalarType type, at::Device device);

  // Adds scale (x A^T) B^T to the columns of out [rows, all] that belong to each part's rows. x [rows, n] and out are
  // of this update's type.
  void AddTo(const at::Tensor& x, const at::Tensor& out) const;

  // The same for at most kMaxProductRows rows on the CPU: x[i] [n] and out[i] [all], fp32. A row does not depend on the
  // others or on their number.
  void AddTo(absl::Span<const float* const> x, absl::Span<float* const> out) const;

 private:
  struct Part {
    std::int64_t first_row = 0, rows = 0;
    std::int64_t first_rank = 0, rank = 0;  // among the stacked A
    float scale = 1;
    at::Tensor b;      // [m, r], times the scale, in the type of products of many rows
    at::Tensor few_b;  // [r, m], as stored
  };

  std::int64_t num_ranks_ = 0;
  at::Tensor a_, few_a_;  // [num_ranks, n]
  std::vector<Part> parts_;
};

}  // namespace tome

#endif  // TOME_ENGINE_MODEL_LOW_RANK_UPDATE_H_
