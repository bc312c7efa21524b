// config.json of a Hugging Face LLaMA folder.
#ifndef TOME_ENGINE_CHECKPOINT_HUGGINGFACE_HUGGINGFACE_CONFIG_H_
#define TOME_ENGINE_CHECKPOINT_HUGGINGFACE_HUGGINGFACE_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/types.h"
#include "engine/checkpoint/contents/llama_config.h"

namespace tome {

struct HuggingFaceConfig {
  LlamaConfig model;
  std::optional<TokenId> bos, eos;    // the first, where config.json lists several
  std::vector<TokenId> ends;          // all that end a text
  std::vector<std::string> warnings;  // what was unusual, and how it was taken
};

// Architectures LlamaForCausalLM and MistralForCausalLM. Old and new spellings of rope scaling ("rope_scaling" with
// "type" or "rope_type", and "rope_parameters") are read; absent fields get transformers' defaults. A sliding window
// that is shorter than the context becomes the context: within it the model attends to all. Token ids that the
// vocabulary lacks are left out. What the engine does not compute is refused by name: biases, quantised weights,
// partial rotary embeddings, other activations and scalings. INVALID_ARGUMENT: "<source>: field 'x': expected ...,
// found ...".
absl::StatusOr<HuggingFaceConfig> ParseHuggingFaceConfig(std::string_view text, const std::string& source);

// The "eos_token_id" of generation_config.json, a number or several. INVALID_ARGUMENT as above.
absl::StatusOr<std::vector<TokenId>> ParseGenerationEnds(std::string_view text, const std::string& source,
                                                         std::int64_t vocab_size, std::vector<std::string>* warnings);

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_HUGGINGFACE_HUGGINGFACE_CONFIG_H_
