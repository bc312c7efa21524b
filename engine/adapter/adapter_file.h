// Adapters in files of any format that Tome reads.
#ifndef TOME_ENGINE_ADAPTER_ADAPTER_FILE_H_
#define TOME_ENGINE_ADAPTER_ADAPTER_FILE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/adapter/adapter.h"

namespace tome {

// `path`: a folder that PEFT wrote, or a GGUF file. For a model with this config. NOT_FOUND, PERMISSION_DENIED and
// INVALID_ARGUMENT name the file.
absl::StatusOr<std::shared_ptr<const Adapter>> LoadAdapter(const std::string& path, const LlamaConfig& config);

}  // namespace tome

#endif  // TOME_ENGINE_ADAPTER_ADAPTER_FILE_H_
