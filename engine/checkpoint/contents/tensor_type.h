// Storage types of tensors, and their conversion to float.
#ifndef TOME_ENGINE_CHECKPOINT_CONTENTS_TENSOR_TYPE_H_
#define TOME_ENGINE_CHECKPOINT_CONTENTS_TENSOR_TYPE_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/types/span.h"

namespace tome {

enum class TensorType { kF32, kF16, kBF16, kQ8_0, kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ4_K, kQ5_K, kQ6_K };

// Quantised types store rows as blocks: `values` values in `bytes` bytes. Plain types have one value a block.
struct BlockLayout {
  std::int64_t values;
  std::int64_t bytes;
};
BlockLayout GetBlockLayout(TensorType type);
std::string_view TensorTypeName(TensorType type);  // "Q4_1"

float HalfToFloat(std::uint16_t bits);      // IEEE 754 binary16
float BFloat16ToFloat(std::uint16_t bits);  // the upper half of a float

// Converts `out.size()` values, a whole number of blocks, from `data`, which must hold exactly those blocks.
// Exact: each value is the float nearest to what ggml's reference dequantisation gives. Thread-safe.
void DequantizeRow(TensorType type, absl::Span<const std::byte> data, absl::Span<float> out);

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_CONTENTS_TENSOR_TYPE_H_
