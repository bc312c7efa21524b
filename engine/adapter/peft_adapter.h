// Adapters as PEFT keeps them: a folder with adapter_config.json and adapter_model.safetensors.
#ifndef TOME_ENGINE_ADAPTER_PEFT_ADAPTER_H_
#define TOME_ENGINE_ADAPTER_PEFT_ADAPTER_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/adapter/adapter.h"

namespace tome {

// For a model with this config. Rows are in Hugging Face's halves order, whatever order the model's own file has.
// NOT_FOUND, PERMISSION_DENIED, and INVALID_ARGUMENT that names the file and the tensor or field.
absl::StatusOr<std::shared_ptr<const Adapter>> ReadPeftAdapter(const std::string& folder, const LlamaConfig& config);

// The same of the two files' bytes.
absl::StatusOr<std::shared_ptr<const Adapter>> ParsePeftAdapter(std::string_view config_json,
                                                                std::string_view safetensors, const LlamaConfig& config,
                                                                const std::string& source);

}  // namespace tome

#endif  // TOME_ENGINE_ADAPTER_PEFT_ADAPTER_H_
