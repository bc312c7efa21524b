// A tensor of a checkpoint.
#ifndef TOME_ENGINE_CHECKPOINT_CONTENTS_CHECKPOINT_TENSOR_H_
#define TOME_ENGINE_CHECKPOINT_CONTENTS_CHECKPOINT_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/checkpoint/contents/tensor_type.h"

namespace tome {

// A tensor in a mapped file. Row-major, the last dimension contiguous (Hugging Face's order, so a linear layer's weight
// is [out, in]; GGUF lists dimensions the other way round). Valid while its Checkpoint lives. Unaligned.
struct CheckpointTensor {
  TensorType type = TensorType::kF32;
  std::vector<std::int64_t> shape;
  absl::Span<const std::byte> data;
};

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_CONTENTS_CHECKPOINT_TENSOR_H_
