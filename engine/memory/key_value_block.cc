#include "engine/memory/key_value_block.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>

namespace tome {
namespace {

constexpr std::size_t kAlignment = 64;  // bytes, as torch's own

at::Tensor Keep(const at::Tensor& values, at::ScalarType type) {
  return AllocateKept(values.sizes(), type, values.device()).copy_(values);
}

struct Quantized {
  at::Tensor codes, scales;
};

Quantized ToInt8(const at::Tensor& values) {
  const at::Tensor wide = values.to(at::kFloat);
  const at::Tensor scales = wide.abs().amax(2, /*keepdim=*/true).div_(127).clamp_min_(1e-12);
  return {Keep(wide.div(scales).round_().clamp_(-127, 127), at::kChar), Keep(scales, at::kFloat)};
}

at::Tensor Layer(const at::Tensor& stored, const at::Tensor& scales, std::int64_t layer, at::ScalarType type) {
  const at::Tensor own = stored.select(0, layer);
  return scales.defined() ? own.to(at::kFloat).mul_(scales.select(0, layer)).to(type) : own.to(type);
}

at::Tensor Tokens(const at::Tensor& all, absl::Span<const std::int64_t> tokens) {
  return all.index_select(2, at::tensor(at::ArrayRef<std::int64_t>(tokens.data(), tokens.size())).to(all.device()));
}

constexpr float kLargestUsable = 1e15f;

}  // namespace

at::Tensor AllocateKept(at::IntArrayRef shape, at::ScalarType type, at::Device device) {
  const auto options = at::TensorOptions().dtype(type).device(device);
  if (!device.is_cpu()) return at::empty(shape, options);
  std::size_t space = static_cast<std::size_t>(c10::multiply_integers(shape)) * at::elementSize(type) + kAlignment;
  void* const taken = std::malloc(space);
  if (taken == nullptr) throw std::bad_alloc();
  void* aligned = taken;
  std::align(kAlignment, space - kAlignment, aligned, space);
  return at::from_blob(aligned, shape, [taken](void*) { std::free(taken); }, options);
}

bool AreUsable(const at::Tensor& numbers) {
  if (numbers.numel() == 0) return true;
  const auto [least, most] = at::aminmax(numbers);  // both NaN if one of the numbers is
  return least.item<float>() >= -kLargestUsable && most.item<float>() <= kLargestUsable;
}

bool AreUsable(absl::Span<const float> numbers) {
  return std::all_of(numbers.begin(), numbers.end(), [](float number) { return std::abs(number) <= kLargestUsable; });
}

KeyValueBlock KeyValueBlock::Allocate(const LlamaConfig& config, std::int64_t tokens, at::ScalarType type,
                                      at::Device device) {
  const std::int64_t shape[] = {config.num_layers, config.num_kv_heads, tokens, config.head_dim};
  return {AllocateKept(shape, type, device), AllocateKept(shape, type, device)};
}

KeyValueBlock KeyValueBlock::Slice(std::int64_t first, std::int64_t count) const {
  return {Keep(keys.narrow(2, first, count), keys.scalar_type()),
          Keep(values.narrow(2, first, count), values.scalar_type())};
}

StoredBlock StoredBlock::Encode(const KeyValueBlock& block, RegionPrecision precision) {
  switch (precision) {
    case RegionPrecision::kComputed:
      return {block.keys, block.values, {}, {}};
    case RegionPrecision::kBf16:
      return {Keep(block.keys, at::kBFloat16), Keep(block.values, at::kBFloat16), {}, {}};
    case RegionPrecision::kInt8:
      break;
  }
  Quantized keys = ToInt8(block.keys), values = ToInt8(block.values);
  return {std::move(keys.codes), std::move(values.codes), std::move(keys.scales), std::move(values.scales)};
}

std::size_t StoredBlock::bytes() const {
  std::size_t total = keys_.nbytes() + values_.nbytes();
  if (key_scales_.defined()) total += key_scales_.nbytes() + value_scales_.nbytes();
  return total;
}

at::Tensor StoredBlock::LayerKeys(std::int64_t layer, at::ScalarType type) const {
  return Layer(keys_, key_scales_, layer, type);
}

at::Tensor StoredBlock::LayerValues(std::int64_t layer, at::ScalarType type) const {
  return Layer(values_, value_scales_, layer, type);
}

StoredBlock StoredBlock::Join(const StoredBlock& first, absl::Span<const std::int64_t> of_first,
                              const StoredBlock& second, absl::Span<const std::int64_t> of_second) {
  const auto join = [&](const at::Tensor& a, const at::Tensor& b) {
    return Keep(at::cat({Tokens(a, of_first), Tokens(b, of_second)}, 2), a.scalar_type());
  };
  return {join(first.keys_, second.keys_), join(first.values_, second.values_), {}, {}};
}

}  // namespace tome
