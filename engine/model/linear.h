// A linear layer: the one place where a matrix of the model meets activations, many rows at a time or few.
#ifndef TOME_ENGINE_MODEL_LINEAR_H_
#define TOME_ENGINE_MODEL_LINEAR_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "engine/model/low_rank_update.h"
#include "engine/model/packed_matrix.h"

namespace tome {

// A matrix [m, n], which products take transposed, in one or both of two forms: dense, in the model's type and on its
// device, for many rows; and packed, on the CPU only, for few. The dense form may be missing where the packed one has
// blocks of 4 or 8 bits: products of many rows then expand those, a few thousand rows of the matrix at a time. Copies
// share both, and a copy can have an adapter's update beside them. Immutable and thread-safe once made.
class Linear {
 public:
  Linear() = default;
  // `part_rows`: the rows of each of the matrices that are stacked in this one; empty: it is one.
  Linear(at::Tensor dense, PackedMatrix packed, std::vector<std::int64_t> part_rows = {})
      : dense_(std::move(dense)), packed_(std::move(packed)), part_rows_(std::move(part_rows)) {}

  // The same matrix, to whose products `update` adds. Null: none.
  Linear With(std::shared_ptr<const LowRankUpdate> update) const;

  // Of x [rows, n]: [rows, m] in the type of x, with what the update adds.
  at::Tensor Apply(const at::Tensor& x) const;
  // Of at most kMaxProductRows rows, in fp32 on the CPU: out[row * out_stride + i] for i < m. Without the update, which
  // may be another for each row: see LowRankUpdate::AddTo.
  void Apply(const ProductInput& input, float* out, std::int64_t out_stride) const {
    packed_.Multiply(input, out, out_stride);
  }
  // Of x [rows, n], fp32, on the CPU: fp32 [rows, m], by the packed form alone, without the update.
  at::Tensor ApplyPacked(const at::Tensor& x) const;

  // Of y [rows, m]: y W [rows, n] in the type of y, without the update: how a gradient goes back.
  at::Tensor ApplyTransposed(const at::Tensor& y) const;

  // Rows first .. first + count - 1 of the matrix, fp32 [count, n] on the CPU.
  at::Tensor Rows(std::int64_t first, std::int64_t count) const;
  // One row into out[n], where there is a packed form.
  void CopyRow(std::int64_t row, float* out) const { packed_.Expand(row, 1, out); }

  const at::Tensor& dense() const { return dense_; }  // undefined where it is missing
  const PackedMatrix& packed() const { return packed_; }
  const std::shared_ptr<const LowRankUpdate>& update() const { return update_; }
  // Whether both read the same packed weights.
  bool SharesWith(const Linear& other) const { return packed_.SharesWith(other.packed_); }
  // The first row of part `index`.
  std::int64_t FirstRow(std::size_t index) const;
  const std::vector<std::int64_t>& part_rows() const { return part_rows_; }
  std::size_t bytes() const;  // of both forms, what they share counted once

 private:
  at::Tensor dense_;
  PackedMatrix packed_;
  std::vector<std::int64_t> part_rows_;
  std::shared_ptr<const LowRankUpdate> update_;
};

}  // namespace tome

#endif  // TOME_ENGINE_MODEL_LINEAR_H_
