// A model whose weights have an adapter merged into them, as a Hugging Face folder.
#ifndef TOME_ENGINE_ADAPTER_MERGED_MODEL_H_
#define TOME_ENGINE_ADAPTER_MERGED_MODEL_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/adapter/adapter.h"
#include "engine/checkpoint/checkpoint.h"

namespace tome {

// Writes config.json and model.safetensors into `folder`, which is made where it is missing: W + scale B A for every
// pair, and what was trained in place of the model's own, in `type` (kF32 or kBF16, rounded to nearest). Where the
// checkpoint is a Hugging Face folder its tokenizer's files are copied and its config.json is changed only in what
// differs; else a tokenizer has to be put into the folder, and the warnings that are returned say so.
// INVALID_ARGUMENT for the checkpoint's own folder, and the errors of the file system.
absl::StatusOr<std::vector<std::string>> WriteMergedModel(const Checkpoint& checkpoint, const Adapter& adapter,
                                                          const std::string& folder, TensorType type);

}  // namespace tome

#endif  // TOME_ENGINE_ADAPTER_MERGED_MODEL_H_
