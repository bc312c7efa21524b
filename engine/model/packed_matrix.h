// Weights of a linear layer as decoding reads them: few input rows, so what counts is the bytes of the weights.
//
// Quantised checkpoints stay packed (Q4_1 and Q4_0 as 4-bit blocks, Q8_0 as 8-bit blocks), exactly as stored; other
// types are kept as fp32 or bf16 rows. Inputs and sums are fp32, so products are those of the dequantised weights.
#ifndef TOME_ENGINE_MODEL_PACKED_MATRIX_H_
#define TOME_ENGINE_MODEL_PACKED_MATRIX_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/types/span.h"
#include "engine/checkpoint/checkpoint.h"
#include "engine/kernels/cpu/kernels.h"

namespace tome {

// Inputs of a product: num_rows rows of n values each, and what packed blocks need of them. Not thread-safe.
class ProductInput {
 public:
  // `rows` [num_rows][n], kept by the caller. 1 <= num_rows <= kMaxProductRows.
  void Set(const float* rows, int num_rows, std::int64_t n);

  int num_rows() const { return num_rows_; }
  std::int64_t n() const { return n_; }
  const float* const* rows() const { return rows_; }
  const float* const* block_sums() const { return block_sums_; }

 private:
  int num_rows_ = 0;
  std::int64_t n_ = 0;
  const float* rows_[kMaxProductRows] = {};
  const float* block_sums_[kMaxProductRows] = {};
  std::vector<float> sums_;
};

// Immutable and thread-safe once made.
class PackedMatrix {
 public:
  PackedMatrix() = default;

  // Stacks tensors [out_i, n] of one n along the output. `row_order`, when not empty for a tensor, gives for each row
  // of the matrix the tensor's row. Packed when all are of one packable type; otherwise `fallback` [sum out_i, n], fp32
  // or bf16 on the CPU, is shared.
  struct Part {
    const CheckpointTensor* tensor;
    std::vector<std::int64_t> row_order;
  };
  static PackedMatrix Make(absl::Span<const Part> parts, const at::Tensor& fallback);
  static bool CanPack(absl::Span<const Part> parts);
  // Shares `rows` [m, n], fp32 or bf16 on the CPU.
  static PackedMatrix Of(const at::Tensor& rows);

  // Whether both are the same rows in memory.
  bool SharesWith(const PackedMatrix& other) const;

  std::int64_t num_rows() const { return num_rows_; }
  std::int64_t n() const { return n_; }
  std::size_t packed_bytes() const;  // 0 when the fallback is shared
  std::string Description() const;   // "Q4_1 packed"

  // out[b * out_stride + r] for all rows r, with this process's compute threads.
  void Multiply(const ProductInput& input, float* out, std::int64_t out_stride) const;

  // Rows first .. first + count - 1 as fp32, [count][n].
  void Expand(std::int64_t first, std::int64_t count, float* out) const;

 private:
  // Copies of a matrix share them.
  using Q4Rows = std::shared_ptr<const std::vector<Q4Block>>;
  using Q8Rows = std::shared_ptr<const std::vector<Q8Block>>;

  std::int64_t num_rows_ = 0;
  std::int64_t n_ = 0;
  std::variant<std::monostate, Q4Rows, Q8Rows, at::Tensor> data_;
};

}  // namespace tome

#endif  // TOME_ENGINE_MODEL_PACKED_MATRIX_H_
