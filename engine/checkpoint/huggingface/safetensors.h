// The safetensors container: a JSON header and the tensors' data.
#ifndef TOME_ENGINE_CHECKPOINT_HUGGINGFACE_SAFETENSORS_H_
#define TOME_ENGINE_CHECKPOINT_HUGGINGFACE_SAFETENSORS_H_

#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/checkpoint/contents/tensor_set.h"

namespace tome {

// The tensors of a file (F32, F16 or BF16), pointing into `bytes`. Checks that names are unique, sizes match shapes,
// and that the tensors tile the data without gap or overlap, as the format demands. INVALID_ARGUMENT: "<source>: ...".
absl::StatusOr<TensorMap> ParseSafetensors(std::string_view bytes, const std::string& source);

// model.safetensors.index.json: the file of each tensor. Names of files must be plain, without folders.
absl::StatusOr<std::map<std::string, std::string>> ParseSafetensorsIndex(std::string_view text,
                                                                         const std::string& source);

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_HUGGINGFACE_SAFETENSORS_H_
