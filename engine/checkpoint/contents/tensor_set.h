// The tensors that a LLaMA config calls for, and the check that a file has exactly these.
#ifndef TOME_ENGINE_CHECKPOINT_CONTENTS_TENSOR_SET_H_
#define TOME_ENGINE_CHECKPOINT_CONTENTS_TENSOR_SET_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/checkpoint/contents/checkpoint_tensor.h"
#include "engine/checkpoint/contents/llama_config.h"

namespace tome {

using TensorMap = std::map<std::string, CheckpointTensor, std::less<>>;

struct ExpectedTensor {
  std::string name;  // Hugging Face's
  std::vector<std::int64_t> shape;
};

// All tensors of a model with this (checked) config.
std::vector<ExpectedTensor> ExpectedTensors(const LlamaConfig& config);

// The bytes of a tensor, safe against overflow. `place` begins the message: "model.gguf: tensor 'x'". INVALID_ARGUMENT
// when a dimension is not positive, the last is no whole number of blocks, or the product is absurd.
absl::StatusOr<std::uint64_t> TensorBytes(TensorType type, const std::vector<std::int64_t>& shape,
                                          const std::string& place);

// "[576, 1536]"
std::string ShapeText(const std::vector<std::int64_t>& shape);

// The expected tensors, taken from `file_tensors`, whose names are `file_name(Hugging Face's name)`. INVALID_ARGUMENT
// for a missing tensor, a wrong shape, or a tensor that is left over.
absl::StatusOr<TensorMap> SelectTensors(const LlamaConfig& config, TensorMap file_tensors,
                                        const std::function<std::string(const std::string&)>& file_name,
                                        const std::string& source);

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_CONTENTS_TENSOR_SET_H_
