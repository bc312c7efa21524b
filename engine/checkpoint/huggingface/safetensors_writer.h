// Writing of safetensors files.
#ifndef TOME_ENGINE_CHECKPOINT_HUGGINGFACE_SAFETENSORS_WRITER_H_
#define TOME_ENGINE_CHECKPOINT_HUGGINGFACE_SAFETENSORS_WRITER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/checkpoint/contents/tensor_type.h"

namespace tome {

struct TensorToWrite {
  std::string name;
  std::vector<std::int64_t> shape;
  // Called once, when the tensor is written: its values, row-major, as many as the shape says.
  std::function<std::vector<float>()> values;
};

// `type`: kF32, or kBF16, to which values are rounded to nearest, ties to even. Holds one tensor in memory at a time,
// and writes aside first (see FileReplacement, whose errors it gives).
absl::Status WriteSafetensors(const std::string& path, absl::Span<const TensorToWrite> tensors, TensorType type);

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_HUGGINGFACE_SAFETENSORS_WRITER_H_
