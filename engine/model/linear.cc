#include "engine/model/linear.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

namespace tome {
namespace {

constexpr std::int64_t kRowsAtOnce = 4096;  // 9 MB at SmolLM2's width

}  // namespace

Linear Linear::With(std::shared_ptr<const LowRankUpdate> update) const {
  Linear linear = *this;
  linear.update_ = std::move(update);
  return linear;
}

std::int64_t Linear::FirstRow(std::size_t index) const {
  return std::accumulate(part_rows_.begin(), part_rows_.begin() + static_cast<std::ptrdiff_t>(index), std::int64_t{0});
}

at::Tensor Linear::Apply(const at::Tensor& x) const {
  const at::Tensor out = dense_.defined() ? at::linear(x, dense_) : ApplyPacked(x.to(at::kFloat)).to(x.scalar_type());
  if (update_ != nullptr) update_->AddTo(x, out);
  return out;
}

at::Tensor Linear::ApplyPacked(const at::Tensor& x) const {
  const std::int64_t rows = x.size(0), all = packed_.num_rows();
  at::Tensor out = at::empty({rows, all}, at::kFloat);
  at::Tensor block = at::empty({std::min(kRowsAtOnce, all), packed_.n()}, at::kFloat);
  for (std::int64_t first = 0; first < all; first += kRowsAtOnce) {
    const std::int64_t count = std::min(kRowsAtOnce, all - first);
    packed_.Expand(first, count, block.mutable_data_ptr<float>());
    out.narrow(1, first, count).copy_(at::linear(x, block.narrow(0, 0, count)));
  }
  return out;
}

at::Tensor Linear::ApplyTransposed(const at::Tensor& y) const {
  if (dense_.defined()) return at::matmul(y, dense_);
  const std::int64_t all = packed_.num_rows();
  const at::Tensor in = y.to(at::kFloat), out = at::zeros({y.size(0), packed_.n()}, at::kFloat);
  at::Tensor block = at::empty({std::min(kRowsAtOnce, all), packed_.n()}, at::kFloat);
  for (std::int64_t first = 0; first < all; first += kRowsAtOnce) {
    const std::int64_t count = std::min(kRowsAtOnce, all - first);
    packed_.Expand(first, count, block.mutable_data_ptr<float>());
    out.addmm_(in.narrow(1, first, count), block.narrow(0, 0, count));
  }
  return out.to(y.scalar_type());
}

at::Tensor Linear::Rows(std::int64_t first, std::int64_t count) const {
  if (dense_.defined()) return dense_.narrow(0, first, count).to(at::kCPU, at::kFloat);
  at::Tensor rows = at::empty({count, packed_.n()}, at::kFloat);
  packed_.Expand(first, count, rows.mutable_data_ptr<float>());
  return rows;
}

std::size_t Linear::bytes() const { return (dense_.defined() ? dense_.nbytes() : 0) + packed_.packed_bytes(); }

}  // namespace tome
