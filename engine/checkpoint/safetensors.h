// The safetensors container: a JSON header and the tensors' data.
#ifndef TOME_ENGINE_CHECKPOINT_SAFETENSORS_H_
#define TOME_ENGINE_CHECKPOINT_SAFETENSORS_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/checkpoint/tensor_set.h"

namespace tome {

// The tensors of a file (F32, F16 or BF16), pointing into `bytes`. Checks that names are unique, sizes match shapes,
// and that the tensors tile the data without gap or overlap, as the format demands. INVALID_ARGUMENT: "<source>: ...".
absl::StatusOr<TensorMap> ParseSafetensors(std::string_view bytes, const std::string& source);

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_SAFETENSORS_H_
