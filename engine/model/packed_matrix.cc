#include "engine/model/packed_matrix.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/util/Half.h>

#include <cstring>

namespace tome {
namespace {

constexpr std::int64_t kBlockValues = 32;
// Work below this many multiply-adds is not worth a second thread.
constexpr std::int64_t kMinProductWork = 32 * 1024;

bool IsQ4(TensorType type) { return type == TensorType::kQ4_0 || type == TensorType::kQ4_1; }

std::int64_t SourceRow(const PackedMatrix::Part& part, std::int64_t row) {
  return part.row_order.empty() ? row : part.row_order[row];
}

void ConvertBlock(const std::byte* from, TensorType type, Q4Block* to) {
  if (type == TensorType::kQ4_1) {
    std::memcpy(to, from, sizeof *to);
    return;
  }
  // Q4_0 is scale * (q - 8): the same block with minimum -8 * scale, which is exact in fp16 but for overflow, and
  // CanPack has excluded that.
  std::memcpy(&to->scale, from, 2);
  const float scale = c10::Half(to->scale, c10::Half::from_bits());
  to->minimum = c10::Half(-8.0f * scale).x;
  std::memcpy(to->nibbles, from + 2, sizeof to->nibbles);
}
void ConvertBlock(const std::byte* from, TensorType, Q8Block* to) { std::memcpy(to, from, sizeof *to); }

template <typename Block>
std::vector<Block> CopyBlocks(absl::Span<const PackedMatrix::Part> parts, std::int64_t num_rows, std::int64_t n) {
  const std::int64_t blocks_per_row = n / kBlockValues;
  std::vector<Block> blocks(static_cast<std::size_t>(num_rows * blocks_per_row));
  Block* to = blocks.data();
  for (const PackedMatrix::Part& part : parts) {
    const TensorType type = part.tensor->type;
    const std::int64_t block_bytes = GetBlockLayout(type).bytes;
    for (std::int64_t row = 0; row < part.tensor->shape[0]; ++row) {
      const std::byte* from = part.tensor->data.data() + SourceRow(part, row) * blocks_per_row * block_bytes;
      for (std::int64_t i = 0; i < blocks_per_row; ++i) ConvertBlock(from + i * block_bytes, type, to++);
    }
  }
  return blocks;
}

bool FitsQ4(const CheckpointTensor& tensor) {
  if (tensor.type != TensorType::kQ4_0) return true;
  const std::int64_t block_bytes = GetBlockLayout(tensor.type).bytes;
  for (std::size_t offset = 0; offset < tensor.data.size(); offset += block_bytes) {
    std::uint16_t bits;
    std::memcpy(&bits, tensor.data.data() + offset, sizeof bits);
    if (!(std::abs(static_cast<float>(c10::Half(bits, c10::Half::from_bits()))) * 8 <= 65504.0f)) return false;
  }
  return true;
}

void ExpandRow(const Q4Block* blocks, std::int64_t n, float* out) {
  for (std::int64_t j = 0; j < n / kBlockValues; ++j, out += kBlockValues) {
    const float scale = c10::Half(blocks[j].scale, c10::Half::from_bits());
    const float minimum = c10::Half(blocks[j].minimum, c10::Half::from_bits());
    for (int i = 0; i < 16; ++i) {
      out[i] = scale * static_cast<float>(blocks[j].nibbles[i] & 15) + minimum;
      out[i + 16] = scale * static_cast<float>(blocks[j].nibbles[i] >> 4) + minimum;
    }
  }
}

void ExpandRow(const Q8Block* blocks, std::int64_t n, float* out) {
  for (std::int64_t j = 0; j < n / kBlockValues; ++j, out += kBlockValues) {
    const float scale = c10::Half(blocks[j].scale, c10::Half::from_bits());
    for (int i = 0; i < kBlockValues; ++i) out[i] = scale * static_cast<float>(blocks[j].values[i]);
  }
}

}  // namespace

void ProductInput::Set(const float* rows, int num_rows, std::int64_t n) {
  num_rows_ = num_rows;
  n_ = n;
  const std::int64_t num_blocks = n / kBlockValues;
  sums_.resize(static_cast<std::size_t>(num_rows * num_blocks));
  for (int b = 0; b < num_rows; ++b) {
    rows_[b] = rows + b * n;
    float* sums = sums_.data() + b * num_blocks;
    block_sums_[b] = sums;
    for (std::int64_t j = 0; j < num_blocks; ++j) {
      float sum = 0;
      for (std::int64_t i = 0; i < kBlockValues; ++i) sum += rows_[b][j * kBlockValues + i];
      sums[j] = sum;
    }
  }
}

bool PackedMatrix::CanPack(absl::Span<const Part> parts) {
  const bool q4 = IsQ4(parts[0].tensor->type);
  for (const Part& part : parts) {
    if (part.tensor->shape[1] % kBlockValues != 0) return false;
    if (q4 ? !(IsQ4(part.tensor->type) && FitsQ4(*part.tensor)) : part.tensor->type != TensorType::kQ8_0) return false;
  }
  return true;
}

PackedMatrix PackedMatrix::Make(absl::Span<const Part> parts, const at::Tensor& fallback) {
  PackedMatrix matrix;
  matrix.n_ = parts[0].tensor->shape[1];
  for (const Part& part : parts) matrix.num_rows_ += part.tensor->shape[0];
  if (!CanPack(parts)) {
    matrix.data_ = fallback;
  } else if (IsQ4(parts[0].tensor->type)) {
    matrix.data_ =
        std::make_shared<const std::vector<Q4Block>>(CopyBlocks<Q4Block>(parts, matrix.num_rows_, matrix.n_));
  } else {
    matrix.data_ =
        std::make_shared<const std::vector<Q8Block>>(CopyBlocks<Q8Block>(parts, matrix.num_rows_, matrix.n_));
  }
  return matrix;
}

PackedMatrix PackedMatrix::Of(const at::Tensor& rows) {
  PackedMatrix matrix;
  matrix.num_rows_ = rows.size(0);
  matrix.n_ = rows.size(1);
  matrix.data_ = rows;
  return matrix;
}

bool PackedMatrix::SharesWith(const PackedMatrix& other) const {
  if (data_.index() != other.data_.index()) return false;
  if (const auto* q4 = std::get_if<Q4Rows>(&data_)) return *q4 == std::get<Q4Rows>(other.data_);
  if (const auto* q8 = std::get_if<Q8Rows>(&data_)) return *q8 == std::get<Q8Rows>(other.data_);
  const auto* rows = std::get_if<at::Tensor>(&data_);
  return rows == nullptr || rows->is_same(std::get<at::Tensor>(other.data_));
}

std::size_t PackedMatrix::packed_bytes() const {
  if (const auto* rows = std::get_if<Q4Rows>(&data_)) return (*rows)->size() * sizeof(Q4Block);
  if (const auto* rows = std::get_if<Q8Rows>(&data_)) return (*rows)->size() * sizeof(Q8Block);
  return 0;
}

std::string PackedMatrix::Description() const {
  if (std::holds_alternative<Q4Rows>(data_)) return "packed 4-bit";
  if (std::holds_alternative<Q8Rows>(data_)) return "packed 8-bit";
  const auto* tensor = std::get_if<at::Tensor>(&data_);
  return tensor != nullptr && tensor->scalar_type() == at::kBFloat16 ? "bf16" : "fp32";
}

void PackedMatrix::Multiply(const ProductInput& input, float* out, std::int64_t out_stride) const {
  const CpuKernels& kernels = GetCpuKernels();
  const std::int64_t grain = std::max<std::int64_t>(1, kMinProductWork / (n_ * input.num_rows()));
  at::parallel_for(0, num_rows_, grain, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t count = end - begin;
    float* target = out + begin;
    if (const auto* q4 = std::get_if<Q4Rows>(&data_)) {
      kernels.multiply_q4((*q4)->data() + begin * (n_ / kBlockValues), count, n_, input.rows(), input.block_sums(),
                          input.num_rows(), target, out_stride);
    } else if (const auto* q8 = std::get_if<Q8Rows>(&data_)) {
      kernels.multiply_q8((*q8)->data() + begin * (n_ / kBlockValues), count, n_, input.rows(), input.num_rows(),
                          target, out_stride);
    } else if (const at::Tensor& dense = std::get<at::Tensor>(data_); dense.scalar_type() == at::kFloat) {
      kernels.multiply_f32(dense.const_data_ptr<float>() + begin * n_, count, n_, input.rows(), input.num_rows(),
                           target, out_stride);
    } else {
      kernels.multiply_bf16(dense.const_data_ptr<at::BFloat16>() + begin * n_, count, n_, input.rows(),
                            input.num_rows(), target, out_stride);
    }
  });
}

void PackedMatrix::Expand(std::int64_t first, std::int64_t count, float* out) const {
  if (const auto* dense = std::get_if<at::Tensor>(&data_)) {
    at::from_blob(out, {count, n_}, at::kFloat).copy_(dense->narrow(0, first, count));
    return;
  }
  at::parallel_for(0, count, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::int64_t block = (first + row) * (n_ / kBlockValues);
      if (const auto* q4 = std::get_if<Q4Rows>(&data_)) {
        ExpandRow((*q4)->data() + block, n_, out + row * n_);
      } else {
        ExpandRow(std::get<Q8Rows>(data_)->data() + block, n_, out + row * n_);
      }
    }
  });
}

}  // namespace tome
