// config.json of a Hugging Face LLaMA folder.
#ifndef TOME_ENGINE_CHECKPOINT_HUGGINGFACE_CONFIG_H_
#define TOME_ENGINE_CHECKPOINT_HUGGINGFACE_CONFIG_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/base/types.h"
#include "engine/checkpoint/llama_config.h"

namespace tome {

struct HuggingFaceConfig {
  LlamaConfig model;
  std::optional<TokenId> bos, eos;  // the first, where config.json lists several
};

// Architectures LlamaForCausalLM and MistralForCausalLM. Old and new spellings of rope scaling ("rope_scaling" with
// "type" or "rope_type", and "rope_parameters") are read; absent fields get transformers' defaults. What the engine
// does not compute is refused by name: biases, sliding windows shorter than the context, quantised weights, partial
// rotary embeddings, other activations and scalings. INVALID_ARGUMENT: "<source>: field 'x': expected ..., found ...".
absl::StatusOr<HuggingFaceConfig> ParseHuggingFaceConfig(std::string_view text, const std::string& source);

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_HUGGINGFACE_CONFIG_H_
