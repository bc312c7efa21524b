// Keys and values of consecutive tokens, as the model computed them and as the region memory keeps them.
//
// Shapes: L layers, KV key-value heads, D head dimension, n tokens.
#ifndef TOME_ENGINE_MEMORY_KEY_VALUE_BLOCK_H_
#define TOME_ENGINE_MEMORY_KEY_VALUE_BLOCK_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "engine/checkpoint/contents/llama_config.h"
#include "engine/memory/memory_options.h"

namespace tome {

// [L, KV, n, D] each, contiguous. Keys are not rotated.
struct KeyValueBlock {
  at::Tensor keys;
  at::Tensor values;

  std::int64_t tokens() const { return keys.size(2); }
  std::size_t bytes() const { return keys.nbytes() + values.nbytes(); }

  static KeyValueBlock Allocate(const LlamaConfig& config, std::int64_t tokens, at::ScalarType type, at::Device device);
  // A copy of tokens first .. first + count - 1, which shares nothing.
  KeyValueBlock Slice(std::int64_t first, std::int64_t count) const;
};

// An uninitialised tensor for what a session keeps while it reads on. On the CPU it is taken with malloc and aligned
// here: glibc before 2.38 never hands a block that was taken with posix_memalign, as torch does, out again for the same
// size when what lies beside it is still in use, and a session that drops a block with each segment would grow by one.
at::Tensor AllocateKept(at::IntArrayRef shape, at::ScalarType type, at::Device device);

// Whether a memory can compute with these: numbers of a magnitude up to 1e15, so that products of two of them and sums
// of such products are finite. Others come from damaged weights or files.
bool AreUsable(const at::Tensor& numbers);
bool AreUsable(absl::Span<const float> numbers);

// Keys and values in fewer bits. int8: each channel of a layer and head has one scale for all tokens of the block,
// its largest magnitude / 127. What is encoded once is never encoded again.
class StoredBlock {
 public:
  StoredBlock() = default;
  static StoredBlock Encode(const KeyValueBlock& block, RegionPrecision precision);
  // Tensors as keys(), ... give them.
  StoredBlock(at::Tensor keys, at::Tensor values, at::Tensor key_scales, at::Tensor value_scales)
      : keys_(std::move(keys)),
        values_(std::move(values)),
        key_scales_(std::move(key_scales)),
        value_scales_(std::move(value_scales)) {}

  std::int64_t tokens() const { return keys_.size(2); }
  std::size_t bytes() const;

  // What a layer's queries attend to, [KV, n, D] in `type`.
  at::Tensor LayerKeys(std::int64_t layer, at::ScalarType type) const;
  at::Tensor LayerValues(std::int64_t layer, at::ScalarType type) const;

  // These tokens of two blocks, of `first` and then of `second`, bit for bit. Not for int8, whose scales differ.
  static StoredBlock Join(const StoredBlock& first, absl::Span<const std::int64_t> of_first, const StoredBlock& second,
                          absl::Span<const std::int64_t> of_second);

  // [L, KV, n, D]; scales fp32 [L, KV, 1, D], undefined but for int8.
  const at::Tensor& keys() const { return keys_; }
  const at::Tensor& values() const { return values_; }
  const at::Tensor& key_scales() const { return key_scales_; }
  const at::Tensor& value_scales() const { return value_scales_; }

 private:
  at::Tensor keys_, values_, key_scales_, value_scales_;
};

}  // namespace tome

#endif  // TOME_ENGINE_MEMORY_KEY_VALUE_BLOCK_H_
