// A linear layer: the one place where a matrix of the model meets activations, many rows at a time or few.
#ifndef TOME_ENGINE_MODEL_LINEAR_H_
#define TOME_ENGINE_MODEL_LINEAR_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/model/packed_matrix.h"

namespace tome {

// A matrix [m, n], which products take transposed, in one or both of two forms: dense, in the model's type and on its
// device, for many rows; and packed, on the CPU only, for few. The dense form may be missing where the packed one has
// blocks of 4 or 8 bits: products of many rows then expand those, a few thousand rows of the matrix at a time. Copies
// share both. Immutable and thread-safe once made.
class Linear {
 public:
  Linear() = default;
  Linear(at::Tensor dense, PackedMatrix packed) : dense_(std::move(dense)), packed_(std::move(packed)) {}

  // Of x [rows, n]: [rows, m] in the type of x.
  at::Tensor Apply(const at::Tensor& x) const;
  // Of at most kMaxProductRows rows, in fp32 on the CPU: out[row * out_stride + i] for i < m.
  void Apply(const ProductInput& input, float* out, std::int64_t out_stride) const {
    packed_.Multiply(input, out, out_stride);
  }
  // Of x [rows, n], fp32, on the CPU: fp32 [rows, m], by the packed form alone.
  at::Tensor ApplyPacked(const at::Tensor& x) const;

  // Rows first .. first + count - 1 of the matrix, fp32 [count, n] on the CPU.
  at::Tensor Rows(std::int64_t first, std::int64_t count) const;
  // One row into out[n], where there is a packed form.
  void CopyRow(std::int64_t row, float* out) const { packed_.Expand(row, 1, out); }

  const at::Tensor& dense() const { return dense_; }  // undefined where it is missing
  const PackedMatrix& packed() const { return packed_; }
  std::size_t bytes() const;  // of both forms, what they share counted once

 private:
  at::Tensor dense_;
  PackedMatrix packed_;
};

}  // namespace tome

#endif  // TOME_ENGINE_MODEL_LINEAR_H_
