#include "engine/model/low_rank_update.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>

#include "engine/kernels/cpu/kernels.h"

namespace tome {
namespace {

// In bf16 where every value is one, which halves what is read.
at::Tensor Compact(const at::Tensor& values) {
  at::Tensor rounded = values.to(at::kBFloat16);
  return at::equal(rounded.to(at::kFloat), values) ? rounded.contiguous() : values.contiguous();
}

// out[i * rows + r] = sum_j weights[r][j] x[i][j]
void Multiply(const at::Tensor& weights, absl::Span<const float* const> x, float* out) {
  const CpuKernels& kernels = GetCpuKernels();
  const std::int64_t rows = weights.size(0), n = weights.size(1);
  const int count = static_cast<int>(x.size());
  if (weights.scalar_type() == at::kFloat) {
    kernels.multiply_f32(weights.const_data_ptr<float>(), rows, n, x.data(), count, out, rows);
  } else {
    kernels.multiply_bf16(weights.const_data_ptr<at::BFloat16>(), rows, n, x.data(), count, out, rows);
  }
}

float ToFloat(float value) { return value; }
float ToFloat(at::BFloat16 value) { return std::bit_cast<float>(static_cast<std::uint32_t>(value.x) << 16); }

// out[r] += sum_j x[j] weights[j][r], for r < rows: in blocks that stay in registers.
template <typename T>
void AddOuter(const T* weights, std::int64_t rank, std::int64_t rows, const float* x, float* out) {
  constexpr std::int64_t kBlock = 32;
  for (std::int64_t first = 0; first < rows; first += kBlock) {
    const std::int64_t count = std::min(kBlock, rows - first);
    float sums[kBlock] = {};
    for (std::int64_t j = 0; j < rank; ++j) {
      const T* row = weights + j * rows + first;
      if (count == kBlock) {
        for (std::int64_t i = 0; i < kBlock; ++i) sums[i] += x[j] * ToFloat(row[i]);
      } else {
        for (std::int64_t i = 0; i < count; ++i) sums[i] += x[j] * ToFloat(row[i]);
      }
    }
    for (std::int64_t i = 0; i < count; ++i) out[first + i] += sums[i];
  }
}

void AddOuter(const at::Tensor& weights, const float* x, float* out) {
  const std::int64_t rank = weights.size(0), rows = weights.size(1);
  if (weights.scalar_type() == at::kFloat) return AddOuter(weights.const_data_ptr<float>(), rank, rows, x, out);
  AddOuter(weights.const_data_ptr<at::BFloat16>(), rank, rows, x, out);
}

}  // namespace

LowRankUpdate::LowRankUpdate(const std::vector<LowRankPart>& parts, at::ScalarType type, at::Device device) {
  std::vector<at::Tensor> all;
  for (const LowRankPart& part : parts) {
    all.push_back(part.a);
    parts_.push_back({.first_row = part.first_row,
                      .rows = part.b.size(0),
                      .first_rank = num_ranks_,
                      .rank = part.a.size(0),
                      .scale = static_cast<float>(part.scale),
                      .b = part.b.mul(part.scale).to(device, type).contiguous(),
                      .few_b = device.is_cpu() ? Compact(part.b.t()) : at::Tensor()});
    num_ranks_ += part.a.size(0);
  }
  const at::Tensor a = at::cat(all);
  a_ = a.to(device, type).contiguous();
  if (device.is_cpu()) few_a_ = Compact(a);
}

void LowRankUpdate::AddTo(const at::Tensor& x, const at::Tensor& out) const {
  const at::Tensor inner = at::linear(x, a_);
  for (const Part& part : parts_) {
    out.narrow(1, part.first_row, part.rows).addmm_(inner.narrow(1, part.first_rank, part.rank), part.b.t());
  }
}

void LowRankUpdate::AddTo(absl::Span<const float* const> x, absl::Span<float* const> out) const {
  std::vector<float> inner(x.size() * static_cast<std::size_t>(num_ranks_));
  Multiply(few_a_, x, inner.data());
  for (const Part& part : parts_) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      float* row = inner.data() + static_cast<std::int64_t>(i) * num_ranks_ + part.first_rank;
      for (std::int64_t j = 0; j < part.rank; ++j) row[j] *= part.scale;
      AddOuter(part.few_b, row, out[i] + part.first_row);
    }
  }
}

}  // namespace tome
