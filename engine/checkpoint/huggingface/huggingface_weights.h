// The weights of a Hugging Face folder: its safetensors files.
#ifndef TOME_ENGINE_CHECKPOINT_HUGGINGFACE_HUGGINGFACE_WEIGHTS_H_
#define TOME_ENGINE_CHECKPOINT_HUGGINGFACE_HUGGINGFACE_WEIGHTS_H_

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/checkpoint/contents/tensor_set.h"
#include "engine/files/mapped_file.h"

namespace tome {

struct HuggingFaceWeights {
  TensorMap tensors;
  std::vector<std::shared_ptr<const MappedFile>> files;  // that the tensors point into
  std::string source;                                    // the file that lists all tensors, or the folder
  std::vector<std::string> warnings;
};

// model.safetensors, or the files that model.safetensors.index.json lists, or without it all of
// model-00001-of-0000N.safetensors. NOT_FOUND says what the folder has instead, and what to do.
absl::StatusOr<HuggingFaceWeights> ReadHuggingFaceWeights(const std::filesystem::path& folder);

// Whether a tensor is a rotary table of old checkpoints, which nobody reads.
bool IsRotaryTable(std::string_view name);

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_HUGGINGFACE_HUGGINGFACE_WEIGHTS_H_
